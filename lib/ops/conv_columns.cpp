#include "lib/ops/conv_columns.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/params.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/matmul.h"
#include "lib/ops/norm.h"
#include "lib/ops/workspace.h"
#include "lib/tensor/launch.h"
#include "lib/tensor/runtime.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

constexpr std::int64_t kColumnBytes = std::int64_t{512} << 20;
// Up to here the weight gradient is a product an image, summed afterwards.
constexpr std::int64_t kPartialBytes = std::int64_t{64} << 20;
constexpr std::int64_t kTurnBytes = 40 << 10;  // shared memory of conv_turn_weight

std::int64_t bytes_of(DType t) { return static_cast<std::int64_t>(size_of(t)); }
std::int64_t taps_of(const Conv& c) { return c.kernel[0] * c.kernel[1]; }

driver::Dim3 grid_for(std::int64_t threads) {
  return {static_cast<unsigned>(std::min<std::int64_t>(ceil_div(threads, 256), 1 << 30))};
}

void* advanced(const Tensor& t, std::int64_t elements) {
  return static_cast<char*>(t.data()) + elements * bytes_of(t.dtype());
}

std::int64_t image_elements(const Conv& c) { return c.in.channels * c.in.size[0] * c.in.size[1]; }

flame_params::Im2col column_params(const Conv& c, std::int64_t images, std::int64_t depth,
                                   std::int64_t image_stride, std::int64_t row_stride) {
  flame_params::Im2col p{};
  p.images = images, p.channels = c.in.channels, p.group_channels = c.in.channels / c.groups;
  p.depth = depth, p.image_stride = image_stride, p.row_stride = row_stride;
  auto narrow = [](std::int64_t v) { return static_cast<int>(v); };
  p.height = narrow(c.in.size[0]), p.width = narrow(c.in.size[1]);
  p.out_h = narrow(c.out[0]), p.out_w = narrow(c.out[1]);
  p.kernel_h = narrow(c.kernel[0]), p.kernel_w = narrow(c.kernel[1]);
  p.stride_h = narrow(c.stride[0]), p.stride_w = narrow(c.stride[1]);
  p.pad_h = narrow(c.pad[0]), p.pad_w = narrow(c.pad[1]);
  p.dilation_h = narrow(c.dilation[0]), p.dilation_w = narrow(c.dilation[1]);
  const std::int64_t common_h = std::gcd(c.stride[0], c.dilation[0]),
                     common_w = std::gcd(c.stride[1], c.dilation[1]);
  p.period_h = narrow(c.stride[0] / common_h), p.period_w = narrow(c.stride[1] / common_w);
  p.step_h = narrow(c.dilation[0] / common_h), p.step_w = narrow(c.dilation[1] / common_w);
  return p;
}

// What conv_im2col_three and conv_col2im_three want of the width, moving `vector` pixels at a time.
bool is_three(const flame_params::Im2col& p, int vector) {
  return p.kernel_w == 3 && p.stride_w == 1 && p.dilation_w == 1 && p.pad_w == 1 &&
         p.out_w == p.width && p.width % vector == 0;
}

void im2col(const Device& device, const Tensor& x, std::int64_t first, const Tensor& columns,
            const flame_params::Im2col& p) {
  const DType t = x.dtype();
  const auto vector = static_cast<int>(16 / bytes_of(t));
  const void* from = advanced(x, first * p.channels * p.height * p.width);
  const bool three = is_three(p, vector) && is_aligned16(from);
  const int pixels_each = three ? vector : is_half(t) && p.out_w % 2 == 0 ? 2 : 1;
  const std::int64_t threads = p.images * p.channels * p.out_h * (p.out_w / pixels_each);
  if (threads == 0) return;
  launch(device,
         {"conv_columns.cu",
          three ? expression("conv_im2col_three", t) : expression("conv_im2col", pixels_each, t)},
         grid_for(threads), {256}, 0, from, columns.data(), p);
}

// `to`: the first of p.images images of dx.
void col2im(const Device& device, const Tensor& columns, DType t, void* to,
            const flame_params::Im2col& p) {
  const auto vector = static_cast<int>(16 / bytes_of(columns.dtype()));
  const bool three = is_three(p, vector) && p.stride_h == 1 && is_aligned16(to);
  const std::int64_t threads =
      p.images * p.channels * p.height * (three ? p.width / vector : p.width);
  launch(device, {"conv_columns.cu", expression(three ? "conv_col2im_three" : "conv_col2im", t)},
         grid_for(threads), {256}, 0, columns.data(), to, p);
}

