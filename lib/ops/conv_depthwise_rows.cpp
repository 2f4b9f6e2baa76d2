#include "lib/ops/conv_depthwise_rows.h"

#include <algorithm>
#include <initializer_list>

#include "kernels/params.h"
#include "lib/ops/conv_direct.h"
#include "lib/ops/iteration.h"
#include "lib/ops/norm.h"
#include "lib/ops/rows.h"
#include "lib/tensor/launch.h"

namespace flame {
namespace {

constexpr std::int64_t kWarps = 8;  // of a block

struct RowsPlan {
  bool forward = false, backward = false;
  int window = 0, stride = 0, columns = 0;
  std::int64_t strips = 0, pieces = 0;  // of a plane; of a line
  flame_params::RowConv params{};
};

RowsPlan plan_rows(const Conv& c, DType t) {
  constexpr std::int64_t kMostArea = std::int64_t{1} << 30, kMostLines = std::int64_t{1} << 30;
  RowsPlan r;
  const std::int64_t k = c.kernel[0], s = c.stride[0], area = c.in.size[0] * c.in.size[1];
  const bool window =
      c.kernel == Pair{k, k} && (k == 3 || k == 5 || k == 7) && c.pad == Pair{k / 2, k / 2};
  const bool step = c.stride == Pair{s, s} && s <= 2 && c.dilation == Pair{1, 1};
  if (!c.depthwise() || c.group_out() != 1 || !window || !step || t == DType::kFloat64) return r;
  if (c.in.count == 0 || area == 0 || area > kMostArea || c.in.size[1] % 2 != 0) return r;
  r.window = static_cast<int>(k), r.stride = static_cast<int>(s);
  r.columns = c.in.size[1] % 4 == 0 ? 4 : 2;
  if (r.columns == 2 && k != 3) return r;
  r.pieces = c.in.size[1] / r.columns;
  const int size = static_cast<int>(size_of(t));
  r.strips = ceil_div(c.out[0], flame_params::depthwise_rows(r.window, r.stride, size));
  if (c.in.count * c.in.channels * r.strips > kMostLines) return r;
  flame_params::RowConv& p = r.params;
  p.channels = static_cast<unsigned>(c.in.channels);
  const Divisor by_channels = divisor_of(c.in.channels);
  p.channels_factor = by_channels.factor, p.channels_shift = by_channels.shift;
  p.images = static_cast<int>(c.in.count), p.out_h = static_cast<int>(c.out[0]);
  p.height = static_cast<int>(c.in.size[0]), p.width = static_cast<int>(c.in.size[1]);
  r.forward = true;
  r.backward = s == 1;
  return r;
}

// How the blocks of the backward kernel are laid out. False where one strip is more than a block.
bool plan_blocks(const Conv& c, RowsPlan& r) {
  constexpr std::int64_t kEnough = 192, kBlocks = 264;  // two to a processor of a large GPU
  const std::int64_t lines = lines_of_warps(r.pieces, kWarps);
  if (lines == 0) return false;
  flame_params::RowConv& p = r.params;
  const std::int64_t all = ceil_div(c.out[0], flame_params::depthwise_rows_backward(r.window));
  const std::int64_t parts = ceil_div(all, std::min(lines, all)), strips = ceil_div(all, parts);
  const std::int64_t planes =
      parts > 1 ? 1
                : std::clamp<std::int64_t>(lines_of_warps(r.pieces, 1) / strips, 1, c.in.channels);
  p.units = row_units(planes * strips, r.pieces, strips);
  const std::int64_t beside = kWarps / warps_of(p.units);
  const std::int64_t groups = ceil_div(c.in.channels, planes), blocks = groups * parts;
  // One block for all images of its channels where that makes blocks enough: no second kernel then.
  const std::int64_t chunks =
      blocks >= kEnough ? 1 : std::min(ceil_div(kBlocks, blocks), ceil_div(c.in.count, 2 * beside));
  const std::int64_t chunk = ceil_div(c.in.count, chunks);
  p.planes = static_cast<int>(planes), p.groups = static_cast<int>(groups);
  p.parts = static_cast<int>(parts), p.chunk = static_cast<int>(chunk);
  p.beside = static_cast<int>(std::min(beside, chunk));
  return true;
}

bool aligned(std::initializer_list<const Tensor*> tensors) {
  return std::all_of(tensors.begin(), tensors.end(),
                     [](const Tensor* t) { return !t->defined() || is_aligned16(t->data()); });
}

std::int64_t chunks_of(const RowsPlan& r) {
  return ceil_div(r.params.images, r.params.chunk) * r.params.parts;
}

}  // namespace

bool depthwise_rows_forward(const Device& device, const Conv& c, const Tensor& x,
                            const Tensor& weight, const Tensor& bias, const Tensor& y) {
  RowsPlan r = plan_rows(c, x.dtype());
  if (!r.forward || !aligned({&x, &y})) return false;
  r.params.units = row_units(c.in.count * c.in.channels * r.strips, r.pieces, r.strips);
  const void* bias_data = bias.defined() ? bias.data() : nullptr;
  launch(device,
         {"conv_depthwise_rows.cu",
          expression("conv_depthwise_rows_forward", r.window, r.stride, r.columns, x.dtype())},
         {static_cast<unsigned>(ceil_div(warps_of(r.params.units), kWarps))}, {32 * kWarps}, 0,
         x.data(), weight.data(), bias_data, y.data(), r.params);
  return true;
}

GradientsMade depthwise_rows_backward(BackwardContext& context, const Conv& c, const Tensor& x,
                                      const Tensor& weight, const Tensor& g, const Tensor& dx,
                                      const Tensor& dw) {
  RowsPlan r = plan_rows(c, g.dtype());
  GradientsMade made;
  if (!r.backward || !plan_blocks(c, r) || !aligned({&g})) return made;
  made.input = dx.defined() && dx.numel() > 0 && aligned({&dx});
  made.weight = dw.defined() && dw.numel() > 0 && aligned({&x}) && r.window < 7;
  if (!made.input && !made.weight) return made;
  const std::int64_t chunks = chunks_of(r);
  Tensor partial;
  if (made.weight && chunks > 1) {
    const Shape sums = {chunks, c.out_channels, c.kernel[0] * c.kernel[1]};
    partial = context.temporary(sums, accumulator(g.dtype()));
  }
  const auto data = [](const Tensor& t, bool wanted) { return wanted ? t.data() : nullptr; };
  launch(context.device(),
         {"conv_depthwise_rows.cu", expression("conv_depthwise_rows_backward", r.window, made.input,
                                               made.weight, r.columns, g.dtype())},
         {static_cast<unsigned>(chunks * r.params.groups)},
         {static_cast<unsigned>(32 * warps_of(r.params.units) * r.params.beside)}, 0,
         data(x, made.weight), g.data(), data(weight, made.input), data(dx, made.input),
         data(dw, made.weight), data(partial, partial.defined()), r.params);
  if (partial.defined()) sum_chunks(context.device(), partial, dw, chunks);
  return made;
}

std::int64_t depthwise_rows_bytes(const Conv& c, DType t) {
  RowsPlan r = plan_rows(c, t);
  if (!r.backward || r.window == 7 || !plan_blocks(c, r) || chunks_of(r) == 1) return 0;
  return chunks_of(r) * c.out_channels * c.kernel[0] * c.kernel[1] *
         static_cast<std::int64_t>(size_of(accumulator(t)));
}

}  // namespace flame
