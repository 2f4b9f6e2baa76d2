#include "lib/ops/conv.h"

#include <algorithm>
#include <limits>

#include "kernels/params.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/conv_columns.h"
#include "lib/ops/conv_depthwise_rows.h"
#include "lib/ops/conv_direct.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/ops.h"
#include "lib/ops/workspace.h"

namespace flame {

namespace {

TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
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

KernelName conv_kernel(std::string_view kernel, DType t) {
  return {"conv.cu", expression(kernel, t)};
}

driver::Dim3 grid_for(std::int64_t threads) {
  return {static_cast<unsigned>(std::min<std::int64_t>(ceil_div(threads, 256), 1 << 30))};
}

template <class Context>
Temporary temporary_of(const Context& context) {
  return [&context](const Shape& shape, DType t) { return context.temporary(shape, t); };
}

void output(const OpContext& context, const Conv& c, const Tensor& x, const Tensor& weight,
            const Tensor& bias, const Tensor& y) {
  if (depthwise_rows_forward(context.device(), c, x, weight, bias, y)) return;
  const DepthwisePlan depthwise = plan_depthwise(c, x.dtype());
  if (depthwise.fits) return depthwise_forward(context.device(), depthwise, x, weight, bias, y);
  columns_forward(context.device(), temporary_of(context), c, x, weight, bias, y);
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor x = as_contiguous(in[0]), weight = as_contiguous(in[1]);
  const Tensor bias = in[2].defined() ? as_contiguous(in[2]) : Tensor();
  const Tensor y = context.make_output();
  const Conv c = conv_of(x.shape(), weight.shape(), attrs);
  if (y.numel() > 0) output(context, c, x, weight, bias, y);
  if (context.needs_any_grad()) {
    context.save(context.needs_grad(1) ? x : Tensor());
    context.save(context.needs_grad(0) ? weight : Tensor());
  }
  return y;
}

void input_gradient(BackwardContext& context, const Conv& c, const Tensor& weight, const Tensor& g,
                    const Tensor& dx) {
  if (dx.numel() == 0) return;
  const DepthwisePlan depthwise = plan_depthwise(c, dx.dtype());
  if (depthwise.fits) return depthwise_input(context.device(), depthwise, g, weight, dx);
  columns_input(context.device(), temporary_of(context), c, weight, g, dx);
}

void weight_gradient(BackwardContext& context, const Conv& c, const Tensor& x, const Tensor& g,
                     const Tensor& dw) {
  if (dw.numel() == 0) return;
  if (c.in.count == 0) return fill_into(dw, 0);
  const DepthwisePlan depthwise = plan_depthwise(c, dw.dtype());
  if (depthwise.fits) return depthwise_weight(context, c, depthwise, x, g, dw);
  if (pointwise_bytes(c, dw.dtype()) > 0) return pointwise_weight(context, c, x, g, dw);
  columns_weight(context.device(), temporary_of(context), c, x, g, dw);
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

Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  const Conv c = conv_of(context.input(0).shape, context.input(1).shape, attrs);
  const Tensor g = as_contiguous(grads[0]);
  Tensors out(3);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (context.needs_grad(i)) out[i] = context.make_gradient(i);
  const Tensor x = context.saved(0), weight = context.saved(1);
  const GradientsMade made = depthwise_rows_backward(context, c, x, weight, g, out[0], out[1]);
  // The large one last: what is written last lies in the cache for the op that comes next.
  if (out[2].defined()) bias_gradient(context, c, g, out[2]);
  if (out[1].defined() && !made.weight) weight_gradient(context, c, x, g, out[1]);
  if (out[0].defined() && !made.input) input_gradient(context, c, weight, g, out[0]);
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
  return plan_depthwise(c, t).fits ? 0 : columns_forward_bytes(c, t, in[2].defined);
}

// The largest of the three gradients' needs, which follow one another.
std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Conv c = conv_of(in[0].shape, in[1].shape, attrs);
  const DType t = in[0].dtype;
  const std::int64_t for_bias =
      held_bytes(64 * c.out_channels * static_cast<std::int64_t>(size_of(accumulator(t))));
  const std::int64_t rows = held_bytes(depthwise_rows_bytes(c, t));
  if (plan_depthwise(c, t).fits)
    return std::max({rows, held_bytes(depthwise_bytes(c, t)), for_bias});
  const std::int64_t for_weight =
      pointwise_bytes(c, t) > 0 ? held_bytes(pointwise_bytes(c, t)) : columns_weight_bytes(c, t);
  return std::max({rows, columns_input_bytes(c, t), for_weight, for_bias});
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
