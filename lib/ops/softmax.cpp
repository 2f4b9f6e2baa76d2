#include <algorithm>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/norm.h"
#include "lib/ops/ops.h"
#include "lib/ops/workspace.h"

namespace flame {
namespace {

// The type to work in: attribute "dtype", else the input's.
DType work_dtype(const TensorDesc& input, const Attrs& attrs) {
  if (!attrs.has("dtype")) return input.dtype;
  const std::string& text = attrs.get_string("dtype");
  const auto dtype = parse_dtype(text);
  check<DTypeError>(dtype && is_floating(*dtype), "softmax: dtype '", text,
                    "' is not a floating type");
  return *dtype;
}

// The tensor as (outer, cols, inner), cols along dim.
struct Lines {
  std::int64_t outer = 1, cols = 1, inner = 1;
  std::int64_t count() const { return outer * inner; }
};

Lines lines_of(const Shape& shape, std::int64_t dim) {
  const int d = normalize_dim("softmax", dim, shape.size());
  Lines lines;
  for (int i = 0; i < static_cast<int>(shape.size()); ++i)
    (i < d ? lines.outer : i == d ? lines.cols : lines.inner) *= shape[i];
  return lines;
}

std::vector<TensorDesc> infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  normalize_dim("softmax", attrs.get_int("dim"), in[0].shape.size());
  return {{work_dtype(in[0], attrs), in[0].shape}};
}

// 32 lines a block; up to 16 threads share a line.
driver::Dim3 strided_block(std::int64_t cols) {
  unsigned share = 1;
  while (share < 16 && share * 4 <= cols) share *= 2;
  return {32, share, 1};
}

// How rows that are too long for one block's registers are shared by several blocks: see
// kernels/softmax_split.cu.
struct SplitPlan {
  std::int64_t segments = 0;  // of a row; 0: not this way
  std::int64_t segment = 0;   // elements
  driver::Dim3 grid, block;
  unsigned shared_bytes = 0;
};

// So many that what a block keeps of `tensors` rows is 32 KiB at most: several blocks share a
// processor.
std::int64_t segments_of(std::int64_t cols, DType t, std::int64_t tensors) {
  constexpr std::int64_t kKeptBytes = 32 << 10;
  if (t == DType::kFloat64) return 0;
  return ceil_div(cols, kKeptBytes / tensors / static_cast<std::int64_t>(size_of(t)));
}

SplitPlan plan_split(const Device& device, const Lines& lines, DType t, std::int64_t tensors) {
  constexpr std::int64_t kThreads = 256, kAlways = 32, kMostBlocks = std::int64_t{1} << 30;
  SplitPlan plan;
  const std::int64_t segments = segments_of(lines.cols, t, tensors), width = vector_width(t);
  // The blocks of a row should run at the same time.
  const std::int64_t together = std::max<std::int64_t>(kAlways, device.info().multiprocessors);
  if (segments < 2 || segments > together || lines.count() > kMostBlocks / segments) return plan;
  plan.segments = segments;
  plan.segment = ceil_div(ceil_div(lines.cols, segments), width) * width;
  plan.grid = {static_cast<unsigned>(lines.count() * segments)};
  plan.block = {static_cast<unsigned>(kThreads)};
  plan.shared_bytes =
      static_cast<unsigned>(plan.segment * tensors * static_cast<std::int64_t>(size_of(t)));
  return plan;
}

// The words in which blocks tell each other their sums: `words` for each segment.
template <class Context>
Tensor split_parts(Context& context, const SplitPlan& plan, const Lines& lines,
                   std::int64_t words) {
  const Tensor parts = context.temporary({lines.count(), plan.segments, words}, DType::kInt64);
  fill_into(parts, std::int64_t{-1});
  return parts;
}

void run_forward(OpContext& context, const Tensor& x, const Tensor& y, const Lines& lines) {
  const Device& device = context.device();
  const DType t = x.dtype();
  const long long rows = lines.count(), cols = lines.cols, inner = lines.inner;
  auto kernel = [](std::string e) { return driver::KernelId{"softmax.cu", std::move(e)}; };
  if (inner > 1) {
    launch(device, kernel(expression("softmax_forward_strided", t)),
           {static_cast<unsigned>(ceil_div(rows, 32))}, strided_block(cols), 0, x.data(), y.data(),
           rows, cols, inner);
    return;
  }
  const bool vectors = rows_are_vectors(cols, {x, y});
  const RowPlan plan = plan_rows(rows, cols, t, 4);
  if (plan.items) {
    launch(device, kernel(expression("softmax_forward_row", plan.items, t)), plan.grid, plan.block,
           0, x.data(), y.data(), rows, static_cast<int>(cols), vectors);
    return;
  }
  if (const SplitPlan split = plan_split(device, lines, t, 1); split.segments > 0) {
    const Tensor parts = split_parts(context, split, lines, 1);
    launch(device, {"softmax_split.cu", expression("softmax_forward_split", t)}, split.grid,
           split.block, split.shared_bytes, x.data(), y.data(), parts.data(), cols,
           static_cast<int>(split.segment), static_cast<int>(split.segments), vectors);
    return;
  }
  const LongRowPlan longer = plan_long_rows(device, rows, cols, 1, t);
  launch(device, kernel(expression("softmax_forward_long", t)), longer.grid, longer.block,
         longer.shared_bytes, x.data(), y.data(), cols, vectors, longer.kept);
}

void run_backward(BackwardContext& context, const Tensor& x, const Tensor& g, const Tensor& dx,
                  const Lines& lines) {
  const Device& device = context.device();
  const DType t = x.dtype();
  const long long rows = lines.count(), cols = lines.cols, inner = lines.inner;
  auto kernel = [](std::string e) { return driver::KernelId{"softmax.cu", std::move(e)}; };
  if (inner > 1) {
    launch(device, kernel(expression("softmax_backward_strided", t)),
           {static_cast<unsigned>(ceil_div(rows, 32))}, strided_block(cols), 0, x.data(), g.data(),
           dx.data(), rows, cols, inner);
    return;
  }
  const bool vectors = rows_are_vectors(cols, {x, g, dx});
  const RowPlan plan = plan_rows(rows, cols, t, 2);
  if (plan.items) {
    launch(device, kernel(expression("softmax_backward_row", plan.items, t)), plan.grid, plan.block,
           0, x.data(), g.data(), dx.data(), rows, static_cast<int>(cols), vectors);
    return;
  }
  if (const SplitPlan split = plan_split(device, lines, t, 2); split.segments > 0) {
    const Tensor parts = split_parts(context, split, lines, 2);
    launch(device, {"softmax_split.cu", expression("softmax_backward_split", t)}, split.grid,
           split.block, split.shared_bytes, x.data(), g.data(), dx.data(), parts.data(), cols,
           static_cast<int>(split.segment), static_cast<int>(split.segments), vectors);
    return;
  }
  const LongRowPlan longer = plan_long_rows(device, rows, cols, 2, t);
  launch(device, kernel(expression("softmax_backward_long", t)), longer.grid, longer.block,
         longer.shared_bytes, x.data(), g.data(), dx.data(), cols, vectors, longer.kept);
}

std::vector<Tensor> forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor x = as_contiguous(in[0], context.output().dtype);
  const Tensor y = context.make_output();
  if (y.numel() > 0) run_forward(context, x, y, lines_of(x.shape(), attrs.get_int("dim")));
  // Backward works from the input: the output may have been rounded to a half type.
  if (context.needs_grad(0)) context.save(x);
  return {y};
}

