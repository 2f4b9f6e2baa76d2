#include <algorithm>
#include <limits>

#include "lib/core/error.h"
#include "lib/ops/conv.h"

namespace flame {

Pair pair_argument(std::string_view op, const Attrs& attrs, std::string_view name,
                   std::int64_t least) {
  const IntList list = attrs.get_ints(name);
  check<ValueError>(list.size() == 1 || list.size() == 2, op, ": ", name, " ",
                    to_string(std::span<const std::int64_t>(list)), " must be one or two integers");
  const Pair pair{list.front(), list.back()};
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  check<ValueError>(std::min(pair[0], pair[1]) >= least && std::max(pair[0], pair[1]) <= kMost, op,
                    ": ", name, " ", to_string(std::span<const std::int64_t>(pair)),
                    " must lie in [", least, ", ", kMost, "]");
  return pair;
}

Images images_of(std::string_view op, const Shape& shape) {
  check<ShapeError>(shape.size() == 3 || shape.size() == 4, op,
                    ": input must be (N, C, H, W) or (C, H, W), got shape ", to_string(shape));
  Images images;
  images.batched = shape.size() == 4;
  const std::size_t c = images.batched ? 1 : 0;
  if (images.batched) images.count = shape[0];
  images.channels = shape[c];
  images.size = {shape[c + 1], shape[c + 2]};
  return images;
}

namespace {

// Padding and output size; "same" pads so that the size stays, the odd one below and right.
void set_window(Conv& c, const Shape& input, const Shape& weight, const Attrs& attrs) {
  c.stride = pair_argument("conv2d", attrs, "stride", 1);
  c.dilation = pair_argument("conv2d", attrs, "dilation", 1);
  const auto* text = std::get_if<std::string>(attrs.find("padding"));
  check<ValueError>(!text || *text == "valid" || *text == "same", "conv2d: padding '",
                    text ? *text : "", "' is neither 'valid' nor 'same'");
  const bool same = text && *text == "same";
  if (same)
    check<ValueError>(c.stride == Pair{1, 1}, "conv2d: padding 'same' needs stride 1, got ",
                      to_string(std::span<const std::int64_t>(c.stride)));
  if (!text) c.pad = pair_argument("conv2d", attrs, "padding", 0);
  for (std::size_t d = 0; d < 2; ++d) {
    const std::int64_t reach = c.dilation[d] * (c.kernel[d] - 1);
    if (same) c.pad[d] = reach / 2;
    const std::int64_t padded = c.in.size[d] + (same ? reach : 2 * c.pad[d]);
    check<ShapeError>(reach + 1 <= padded, "conv2d: input of shape ", to_string(input),
                      " and weight of shape ", to_string(weight), ": kernel of size ", reach + 1,
                      " (dilation counted) is larger than the padded input, ", padded);
    c.out[d] = (padded - reach - 1) / c.stride[d] + 1;
  }
}

}  // namespace

Conv conv_of(const Shape& input, const Shape& weight, const Attrs& attrs) {
  Conv c;
  c.in = images_of("conv2d", input);
  c.groups = attrs.get_int("groups");
  check<ValueError>(c.groups >= 1, "conv2d: groups ", c.groups, " must be at least 1");
  check<ShapeError>(weight.size() == 4,
                    "conv2d: weight must be (O, C / groups, KH, KW), got shape ",
                    to_string(weight));
  c.out_channels = weight[0];
  c.kernel = {weight[2], weight[3]};
  check<ShapeError>(c.in.channels == weight[1] * c.groups && c.out_channels % c.groups == 0,
                    "conv2d: input of shape ", to_string(input), " and weight of shape ",
                    to_string(weight), " do not fit with groups ", c.groups, ": input channels ",
                    c.in.channels, " must be ", weight[1] * c.groups, ", and output channels ",
                    c.out_channels, " a multiple of groups");
  constexpr std::int64_t kMost = std::numeric_limits<int>::max() / 2;
  for (std::int64_t size : {c.kernel[0], c.kernel[1], c.in.size[0] + 1, c.in.size[1] + 1})
    check<ShapeError>(size > 0 && size <= kMost, "conv2d: input of shape ", to_string(input),
                      " and weight of shape ", to_string(weight),
                      " need kernel sizes above 0 and sizes below 2^30");
  set_window(c, input, weight, attrs);
  const std::int64_t reach = std::max(c.dilation[0] * c.kernel[0], c.dilation[1] * c.kernel[1]);
  check<ShapeError>(reach <= kMost && c.in.size[0] * c.in.size[1] <= kMost && c.pixels() <= kMost,
                    "conv2d: images of ", c.in.size[0], " x ", c.in.size[1], " giving ", c.out[0],
                    " x ", c.out[1], " with a reach of ", reach, " are too large");
  return c;
}

}  // namespace flame
