#include "lib/ops/conv_direct.h"

#include <algorithm>

#include "lib/ops/matmul.h"
#include "lib/ops/norm.h"

namespace flame {
namespace {

KernelName depthwise_kernel(std::string_view kernel, const DepthwisePlan& d, DType t) {
  return {"conv_depthwise.cu", expression(kernel, d.window, t)};
}

// Whether planes start on 16 bytes in both.
bool planes_are_vectors(const DepthwisePlan& d, const void* in, const void* out) {
  const std::int64_t width = 16 / d.size;
  return d.area % width == 0 && d.pixels % width == 0 && is_aligned16(in) && is_aligned16(out);
}

// Images that one block of the weight gradient sums: enough blocks to fill a device.
std::int64_t depthwise_chunk(const Conv& c) {
  constexpr std::int64_t kBlocks = 2048;
  const std::int64_t chunks = std::clamp<std::int64_t>(kBlocks / c.out_channels, 1, c.in.count);
  return ceil_div(c.in.count, chunks);
}

}  // namespace

void sum_chunks(const Device& device, const Tensor& partial, const Tensor& out, long long chunks) {
  const long long elements = out.numel();
  launch(device, {"conv.cu", expression("conv_bias_finish", out.dtype())},
         {static_cast<unsigned>(ceil_div(elements, 256))}, {256}, 0, partial.data(), out.data(),
         chunks, elements);
}

DepthwisePlan plan_depthwise(const Conv& c, DType t) {
  constexpr std::int64_t kMostElements = 16384, kEnough = 3072;
  constexpr std::int64_t kSharedBytes = 96 << 10;  // what every GPU of compute capability 8 has
  DepthwisePlan d;
  d.size = static_cast<std::int64_t>(size_of(t));
  d.area = c.in.size[0] * c.in.size[1], d.pixels = c.pixels();
  d.taps = c.kernel[0] * c.kernel[1];
  if (!c.depthwise() || c.in.count == 0 || d.area == 0 || d.pixels == 0) return d;
  d.multiplier = c.group_out();
  const std::int64_t largest = std::max(d.area, d.multiplier * d.pixels);
  for (std::size_t i = 0; i < 2; ++i)
    if (std::max({c.stride[i], c.pad[i], c.dilation[i] * c.kernel[i]}) > kMostElements) return d;
  const std::int64_t most_taps = d.multiplier * d.taps;
  if (d.multiplier < 1 || largest > kMostElements || most_taps > kMostElements / 4) return d;
  std::int64_t per_block = std::max<std::int64_t>(kEnough / largest, 1);
  per_block = std::min({per_block, c.in.count * c.in.channels, kEnough / most_taps + 1});
  const std::int64_t bytes =
      std::max({d.padded(per_block * largest) + d.padded(per_block * most_taps),
                d.padded(d.area) + d.padded(d.pixels)});
  d.fits = bytes <= kSharedBytes;
  d.window = c.kernel == Pair{3, 3} ? 3 : 0;
  auto narrow = [](std::int64_t v) { return static_cast<int>(v); };
  flame_params::Depthwise& p = d.params;
  p.images = c.in.count, p.channels = c.in.channels, p.planes = c.in.count * c.in.channels;
  p.multiplier = narrow(d.multiplier), p.per_block = narrow(per_block);
  p.height = narrow(c.in.size[0]), p.width = narrow(c.in.size[1]);
  p.out_h = narrow(c.out[0]), p.out_w = narrow(c.out[1]);
  p.kernel_h = narrow(c.kernel[0]), p.kernel_w = narrow(c.kernel[1]);
  p.stride_h = narrow(c.stride[0]), p.stride_w = narrow(c.stride[1]);
  p.pad_h = narrow(c.pad[0]), p.pad_w = narrow(c.pad[1]);
  p.dilation_h = narrow(c.dilation[0]), p.dilation_w = narrow(c.dilation[1]);
  p.by_area = small_divisor(d.area), p.by_width = small_divisor(p.width);
  p.by_pixels = small_divisor(d.pixels), p.by_out_w = small_divisor(p.out_w);
  p.by_multiplier = small_divisor(p.multiplier);
  p.by_stride_h = small_divisor(p.stride_h), p.by_stride_w = small_divisor(p.stride_w);
  return d;
}

void depthwise_forward(const Device& device, DepthwisePlan d, const Tensor& x, const Tensor& weight,
                       const Tensor& bias, const Tensor& y) {
  flame_params::Depthwise& p = d.params;
  p.vectors = planes_are_vectors(d, x.data(), y.data());
  const std::int64_t shared =
      d.padded(p.per_block * d.area) + d.padded(p.per_block * d.multiplier * d.taps);
  const void* bias_data = bias.defined() ? bias.data() : nullptr;
  launch(device, depthwise_kernel("conv_depthwise_forward", d, x.dtype()),
         {static_cast<unsigned>(ceil_div(p.planes, p.per_block))}, {256},
         static_cast<unsigned>(shared), x.data(), weight.data(), bias_data, y.data(), p);
}

void depthwise_input(const Device& device, DepthwisePlan d, const Tensor& g, const Tensor& weight,
                     const Tensor& dx) {
  flame_params::Depthwise& p = d.params;
  p.vectors = planes_are_vectors(d, g.data(), dx.data());
  const std::int64_t shared = d.padded(p.per_block * d.multiplier * d.pixels) +
                              d.padded(p.per_block * d.multiplier * d.taps);
  launch(device, depthwise_kernel("conv_depthwise_input", d, g.dtype()),
         {static_cast<unsigned>(ceil_div(p.planes, p.per_block))}, {256},
         static_cast<unsigned>(shared), g.data(), weight.data(), dx.data(), p);
}

void depthwise_weight(BackwardContext& context, const Conv& c, DepthwisePlan d, const Tensor& x,
                      const Tensor& g, const Tensor& dw) {
  flame_params::Depthwise& p = d.params;
  p.vectors = planes_are_vectors(d, x.data(), g.data());
  p.per_block = static_cast<int>(depthwise_chunk(c));
  const std::int64_t chunks = ceil_div(c.in.count, depthwise_chunk(c));
  const Tensor partial =
      context.temporary({chunks, c.out_channels, d.taps}, accumulator(dw.dtype()));
  launch(context.device(), depthwise_kernel("conv_depthwise_weight", d, dw.dtype()),
         {static_cast<unsigned>(chunks * c.out_channels)}, {128},
         static_cast<unsigned>(d.padded(d.area) + d.padded(d.pixels)), x.data(), g.data(),
         partial.data(), p);
  sum_chunks(context.device(), partial, dw, chunks);
}

std::int64_t depthwise_bytes(const Conv& c, DType t) {
  const std::int64_t chunks = ceil_div(c.in.count, depthwise_chunk(c));
  return chunks * c.out_channels * c.kernel[0] * c.kernel[1] *
         static_cast<std::int64_t>(size_of(accumulator(t)));
}

std::int64_t pointwise_bytes(const Conv& c, DType t) {
  constexpr std::int64_t kMostBytes = std::int64_t{64} << 20;
  const std::int64_t bytes = c.in.count * c.out_channels * c.in.channels *
                             static_cast<std::int64_t>(size_of(accumulator(t)));
  return c.pointwise() && c.groups == 1 && c.in.count > 0 && bytes <= kMostBytes ? bytes : 0;
}

void pointwise_weight(BackwardContext& context, const Conv& c, const Tensor& x, const Tensor& g,
                      const Tensor& dw) {
  const DType t = dw.dtype(), wide = accumulator(t);
  const Tensor partial = context.temporary({c.in.count, c.out_channels, c.in.channels}, wide);
  driver::Gemm product{.type = t, .out = wide};
  product.a = g.data(), product.b = x.data(), product.c = partial.data();
  product.m = c.out_channels, product.n = c.in.channels, product.k = c.pixels();
  product.trans_b = true;
  product.lda = product.ldb = c.pixels(), product.ldc = product.n;
  product.batch = c.in.count;
  product.stride_a = product.m * product.k, product.stride_b = product.n * product.k;
  product.stride_c = product.m * product.n;
  gemm(context.device(), product);
  sum_chunks(context.device(), partial, dw, c.in.count);
}

}  // namespace flame