std::vector<Tensor> backward(BackwardContext& context, std::span<const Tensor> grads,
                             const Attrs& attrs) {
  const Tensor x = context.saved(0);
  const Tensor g = as_contiguous(grads[0]);
  const Tensor dx = context.make_gradient(0);
  if (dx.numel() == 0) return {dx};
  const Lines lines = lines_of(x.shape(), attrs.get_int("dim"));
  if (dx.dtype() == x.dtype()) {
    run_backward(context, x, g, dx, lines);
    return {dx};
  }
  const Tensor wide = context.temporary(x.shape(), x.dtype());
  run_backward(context, x, g, wide, lines);
  copy_into(dx, wide);
  return {dx};
}

Cost cost(std::span<const TensorDesc> in, const Attrs& attrs) {
  const auto n = static_cast<double>(numel(in[0].shape));
  const double bytes =
      static_cast<double>(size_of(in[0].dtype) + size_of(work_dtype(in[0], attrs)));
  return {5 * n, n * bytes};  // max, subtract, exp, sum, scale
}

// The input converted to another dtype; backward: the gradient before it is converted back. The
// sums of long rows' segments.
std::int64_t work_bytes(std::span<const TensorDesc> in, const Attrs& attrs, std::int64_t tensors,
                        std::int64_t words) {
  constexpr std::int64_t kWordBytes = 8;
  const DType t = work_dtype(in[0], attrs);
  const Lines lines = lines_of(in[0].shape, attrs.get_int("dim"));
  const std::int64_t segments = segments_of(lines.cols, t, tensors);
  const std::int64_t size = numel(in[0].shape) * static_cast<std::int64_t>(size_of(t));
  const bool split = lines.inner == 1 && segments > 1;
  return (t == in[0].dtype ? 0 : held_bytes(size)) +
         (split ? held_bytes(lines.count() * segments * words * kWordBytes) : 0);
}
std::int64_t workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  return work_bytes(in, attrs, 1, 1);
}
std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  return work_bytes(in, attrs, 2, 2);
}

}  // namespace

const OpDef& softmax_def() {
  static const OpDef def{
      .name = "softmax",
      .inputs = {{.name = "input"}},
      .attrs = {{"dim"}, {"dtype", AttrValue{}}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"softmax_forward_*", "copy*", "fill*"},
      .backward_kernels = {"softmax_backward_*", "copy*", "fill*"},
      .workspace = workspace,
      .backward_workspace = backward_workspace,
  };
  return def;
}

Tensor softmax(const Tensor& input, std::int64_t dim, std::optional<DType> dtype) {
  Attrs attrs{{"dim", dim}};
  if (dtype) attrs.set("dtype", std::string(name(*dtype)));
  return apply_one(softmax_def(), {input}, attrs);
}

}  // namespace flame