// The adjoint of a convolution with stride 1 is one too, with turned weights, out of the gradient.
Conv adjoint(const Conv& c) {
  Conv a = c;
  a.in.channels = c.out_channels, a.in.size = c.out;
  a.out_channels = c.in.channels, a.out = c.in.size;
  for (std::size_t d = 0; d < 2; ++d) a.pad[d] = c.dilation[d] * (c.kernel[d] - 1) - c.pad[d];
  return a;
}

// Where columns of the gradient cost no more than wide columns of the input that are summed. Not in
// float32 proper: there the arithmetic is what takes time, and the other product divides into tiles
// with less waste.
bool has_adjoint(const Conv& c, DType t, bool tf32) {
  if (!is_half(t) && !(t == DType::kFloat32 && tf32)) return false;
  if (c.pointwise() || c.stride != Pair{1, 1}) return false;
  if (taps_of(c) * bytes_of(t) > kTurnBytes || c.rows() * c.out_channels >= std::int64_t{1} << 31)
    return false;
  if (c.in.size[0] * c.in.size[1] > 2 * c.pixels()) return false;
  return c.out_channels * bytes_of(t) <= c.in.channels * bytes_of(accumulator(t));
}

// weight (groups, outputs, inputs, taps) -> (groups, inputs, depth).
Tensor turned_weight(const Device& device, const Temporary& temporary, const Conv& c,
                     const Tensor& weight, std::int64_t depth) {
  const Tensor out = temporary({c.in.channels, depth}, weight.dtype());
  flame_params::TurnWeight p{};
  p.outputs = static_cast<int>(c.group_out());
  p.inputs = static_cast<int>(c.in.channels / c.groups);
  p.taps = static_cast<int>(taps_of(c));
  p.depth = depth;
  const auto room = static_cast<int>(kTurnBytes / (p.taps * bytes_of(weight.dtype())));
  p.tile_inputs = std::min(room, 32);
  p.tile_outputs = std::clamp(room / p.tile_inputs, 1, 32);
  const std::int64_t run = p.taps * bytes_of(weight.dtype());
  p.vectors =
      p.inputs * run % 16 == 0 && p.tile_inputs * run % 16 == 0 && is_aligned16(weight.data());
  const std::int64_t tiles =
      c.groups * ceil_div(p.outputs, p.tile_outputs) * ceil_div(p.inputs, p.tile_inputs);
  const std::int64_t shared =
      std::int64_t{p.tile_inputs} * p.tile_outputs * p.taps * bytes_of(weight.dtype());
  launch(device, {"conv_columns.cu", expression("conv_turn_weight", weight.dtype())},
         {static_cast<unsigned>(tiles)}, {256}, static_cast<unsigned>(shared), weight.data(),
         out.data(), p);
  return out;
}

// Weights (outputs, window) in rows of `depth`.
Tensor padded_weight(const Device& device, const Temporary& temporary, const Conv& c,
                     const Tensor& weight, std::int64_t depth) {
  if (depth == c.window()) return weight;
  const Tensor out = temporary({c.out_channels, depth}, weight.dtype());
  const long long window = c.window(), deep = depth, total = out.numel();
  launch(device, {"conv_columns.cu", expression("conv_pad_weight", weight.dtype())},
         grid_for(total), {256}, 0, weight.data(), out.data(), window, deep, total);
  return out;
}

// y[image] = product[image] + bias, for some images.
void add_bias(const Device& device, const Conv& c, const void* product, const Tensor& bias, void* y,
              std::int64_t images) {
  constexpr std::int64_t kPixels = 2048;  // a block's, in kernels/conv.cu
  const long long channels = c.out_channels, pixels = c.pixels(),
                  blocks_a_plane = ceil_div(pixels, kPixels);
  const std::int64_t blocks = images * channels * blocks_a_plane;
  check<ShapeError>(blocks <= std::numeric_limits<int>::max(), "conv2d: ", images, " images of ",
                    channels, " channels and ", pixels, " pixels are more than one launch holds");
  launch(device, {"conv.cu", expression("conv_add_bias", bias.dtype())},
         {static_cast<unsigned>(blocks)}, {256}, 0, product, bias.data(), y, channels, pixels,
         blocks_a_plane);
}

