#include "lib/ops/conv.h"

#include <algorithm>
#include <limits>

#include "kernels/params.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/conv_direct.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/matmul.h"
#include "lib/ops/ops.h"
#include "lib/ops/workspace.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {

namespace {

// Columns are made for as many images at a time as fit into this (one image at least).
constexpr std::int64_t kColumnBytes = std::int64_t{256} << 20;

std::int64_t images_at_once(const Conv& c, DType t) {
  const std::int64_t each = std::max<std::int64_t>(c.column_bytes(t), 1);
  return std::clamp<std::int64_t>(kColumnBytes / each, 1, std::max<std::int64_t>(c.in.count, 1));
}

std::vector<TensorDesc> infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Conv c = conv_of(in[0].shape, in[1].shape, attrs);
  check<DTypeError>(in[1].dtype == in[0].dtype && (!in[2].defined || in[2].dtype == in[0].dtype),
                    "conv2d: input is ", name(in[0].dtype), ", weight ", name(in[1].dtype),
                    in[2].defined ? str_cat(", bias ", name(in[2].dtype)) : "");
  if (in[2].defined)
    check<ShapeError>(in[2].shape == Shape{c.out_channels}, "conv2d: bias has shape ",
                      to_string(in[2].shape), ", expected (", c.out_channels, ")");
  Shape out;
  if (c.in.batched) out.push_back(c.in.count);
  out.insert(out.end(), {c.out_channels, c.out[0], c.out[1]});
  numel(out, size_of(in[0].dtype));
  return {{in[0].dtype, out}};
}

driver::KernelId conv_kernel(std::string_view kernel, DType t) {
  return {"conv.cu", expression(kernel, t)};
}

driver::Dim3 grid_for(std::int64_t threads) {
  return {static_cast<unsigned>(std::min<std::int64_t>(ceil_div(threads, 256), 1 << 30))};
}

void* advanced(const Tensor& t, std::int64_t elements) {
  return static_cast<char*>(t.data()) + elements * static_cast<std::int64_t>(size_of(t.dtype()));
}

flame_params::Im2col im2col_params(const Conv& c, std::int64_t images, std::int64_t image_stride,
                                   std::int64_t row_stride) {
  flame_params::Im2col p{};
  p.images = images, p.channels = c.in.channels;
  p.image_stride = image_stride, p.row_stride = row_stride;
  auto narrow = [](std::int64_t v) { return static_cast<int>(v); };
  p.height = narrow(c.in.size[0]), p.width = narrow(c.in.size[1]);
  p.out_h = narrow(c.out[0]), p.out_w = narrow(c.out[1]);
  p.kernel_h = narrow(c.kernel[0]), p.kernel_w = narrow(c.kernel[1]);
  p.stride_h = narrow(c.stride[0]), p.stride_w = narrow(c.stride[1]);
  p.pad_h = narrow(c.pad[0]), p.pad_w = narrow(c.pad[1]);
  p.dilation_h = narrow(c.dilation[0]), p.dilation_w = narrow(c.dilation[1]);
  return p;
}

void im2col(const Device& device, const void* x, DType t, const Tensor& columns,
            const flame_params::Im2col& p) {
  const std::int64_t threads = p.images * p.channels * p.out_h * p.out_w;
  if (threads > 0)
    launch(device, conv_kernel("conv_im2col", t), grid_for(threads), {256}, 0, x, columns.data(),
           p);
}

// What one operand of a product advances by from image to image, and from group to group.
struct Steps {
  std::int64_t image, group;
};

// The product for every image and group: the larger of the two is its batch, the other a loop.
void grouped_gemm(const Device& device, driver::Gemm g, std::int64_t images, std::int64_t groups,
                  Steps a, Steps b, Steps c) {
  const bool batch_groups = groups > images;
  g.batch = batch_groups ? groups : images;
  g.stride_a = batch_groups ? a.group : a.image;
  g.stride_b = batch_groups ? b.group : b.image;
  g.stride_c = batch_groups ? c.group : c.image;
  const auto step_a =
      (batch_groups ? a.image : a.group) * static_cast<std::int64_t>(size_of(g.type));
  const auto step_b =
      (batch_groups ? b.image : b.group) * static_cast<std::int64_t>(size_of(g.type));
  const auto step_c =
      (batch_groups ? c.image : c.group) * static_cast<std::int64_t>(size_of(g.out));
  for (std::int64_t i = 0; i < (batch_groups ? images : groups); ++i) {
    gemm(device, g);
    g.a = static_cast<const char*>(g.a) + step_a;
    g.b = static_cast<const char*>(g.b) + step_b;
    g.c = static_cast<char*>(g.c) + step_c;
  }
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
  launch(device, conv_kernel("conv_add_bias", bias.dtype()), {static_cast<unsigned>(blocks)}, {256},
         0, product, bias.data(), y, channels, pixels, blocks_a_plane);
}

