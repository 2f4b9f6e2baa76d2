#include <algorithm>

#include "kernels/params.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/ops.h"
#include "lib/ops/workspace.h"
#include "lib/tensor/runtime.h"

namespace flame {
namespace {

// A scalar counts as one dim of size 1.
Shape with_a_dim(const Shape& shape) { return shape.empty() ? Shape{1} : shape; }
Strides with_a_dim_strides(const Tensor& t) { return t.dim() == 0 ? Strides{1} : t.strides(); }

std::vector<TensorDesc> infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  const int dim = normalize_dim("gather", attrs.get_int("dim"), in[0].shape.size());
  const Shape input = with_a_dim(in[0].shape), index = with_a_dim(in[1].shape);
  if (numel(index) == 0) return {{in[0].dtype, in[1].shape}};  // whatever its rank, as in PyTorch
  check<ShapeError>(input.size() == index.size(), "gather: index of shape ", to_string(in[1].shape),
                    " and input of shape ", to_string(in[0].shape),
                    " must have the same number of dims");
  for (std::size_t d = 0; d < input.size(); ++d)
    check<ShapeError>(static_cast<int>(d) == dim || index[d] <= input[d], "gather: index of shape ",
                      to_string(in[1].shape),
                      " is larger than input of "
                      "shape ",
                      to_string(in[0].shape), " in dim ", d, ", which is not dim ", dim);
  return {{in[0].dtype, in[1].shape}};
}

// Sizes and strides of a gather; neighbouring dims merged where both tensors allow it.
flame_params::Gather params_of(const Tensor& input, const Tensor& index, int dim) {
  const Shape sizes = with_a_dim(index.shape());
  const Strides in = with_a_dim_strides(input), at = with_a_dim_strides(index);
  flame_params::Gather p{};
  p.index.numel = index.numel();
  p.dim_size = with_a_dim(input.shape())[static_cast<std::size_t>(dim)];
  for (int d = 0; d < static_cast<int>(sizes.size()); ++d) {
    const auto i = static_cast<std::size_t>(d);
    const int last = p.index.rank - 1;
    const bool merge = d != dim && last >= 0 && d - 1 != dim &&
                       p.input_stride[last] == sizes[i] * in[i] &&
                       p.index_stride[last] == sizes[i] * at[i];
    const int slot = merge ? last : p.index.rank++;
    p.index.size[slot] = merge ? p.index.size[slot] * sizes[i] : sizes[i];
    p.input_stride[slot] = in[i];
    p.index_stride[slot] = at[i];
    if (d == dim) p.dim = slot;
  }
  return p;
}

std::vector<Tensor> forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor &input = in[0], &index = in[1];
  const Tensor out = context.make_output();
  const Device& device = context.device();
  if (out.numel() > 0) {
    const int dim = normalize_dim("gather", attrs.get_int("dim"), input.shape().size());
    const void* fault = device.runtime().arm_fault("gather", device.stream());
    const auto blocks = std::min<std::int64_t>(ceil_div(out.numel(), 256), 1 << 30);
    launch(device, {"index.cu", expression("gather_forward", index.dtype(), input.dtype())},
           {static_cast<unsigned>(blocks)}, {256}, 0, input.data(), index.data(), out.data(), fault,
           params_of(input, index, dim));
  }
  if (context.needs_grad(0)) context.save(index);
  return {out};
}

// The launch of the gradient: see kernels/index.cu.
struct LinesPlan {
  flame_params::GatherLines params{};
  driver::Dim3 grid, block;
  unsigned shared_bytes = 0;
};