// y[image] = rows * columns(x[image]) + bias; `rows` has rows of plan.depth.
void multiply_columns(const Device& device, const Temporary& temporary, const Conv& c,
                      const ColumnPlan& plan, const Tensor& x, const Tensor& rows,
                      const Tensor& bias, const Tensor& y) {
  const DType t = x.dtype(), wide = bias.defined() ? accumulator(t) : t;
  driver::Gemm g{.type = t, .out = wide};
  g.m = c.group_out(), g.n = c.pixels(), g.k = plan.depth;
  g.lda = std::max<std::int64_t>(g.k, 1), g.ldb = g.ldc = c.pixels();
  g.a = rows.data();
  const std::int64_t image_size = plan.image_size(c);
  Tensor columns, product;
  if (!c.pointwise()) columns = temporary({plan.images, c.groups * g.k, g.n}, t);
  if (bias.defined()) product = temporary({plan.images, c.out_channels, g.n}, wide);
  for (std::int64_t first = 0; first < c.in.count; first += plan.images) {
    const std::int64_t images = std::min(plan.images, c.in.count - first);
    if (!c.pointwise())
      im2col(device, x, first, columns, column_params(c, images, g.k, image_size, g.n));
    g.b = c.pointwise() ? advanced(x, first * image_elements(c)) : columns.data();
    void* const to = advanced(y, first * c.out_channels * g.n);
    g.c = bias.defined() ? product.data() : to;
    grouped_gemm(device, g, images, c.groups, {0, g.m * g.k}, {image_size, g.k * g.n},
                 {c.out_channels * g.n, g.m * g.n});
    if (bias.defined()) add_bias(device, c, product.data(), bias, to, images);
  }
}

// Whether partial sums of each image cost less than the columns, and are few. Not for large weights
// in types whose products take their time in arithmetic: these have tiles enough, and larger ones,
// when all images are one inner dim.
bool sums_images(const Conv& c, DType t) {
  constexpr std::int64_t kLarge = std::int64_t{1} << 19;
  const std::int64_t elements = c.out_channels * plan_columns(c, t).depth;
  const std::int64_t wide = bytes_of(accumulator(t));
  if (c.in.count <= 1 || (!is_half(t) && elements > kLarge)) return false;
  return c.group_out() * wide <= 2 * c.pixels() * bytes_of(t) &&
         c.in.count * elements * wide <= kPartialBytes;
}

// A product g[image] * columns[image]^T an image, in the accumulator's type, and their sum.
void weight_by_images(const Device& device, const Temporary& temporary, const Conv& c,
                      const Tensor& x, const Tensor& g, const Tensor& dw) {
  const DType t = dw.dtype();
  const ColumnPlan plan = plan_columns(c, t);
  const std::int64_t image_size = plan.image_size(c), pixels = c.pixels();
  const Tensor columns = temporary({plan.images, c.groups * plan.depth, pixels}, t);
  const Tensor partial = temporary({c.in.count, c.out_channels, plan.depth}, accumulator(t));
  driver::Gemm product{.type = t, .out = partial.dtype()};
  product.m = c.group_out(), product.n = plan.depth, product.k = pixels;
  product.trans_b = true;
  product.lda = product.ldb = pixels, product.ldc = plan.depth;
  product.b = columns.data();
  for (std::int64_t first = 0; first < c.in.count; first += plan.images) {
    const std::int64_t images = std::min(plan.images, c.in.count - first);
    im2col(device, x, first, columns, column_params(c, images, plan.depth, image_size, pixels));
    product.a = advanced(g, first * c.out_channels * pixels);
    product.c = advanced(partial, first * c.out_channels * plan.depth);
    grouped_gemm(device, product, images, c.groups, {c.out_channels * pixels, product.m * pixels},
                 {image_size, plan.depth * pixels},
                 {c.out_channels * plan.depth, product.m * plan.depth});
  }
  const long long chunks = c.in.count, window = c.window(), depth = plan.depth, total = dw.numel();
  launch(device, {"conv_columns.cu", expression("conv_weight_finish", t)}, grid_for(total), {256},
         0, partial.data(), dw.data(), chunks, window, depth, total);
}

