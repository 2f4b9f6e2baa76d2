#include "reference/window.h"

#include "lib/core/error.h"
#include "reference/array.h"

namespace flame::reference {

Planes::Planes(const Shape& shape) : batched(shape.size() == 4) {
  check<ShapeError>(shape.size() == 3 || shape.size() == 4, "shape ", to_string(shape),
                    " is neither (N, C, H, W) nor (C, H, W)");
  const std::size_t c = batched ? 1 : 0;
  batch = batched ? shape[0] : 1;
  channels = shape[c];
  height = shape[c + 1];
  width = shape[c + 2];
}

Shape Planes::with(std::int64_t c, std::int64_t h, std::int64_t w) const {
  return batched ? Shape{batch, c, h, w} : Shape{c, h, w};
}

namespace {

// PyTorch's rule; in ceil mode the last window must still start inside the input or its left pad.
std::int64_t output_size(std::int64_t size, std::int64_t kernel, std::int64_t stride,
                         std::int64_t padding, std::int64_t dilation, bool ceil_mode) {
  const std::int64_t room = size + 2 * padding - dilation * (kernel - 1) - 1;
  const std::int64_t reach = ceil_mode ? room + stride - 1 : room;
  check<ShapeError>(reach >= 0, "a window of ", dilation * (kernel - 1) + 1,
                    " does not fit a padded size of ", size + 2 * padding);
  std::int64_t out = reach / stride + 1;
  if (ceil_mode && (out - 1) * stride >= size + padding) --out;
  return out;
}

}  // namespace

Window window_of(const Planes& planes, const IntList& kernel, const Attrs& attrs,
                 const IntList& default_stride) {
  const auto two = [&](std::string_view name, const IntList& otherwise) {
    IntList list = ints_or(attrs, name, otherwise);
    if (list.empty()) list = otherwise;
    if (list.size() == 1) list.push_back(list[0]);
    return list;
  };
  Window w{kernel[0],
           kernel[1],
           two("stride", default_stride),
           two("padding", {0}),
           two("dilation", {1}),
           0,
           0};
  const bool ceil_mode = bool_or(attrs, "ceil_mode", false);
  w.out_height =
      output_size(planes.height, w.height, w.stride[0], w.padding[0], w.dilation[0], ceil_mode);
  w.out_width =
      output_size(planes.width, w.width, w.stride[1], w.padding[1], w.dilation[1], ceil_mode);
  return w;
}

}  // namespace flame::reference