// y[image] = weight * columns(x[image]) + bias, the columns for a few images at a time. With a bias
// the product stays in the accumulator's type until both are added: a vendor's product of half
// types may be rounded before it is added to.
void columns_forward(OpContext& context, const Conv& c, const Tensor& x, const Tensor& weight,
                     const Tensor& bias, const Tensor& y) {
  const Device& device = context.device();
  const DType t = x.dtype(), wide = bias.defined() ? accumulator(t) : t;
  driver::Gemm g{.type = t, .out = wide};
  g.m = c.group_out(), g.n = c.pixels(), g.k = c.window();
  g.lda = std::max<std::int64_t>(g.k, 1), g.ldb = g.ldc = c.pixels();
  const std::int64_t step = images_at_once(c, t), image_size = c.rows() * c.pixels();
  Tensor columns, product;
  if (!c.pointwise()) columns = context.temporary({step, c.rows(), c.pixels()}, t);
  if (bias.defined()) product = context.temporary({step, c.out_channels, c.pixels()}, wide);
  for (std::int64_t first = 0; first < c.in.count; first += step) {
    const std::int64_t images = std::min(step, c.in.count - first);
    const void* from = advanced(x, first * c.in.channels * c.in.size[0] * c.in.size[1]);
    if (!c.pointwise())
      im2col(device, from, t, columns, im2col_params(c, images, image_size, c.pixels()));
    void* const to = advanced(y, first * c.out_channels * c.pixels());
    g.a = weight.data(), g.b = c.pointwise() ? from : columns.data();
    g.c = bias.defined() ? product.data() : to;
    grouped_gemm(device, g, images, c.groups, {0, g.m * g.k}, {image_size, g.k * g.n},
                 {c.out_channels * g.n, g.m * g.n});
    if (bias.defined()) add_bias(device, c, product.data(), bias, to, images);
  }
}

std::vector<Tensor> forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor x = as_contiguous(in[0]), weight = as_contiguous(in[1]);
  const Tensor bias = in[2].defined() ? as_contiguous(in[2]) : Tensor();
  const Tensor y = context.make_output();
  const Conv c = conv_of(x.shape(), weight.shape(), attrs);
  const DepthwisePlan depthwise = plan_depthwise(c, x.dtype());
  if (y.numel() > 0 && depthwise.fits)
    depthwise_forward(context.device(), depthwise, x, weight, bias, y);
  else if (y.numel() > 0)
    columns_forward(context, c, x, weight, bias, y);
  if (context.needs_any_grad()) {
    context.save(context.needs_grad(1) ? x : Tensor());
    context.save(context.needs_grad(0) ? weight : Tensor());
  }
  return {y};
}

// The columns' gradient weight^T * g[image], kept in the accumulator's type until it is summed.
void input_gradient(BackwardContext& context, const Conv& c, const Tensor& weight, const Tensor& g,
                    const Tensor& dx) {
  if (dx.numel() == 0) return;
  const DepthwisePlan depthwise = plan_depthwise(c, dx.dtype());
  if (depthwise.fits) return depthwise_input(context.device(), depthwise, g, weight, dx);
  const DType t = dx.dtype(), wide = c.pointwise() ? t : accumulator(t);
  driver::Gemm product{.type = t, .out = wide};
  product.m = c.window(), product.n = c.pixels(), product.k = c.group_out();
  product.trans_a = true;
  product.lda = c.window(), product.ldb = product.ldc = c.pixels();
  const std::int64_t step = images_at_once(c, wide), image_size = c.rows() * c.pixels();
  Tensor columns;
  if (!c.pointwise()) columns = context.temporary({step, c.rows(), c.pixels()}, wide);
  for (std::int64_t first = 0; first < c.in.count; first += step) {
    const std::int64_t images = std::min(step, c.in.count - first);
    void* to = advanced(dx, first * c.in.channels * c.in.size[0] * c.in.size[1]);
    product.a = weight.data();
    product.b = advanced(g, first * c.out_channels * c.pixels());
    product.c = c.pointwise() ? to : columns.data();
    grouped_gemm(context.device(), product, images, c.groups, {0, product.k * product.m},
                 {c.out_channels * product.n, product.k * product.n},
                 {image_size, product.m * product.n});
    if (c.pointwise()) continue;
    const std::int64_t threads = images * c.in.channels * c.in.size[0] * c.in.size[1];
    launch(context.device(), conv_kernel("conv_col2im", t), grid_for(threads), {256}, 0,
           columns.data(), to, im2col_params(c, images, image_size, c.pixels()));
  }
}