// (image, pixel) is the inner dim of one product a group, so that the sum stays in the accumulator;
// chunks of images add up in the accumulator's type.
void weight_at_once(const Device& device, const Temporary& temporary, const Conv& c,
                    const Tensor& x, const Tensor& g, const Tensor& dw) {
  const DType t = dw.dtype();
  const std::int64_t step = plan_columns(c, t).images, pixels = c.pixels();
  const bool one_chunk = step >= c.in.count;
  const Tensor sum = one_chunk ? dw : temporary(dw.shape(), accumulator(t));
  const Tensor columns = temporary({c.rows(), step, pixels}, t);
  const Tensor turned = step > 1 ? temporary({c.out_channels, step, pixels}, t) : Tensor();
  driver::Gemm product{.type = t, .out = sum.dtype()};
  product.m = c.group_out(), product.n = c.window(), product.trans_b = true;
  product.batch = c.groups;
  product.b = columns.data(), product.c = sum.data(), product.ldc = product.n;
  product.stride_c = product.m * product.n;
  for (std::int64_t first = 0; first < c.in.count; first += step) {
    const std::int64_t images = std::min(step, c.in.count - first), inner = images * pixels;
    im2col(device, x, first, columns, column_params(c, images, c.window(), pixels, inner));
    const std::int64_t start = g.storage_offset() + first * c.out_channels * pixels;
    product.a = advanced(g, first * c.out_channels * pixels);
    if (images > 1) {
      const Shape shape{c.out_channels, images, pixels};
      copy_into(make_view(turned, shape, contiguous_strides(shape), turned.storage_offset()),
                make_view(g, shape, {pixels, c.out_channels * pixels, 1}, start));
      product.a = turned.data();
    }
    product.k = product.lda = product.ldb = inner;
    product.stride_a = product.m * inner, product.stride_b = product.n * inner;
    product.beta = first == 0 ? 0 : 1;
    gemm(device, product);
  }
  if (!one_chunk) copy_into(dw, sum);
}

}  // namespace

ColumnPlan plan_columns(const Conv& c, DType t) {
  ColumnPlan plan;
  const std::int64_t multiple = 16 / bytes_of(t);
  plan.depth = c.pointwise() ? c.window() : ceil_div(c.window(), multiple) * multiple;
  const std::int64_t each = std::max<std::int64_t>(plan.image_size(c) * bytes_of(t), 1);
  const std::int64_t count = std::max<std::int64_t>(c.in.count, 1);
  const std::int64_t most = std::clamp<std::int64_t>(kColumnBytes / each, 1, count);
  plan.images = ceil_div(count, ceil_div(count, most));  // as many each time
  return plan;
}

void grouped_gemm(const Device& device, driver::Gemm g, std::int64_t images, std::int64_t groups,
                  Steps a, Steps b, Steps c) {
  const bool batch_groups = groups > images;
  g.batch = batch_groups ? groups : images;
  g.stride_a = batch_groups ? a.group : a.image;
  g.stride_b = batch_groups ? b.group : b.image;
  g.stride_c = batch_groups ? c.group : c.image;
  const auto step_a = (batch_groups ? a.image : a.group) * bytes_of(g.type);
  const auto step_b = (batch_groups ? b.image : b.group) * bytes_of(g.type);
  const auto step_c = (batch_groups ? c.image : c.group) * bytes_of(g.out);
  for (std::int64_t i = 0; i < (batch_groups ? images : groups); ++i) {
    gemm(device, g);
    g.a = static_cast<const char*>(g.a) + step_a;
    g.b = static_cast<const char*>(g.b) + step_b;
    g.c = static_cast<char*>(g.c) + step_c;
  }
}

void columns_forward(const Device& device, const Temporary& temporary, const Conv& c,
                     const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y) {
  const ColumnPlan plan = plan_columns(c, x.dtype());
  const Tensor rows = padded_weight(device, temporary, c, weight, plan.depth);
  multiply_columns(device, temporary, c, plan, x, rows, bias, y);
}

