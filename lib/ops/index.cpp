#include <algorithm>

#include "kernels/params.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/norm.h"
#include "lib/ops/ops.h"
#include "lib/ops/workspace.h"
#include "lib/tensor/runtime.h"

namespace flame {
namespace {

// A scalar counts as one dim of size 1.
Shape with_a_dim(const Shape& shape) { return shape.empty() ? Shape{1} : shape; }
Strides with_a_dim_strides(const Tensor& t) { return t.dim() == 0 ? Strides{1} : t.strides(); }

TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
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

// The launches of gather: see kernels/index.cu.
struct Call {
  const Device& device;
  const Tensor &input, &index, &out;
  const void* fault;

  KernelName kernel(std::string_view name) const {
    return {"index.cu", expression(name, index.dtype(), input.dtype())};
  }
};

// One line a block in shared memory. False where the dims do not allow it, or where a line is so
// much longer than its entries that most of it would be read in vain.
bool gather_lines(const Call& call, const flame_params::Gather& p) {
  constexpr std::int64_t kMostBytes = 64 << 10, kLinesPerEntry = 4;
  const int last = p.index.rank - 1;
  const long long entries = p.index.size[last];
  const auto size = static_cast<std::int64_t>(size_of(call.input.dtype()));
  if (p.dim != last || p.input_stride[last] != 1 || p.index_stride[last] != 1) return false;
  if (p.dim_size * size > kMostBytes || p.dim_size > kLinesPerEntry * entries) return false;
  flame_params::GatherLine line{};
  line.lines.rank = last;
  line.lines.numel = p.index.numel / entries;
  if (line.lines.numel > (1 << 30)) return false;
  const auto width = vector_width(call.input.dtype());
  const auto at_once = std::max(width, vector_width(call.index.dtype()));
  line.line_vectors = p.dim_size % width == 0 && is_aligned16(call.input.data());
  line.vectors = width >= vector_width(call.index.dtype()) && entries % at_once == 0 &&
                 is_aligned16(call.index.data()) && is_aligned16(call.out.data());
  for (int d = 0; d < last; ++d) {
    line.lines.size[d] = p.index.size[d];
    line.input_stride[d] = p.input_stride[d];
    line.index_stride[d] = p.index_stride[d];
    line.line_vectors &= p.input_stride[d] % width == 0;
    line.vectors &= p.index_stride[d] % vector_width(call.index.dtype()) == 0;
  }
  line.dim_size = p.dim_size;
  line.entries = entries;
  const std::int64_t threads =
      std::clamp<std::int64_t>(ceil_div(ceil_div(entries, width), 32) * 32, 32, 512);
  launch(call.device, call.kernel("gather_forward_line"), {static_cast<unsigned>(line.lines.numel)},
         {static_cast<unsigned>(threads)}, static_cast<unsigned>(p.dim_size * size),
         call.input.data(), call.index.data(), call.out.data(), call.fault, line);
  return true;
}

// Neighbouring columns read what the L2 cache holds. False where the dims do not allow it.
bool gather_strips(const Call& call, const flame_params::Gather& p) {
  constexpr std::int64_t kEntriesPerBlock = 64, kColumns = 32;
  const int last = p.index.rank - 1;
  if (p.dim != last - 1 || p.dim > 1) return false;
  const bool outer = p.dim == 1;
  flame_params::GatherStrip strip{};
  strip.entries = p.index.size[p.dim], strip.inner = p.index.size[last];
  strip.dim_size = p.dim_size;
  strip.input_outer = outer ? p.input_stride[0] : 0;
  strip.index_outer = outer ? p.index_stride[0] : 0;
  strip.input_dim = p.input_stride[p.dim], strip.input_inner = p.input_stride[last];
  strip.index_dim = p.index_stride[p.dim], strip.index_inner = p.index_stride[last];
  const std::int64_t blocks = (outer ? p.index.size[0] : 1) * ceil_div(strip.inner, kColumns) *
                              ceil_div(strip.entries, kEntriesPerBlock);
  if (blocks > (1 << 30)) return false;
  launch(call.device, call.kernel("gather_forward_strip"), {static_cast<unsigned>(blocks)},
         {kColumns, 8}, 0, call.input.data(), call.index.data(), call.out.data(), call.fault,
         strip);
  return true;
}

void gather_anything(const Call& call, const flame_params::Gather& p) {
  const auto blocks = std::min<std::int64_t>(ceil_div(call.out.numel(), 256), 1 << 30);
  launch(call.device, call.kernel("gather_forward"), {static_cast<unsigned>(blocks)}, {256}, 0,
         call.input.data(), call.index.data(), call.out.data(), call.fault, p);
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor &input = in[0], &index = in[1];
  const Tensor out = context.make_output();
  const Device& device = context.device();
  if (out.numel() > 0) {
    const int dim = normalize_dim("gather", attrs.get_int("dim"), input.shape().size());
    const void* fault = device.runtime().arm_fault("gather", device.stream());
    const Call call{device, input, index, out, fault};
    const flame_params::Gather p = params_of(input, index, dim);
    if (!gather_lines(call, p) && !gather_strips(call, p)) gather_anything(call, p);
  }
  if (context.needs_grad(0)) context.save(index);
  return out;
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
  // Lanes enough for whole 32-byte sectors of memory, few enough that many bins fit.
  constexpr std::int64_t kMostLanes = 8, kEach = 8;
  std::int64_t lanes = 1, threads = 32;
  while (lanes < kMostLanes && lanes < inner) lanes *= 2;
  const std::int64_t most = lanes > 1 ? 1024 : 512;
  while (threads < most && threads * kEach < lanes * p.entries) threads *= 2;

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

Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  Tensors out(2);
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
      .kernels = {"gather_forward*"},
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