LinesPlan plan_lines(const Device& device, const Tensor& index, const Tensor& dx, int dim) {
  LinesPlan plan;
  flame_params::GatherLines& p = plan.params;
  const Shape sizes = with_a_dim(dx.shape()), index_sizes = with_a_dim(index.shape());
  const Strides to = contiguous_strides(sizes), at = with_a_dim_strides(index),
                from = contiguous_strides(index_sizes);
  p.lines.numel = 1;
  std::int64_t inner = 1;  // neighbouring lines: the dims after dim
  for (int d = 0; d < static_cast<int>(sizes.size()); ++d) {
    const auto i = static_cast<std::size_t>(d);
    if (d == dim) {
      p.bins = sizes[i], p.bin_stride = to[i];
      p.entries = index_sizes[i], p.entry_stride = at[i], p.entry_grad_stride = from[i];
      continue;
    }
    const int slot = p.lines.rank++;
    p.lines.size[slot] = sizes[i];
    p.lines.numel *= sizes[i];
    p.line_stride[slot] = to[i];
    p.index_size[slot] = index_sizes[i];
    p.index_stride[slot] = at[i];
    p.grad_stride[slot] = from[i];
    if (d > dim) inner *= sizes[i];
  }
  std::int64_t lanes = 1, threads = 32;
  while (lanes < 32 && lanes < inner) lanes *= 2;
  // Few lines: larger blocks, since there are too few of them to fill the device.
  const std::int64_t most = p.lines.numel / lanes < 4 * device.info().multiprocessors ? 1024 : 256;
  while (threads < most && threads < lanes * p.entries) threads *= 2;

  constexpr std::int64_t kStaticShared = 1024, kClaim = 4;
  const std::int64_t bin_bytes =
      lanes * (static_cast<std::int64_t>(size_of(accumulator(dx.dtype()))) + kClaim);
  const std::int64_t shared =
      static_cast<std::int64_t>(device.info().max_shared_bytes) - kStaticShared;
  p.bins_per_block = std::min<std::int64_t>(p.bins, shared / bin_bytes);
  plan.shared_bytes = static_cast<unsigned>(p.bins_per_block * bin_bytes);
  plan.block = {static_cast<unsigned>(lanes), static_cast<unsigned>(threads / lanes)};
  plan.grid = {
      static_cast<unsigned>(ceil_div(p.lines.numel, lanes) * ceil_div(p.bins, p.bins_per_block))};
  return plan;
}

std::vector<Tensor> backward(BackwardContext& context, std::span<const Tensor> grads,
                             const Attrs& attrs) {
  std::vector<Tensor> out(2);
  const Tensor dx = out[0] = context.make_gradient(0);
  const Tensor index = context.saved(0);
  if (dx.numel() == 0) return out;
  if (index.numel() == 0) {
    fill_into(dx, 0);
    return out;
  }
  const Tensor g = as_contiguous(grads[0]);
  const int dim = normalize_dim("gather", attrs.get_int("dim"), dx.shape().size());
  const LinesPlan plan = plan_lines(context.device(), index, dx, dim);
  launch(context.device(), {"index.cu", expression("gather_backward", index.dtype(), dx.dtype())},
         plan.grid, plan.block, plan.shared_bytes, g.data(), index.data(), dx.data(), plan.params);
  return out;
}

Cost cost(std::span<const TensorDesc> in, const Attrs&) {
  const auto n = static_cast<double>(numel(in[1].shape));
  return {0, n * (2 * static_cast<double>(size_of(in[0].dtype)) +
                  static_cast<double>(size_of(in[1].dtype)))};
}

// The word in which the kernel reports an index out of range.
std::int64_t workspace(std::span<const TensorDesc>, const Attrs&) {
  return held_bytes(sizeof(FaultWord));
}
std::int64_t no_workspace(std::span<const TensorDesc>, const Attrs&) { return 0; }

}  // namespace

const OpDef& gather_def() {
  static const OpDef def{
      .name = "gather",
      .inputs = {{.name = "input"}, {.name = "index", .differentiable = false, .dtypes = kIndex}},
      .attrs = {{"dim"}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"gather_forward<*"},
      .backward_kernels = {"gather_backward<*", "copy*", "fill*"},
      .workspace = workspace,
      .backward_workspace = no_workspace,
  };
  return def;
}

Tensor gather(const Tensor& input, std::int64_t dim, const Tensor& index) {
  return apply_one(gather_def(), {input, index}, {{"dim", dim}});
}

}  // namespace flame