// g * columns^T over all images: (image, pixel) is the inner dim of one product a group, so that
// the sum stays in the accumulator; chunks of images add up in the accumulator's type.
void weight_gradient(BackwardContext& context, const Conv& c, const Tensor& x, const Tensor& g,
                     const Tensor& dw) {
  if (dw.numel() == 0) return;
  if (c.in.count == 0) return fill_into(dw, 0);
  const DType t = dw.dtype();
  const DepthwisePlan depthwise = plan_depthwise(c, t);
  if (depthwise.fits) return depthwise_weight(context, c, depthwise, x, g, dw);
  if (pointwise_bytes(c, t) > 0) return pointwise_weight(context, c, x, g, dw);
  const std::int64_t step = images_at_once(c, t), pixels = c.pixels();
  const bool one_chunk = step >= c.in.count;
  const Tensor sum = one_chunk ? dw : context.temporary(dw.shape(), accumulator(t));
  const Tensor columns = context.temporary({c.rows(), step, pixels}, t);
  const Tensor turned = step > 1 ? context.temporary({c.out_channels, step, pixels}, t) : Tensor();
  for (std::int64_t first = 0; first < c.in.count; first += step) {
    const std::int64_t images = std::min(step, c.in.count - first), inner = images * pixels;
    im2col(context.device(), advanced(x, first * c.in.channels * c.in.size[0] * c.in.size[1]), t,
           columns, im2col_params(c, images, pixels, inner));
    const std::int64_t start = g.storage_offset() + first * c.out_channels * pixels;
    driver::Gemm product{.type = t, .out = sum.dtype()};
    product.a = advanced(g, first * c.out_channels * pixels);
    if (images > 1) {
      const Shape shape{c.out_channels, images, pixels};
      copy_into(make_view(turned, shape, contiguous_strides(shape), turned.storage_offset()),
                make_view(g, shape, {pixels, c.out_channels * pixels, 1}, start));
      product.a = turned.data();
    }
    product.b = columns.data(), product.c = sum.data();
    product.m = c.group_out(), product.n = c.window(), product.k = inner;
    product.trans_b = true;
    product.lda = product.ldb = inner, product.ldc = product.n;
    product.batch = c.groups;
    product.stride_a = product.m * inner, product.stride_b = product.n * inner;
    product.stride_c = product.m * product.n;
    product.beta = first == 0 ? 0 : 1;
    gemm(context.device(), product);
  }
  if (!one_chunk) copy_into(dw, sum);
}

// (image, pixel) pairs that one block sums for the bias.
std::int64_t bias_chunk(const Conv& c) {
  return std::max<std::int64_t>(4096, ceil_div(c.in.count * c.pixels(), 64));
}

void bias_gradient(BackwardContext& context, const Conv& c, const Tensor& g, const Tensor& db) {
  if (db.numel() == 0) return;
  if (c.in.count == 0) return fill_into(db, 0);
  const long long channels = c.out_channels, images = c.in.count, pixels = c.pixels(),
                  chunk = bias_chunk(c), chunks = ceil_div(images * pixels, chunk);
  const Tensor partial = context.temporary({chunks, channels}, accumulator(db.dtype()));
  launch(context.device(), conv_kernel("conv_bias_partial", db.dtype()),
         {static_cast<unsigned>(chunks * channels)}, {256}, 0, g.data(), partial.data(), channels,
         images, pixels, chunk);
  launch(context.device(), conv_kernel("conv_bias_finish", db.dtype()), grid_for(channels), {256},
         0, partial.data(), db.data(), chunks, channels);
}