std::int64_t columns_forward_bytes(const Conv& c, DType t, bool has_bias) {
  const ColumnPlan plan = plan_columns(c, t);
  const std::int64_t outputs = plan.images * c.out_channels * c.pixels();
  std::int64_t bytes = has_bias ? held_bytes(outputs * bytes_of(accumulator(t))) : 0;
  if (c.pointwise()) return bytes;
  bytes += held_bytes(plan.bytes(c, t));
  return plan.depth == c.window() ? bytes
                                  : bytes + held_bytes(c.out_channels * plan.depth * bytes_of(t));
}

void columns_input(const Device& device, const Temporary& temporary, const Conv& c,
                   const Tensor& weight, const Tensor& g, const Tensor& dx) {
  const DType t = dx.dtype(), wide = c.pointwise() ? t : accumulator(t);
  if (has_adjoint(c, t, device.runtime().allow_tf32)) {
    const Conv turned = adjoint(c);
    const ColumnPlan plan = plan_columns(turned, t);
    const Tensor rows = turned_weight(device, temporary, c, weight, plan.depth);
    return multiply_columns(device, temporary, turned, plan, g, rows, Tensor(), dx);
  }
  // The columns' gradient weight^T * g[image], kept in the accumulator's type until it is summed.
  const std::int64_t depth = plan_columns(c, t).depth;
  const Tensor rows = padded_weight(device, temporary, c, weight, depth);
  ColumnPlan plan = plan_columns(c, wide);
  plan.depth = depth;
  driver::Gemm product{.type = t, .out = wide};
  product.m = depth, product.n = c.pixels(), product.k = c.group_out();
  product.trans_a = true;
  product.lda = depth, product.ldb = product.ldc = c.pixels();
  product.a = rows.data();
  const std::int64_t image_size = plan.image_size(c);
  Tensor columns;
  if (!c.pointwise()) columns = temporary({plan.images, c.groups * depth, c.pixels()}, wide);
  for (std::int64_t first = 0; first < c.in.count; first += plan.images) {
    const std::int64_t images = std::min(plan.images, c.in.count - first);
    void* to = advanced(dx, first * image_elements(c));
    product.b = advanced(g, first * c.out_channels * c.pixels());
    product.c = c.pointwise() ? to : columns.data();
    grouped_gemm(device, product, images, c.groups, {0, product.k * depth},
                 {c.out_channels * product.n, product.k * product.n},
                 {image_size, product.m * product.n});
    if (c.pointwise()) continue;
    col2im(device, columns, t, to, column_params(c, images, plan.depth, image_size, c.pixels()));
  }
}

std::int64_t columns_input_bytes(const Conv& c, DType t) {
  if (c.pointwise()) return 0;
  ColumnPlan wide = plan_columns(c, accumulator(t));
  wide.depth = plan_columns(c, t).depth;
  std::int64_t bytes = held_bytes(wide.bytes(c, accumulator(t)));
  if (wide.depth != c.window()) bytes += held_bytes(c.out_channels * wide.depth * bytes_of(t));
  if (!has_adjoint(c, t, true)) return bytes;
  const Conv turned = adjoint(c);
  const ColumnPlan plan = plan_columns(turned, t);
  return std::max(bytes, held_bytes(plan.bytes(turned, t)) +
                             held_bytes(c.in.channels * plan.depth * bytes_of(t)));
}

void columns_weight(const Device& device, const Temporary& temporary, const Conv& c,
                    const Tensor& x, const Tensor& g, const Tensor& dw) {
  if (sums_images(c, dw.dtype())) return weight_by_images(device, temporary, c, x, g, dw);
  weight_at_once(device, temporary, c, x, g, dw);
}

std::int64_t columns_weight_bytes(const Conv& c, DType t) {
  const ColumnPlan plan = plan_columns(c, t);
  const std::int64_t wide = bytes_of(accumulator(t));
  if (sums_images(c, t))
    return held_bytes(plan.bytes(c, t)) +
           held_bytes(c.in.count * c.out_channels * plan.depth * wide);
  return held_bytes(plan.bytes(c, t)) +
         held_bytes(plan.images * c.out_channels * c.pixels() * bytes_of(t)) +
         (plan.images < c.in.count ? held_bytes(c.rows() * c.group_out() * wide) : 0);
}

}  // namespace flame