std::vector<Tensor> backward(BackwardContext& context, std::span<const Tensor> grads,
                             const Attrs& attrs) {
  const Conv c = conv_of(context.input(0).shape, context.input(1).shape, attrs);
  const Tensor g = as_contiguous(grads[0]);
  std::vector<Tensor> out(3);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (context.needs_grad(i)) out[i] = context.make_gradient(i);
  if (out[0].defined()) input_gradient(context, c, context.saved(1), g, out[0]);
  if (out[1].defined()) weight_gradient(context, c, context.saved(0), g, out[1]);
  if (out[2].defined()) bias_gradient(context, c, g, out[2]);
  return out;
}

Cost cost(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Conv c = conv_of(in[0].shape, in[1].shape, attrs);
  const auto outputs = static_cast<double>(c.in.count * c.out_channels * c.pixels());
  double elements = outputs;
  for (const TensorDesc& d : in) elements += d.defined ? static_cast<double>(numel(d.shape)) : 0;
  return {2 * outputs * static_cast<double>(c.window()),
          elements * static_cast<double>(size_of(in[0].dtype))};
}

std::int64_t workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Conv c = conv_of(in[0].shape, in[1].shape, attrs);
  const DType t = in[0].dtype;
  if (plan_depthwise(c, t).fits) return 0;
  const std::int64_t step = images_at_once(c, t);
  const auto wide_size = static_cast<std::int64_t>(size_of(accumulator(t)));
  return (c.pointwise() ? 0 : held_bytes(step * c.column_bytes(t))) +
         (in[2].defined ? held_bytes(step * c.out_channels * c.pixels() * wide_size) : 0);
}

// The largest of the three gradients' needs, which follow one another.
std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Conv c = conv_of(in[0].shape, in[1].shape, attrs);
  const DType t = in[0].dtype, wide = accumulator(t);
  const auto wide_size = static_cast<std::int64_t>(size_of(wide));
  const std::int64_t step = images_at_once(c, t);
  const std::int64_t for_input =
      c.pointwise() ? 0 : held_bytes(images_at_once(c, wide) * c.column_bytes(wide));
  const std::int64_t for_weight =
      held_bytes(step * c.column_bytes(t)) +
      held_bytes(step * c.out_channels * c.pixels() * static_cast<std::int64_t>(size_of(t))) +
      (step < c.in.count ? held_bytes(numel(in[1].shape) * wide_size) : 0);
  const std::int64_t for_bias = held_bytes(64 * c.out_channels * wide_size);
  if (plan_depthwise(c, t).fits) {
    return std::max(held_bytes(depthwise_bytes(c, t)), for_bias);
  }
  if (pointwise_bytes(c, t) > 0) return std::max(held_bytes(pointwise_bytes(c, t)), for_bias);
  return std::max({for_input, for_weight, for_bias});
}

}  // namespace

const OpDef& conv2d_def() {
  static const OpDef def{
      .name = "conv2d",
      .inputs = {{.name = "input"}, {.name = "weight"}, {.name = "bias", .optional = true}},
      .attrs = {{"stride", AttrValue{IntList{1}}},
                {"padding", AttrValue{IntList{0}}},
                {"dilation", AttrValue{IntList{1}}},
                {"groups", AttrValue{std::int64_t{1}}}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"conv_*", "gemm_*", "*gemm*", "*gemv*", "nvjet*", "*cutlass*", "*cublasLt*",
                  "*splitK*", "copy*"},
      .backward_kernels = {"conv_*", "gemm_*", "*gemm*", "*gemv*", "nvjet*", "*cutlass*",
                           "*cublasLt*", "*splitK*", "copy*", "fill*"},
      .workspace = workspace,
      .backward_workspace = backward_workspace,
  };
  return def;
}

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const IntList& stride,
              const IntList& padding, const IntList& dilation, std::int64_t groups) {
  return apply_one(
      conv2d_def(), {input, weight, bias},
      {{"stride", stride}, {"padding", padding}, {"dilation", dilation}, {"groups", groups}});
}

}  // namespace flame
