#include <algorithm>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
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

TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  normalize_dim("softmax", attrs.get_int("dim"), in[0].shape.size());
  return {{work_dtype(in[0], attrs), in[0].shape}};
}

// 32 lines a block; up to 16 threads share a line.
driver::Dim3 strided_block(std::int64_t cols) {
  unsigned share = 1;
  while (share < 16 && share * 4 <= cols) share *= 2;
  return {32, share, 1};
}

// Of so many terms an exp of fewer instructions will do for half types: kernels/softmax_sums.cuh.
constexpr std::int64_t kManyTerms = 8192;

// Whether rows that would fit into registers are faster in shared memory: instructions are what
// they wait for.
bool prefers_segments(std::int64_t cols, DType t) { return size_of(t) == 2 && cols >= kManyTerms; }

// How lines are shared by several blocks: see kernels/softmax_split.cu and softmax_columns.cu.
struct SplitPlan {
  std::int64_t segments = 0;  // of a line; 0: not this way
  std::int64_t segment = 0;   // elements of a line
  std::int64_t blocks = 0;    // segments of all rows, or of all strips of lines
  std::int64_t words = 0;     // in which blocks tell each other their sums
  driver::Dim3 grid, block;
  unsigned shared_bytes = 0;
};
constexpr std::int64_t kRowThreads = 128, kColumnThreads = 256;

// Of one row: so many that what a block keeps of `tensors` rows is 32 KiB at most. Six blocks and
// more share a processor.
std::int64_t row_segments(std::int64_t cols, DType t, std::int64_t tensors) {
  constexpr std::int64_t kKeptBytes = 32 << 10;
  return ceil_div(cols, kKeptBytes / tensors / static_cast<std::int64_t>(size_of(t)));
}
// Of 128 bytes of neighbouring lines: 64 KiB of all tensors. Three blocks share a processor.
constexpr std::int64_t kStripBytes = 128;
std::int64_t column_segments(std::int64_t cols, std::int64_t tensors) {
  constexpr std::int64_t kKeptBytes = 64 << 10;
  return ceil_div(cols, kKeptBytes / tensors / kStripBytes);
}
std::int64_t strips_of(const Lines& lines, DType t) {
  return ceil_div(lines.inner * static_cast<std::int64_t>(size_of(t)), kStripBytes);
}

bool can_split(const Device& device, std::int64_t segments, std::int64_t groups) {
  constexpr std::int64_t kAlways = 32, kMostBlocks = std::int64_t{1} << 30;
  // The blocks of a line should run at the same time.
  return segments <= std::max<std::int64_t>(kAlways, device.info().multiprocessors) &&
         groups <= kMostBlocks / segments;
}

SplitPlan plan_rows_split(const Device& device, const Lines& lines, DType t, std::int64_t tensors) {
  constexpr std::int64_t kMostBlocks = 8, kStaticShared = 1536;  // the kernel's and the system's
  constexpr std::int64_t kLineBytes = 128;  // of the cache: a warp's accesses touch four
  SplitPlan plan;
  if (t == DType::kFloat64) return plan;
  const std::int64_t segments = row_segments(lines.cols, t, tensors),
                     line = kLineBytes / static_cast<std::int64_t>(size_of(t));
  if (!can_split(device, segments, lines.count())) return plan;
  plan.segments = segments;
  plan.segment = ceil_div(ceil_div(lines.cols, segments), line) * line;
  plan.blocks = lines.count() * segments;
  plan.words = plan.blocks * tensors;
  const std::int64_t kept = plan.segment * tensors * static_cast<std::int64_t>(size_of(t));
  plan.shared_bytes = static_cast<unsigned>(kept);
  plan.block = {static_cast<unsigned>(kRowThreads)};
  // Blocks that take one segment after another pay where many wait for each other.
  const std::int64_t many = tensors == 1 ? 16 : 6;
  const auto shared = static_cast<std::int64_t>(device.info().max_shared_bytes);
  const std::int64_t resident =
      device.info().multiprocessors * std::min(kMostBlocks, shared / (kept + kStaticShared));
  plan.grid = {
      static_cast<unsigned>(segments < many ? plan.blocks : std::min(plan.blocks, resident))};
  return plan;
}

SplitPlan plan_columns(const Device& device, const Lines& lines, DType t,
                       std::initializer_list<Tensor> all) {
  constexpr std::int64_t kRound = 256, kLeastCols = 128, kMostCols = std::int64_t{1} << 30;
  const std::int64_t tensors = static_cast<std::int64_t>(all.size()) - 1;  // all but the result
  SplitPlan plan;
  if (t == DType::kFloat64 || lines.cols < kLeastCols || lines.cols > kMostCols ||
      lines.inner * static_cast<std::int64_t>(size_of(t)) < kStripBytes ||
      !rows_are_vectors(lines.inner, all))
    return plan;
  const std::int64_t segments = column_segments(lines.cols, tensors),
                     strips = lines.outer * strips_of(lines, t);
  if (!can_split(device, segments, strips)) return plan;
  plan.segments = segments;
  plan.segment = ceil_div(ceil_div(lines.cols, segments), kRound) * kRound;
  plan.blocks = strips * segments;
  plan.words = plan.blocks * tensors * kStripBytes / static_cast<std::int64_t>(size_of(t));
  plan.grid = {static_cast<unsigned>(plan.blocks)};
  plan.block = {static_cast<unsigned>(kColumnThreads)};
  plan.shared_bytes = static_cast<unsigned>(plan.segment * tensors * kStripBytes);
  return plan;
}

// The words, filled; none where a line is one block's.
template <class Context>
Tensor split_words(Context& context, const SplitPlan& plan) {
  constexpr std::int64_t kThreads = 256;
  if (plan.segments == 1) return {};
  Tensor words = context.temporary({plan.words}, DType::kInt64);
  launch(context.device(), {"softmax_split.cu", "softmax_words"},
         {static_cast<unsigned>(ceil_div(plan.words, kThreads))}, {static_cast<unsigned>(kThreads)},
         0, words.data(), static_cast<long long>(plan.words));
  return words;
}

// Where there are words the launch before is the one that fills them, and the only one that the
// kernel still has to wait for.
template <class... Args>
void launch_split(const Device& device, const KernelName& kernel, const SplitPlan& plan,
                  const Args&... args) {
  const auto go = plan.segments == 1 ? &launch<Args...> : &launch_early<Args...>;
  go(device, kernel, plan.grid, plan.block, plan.shared_bytes, args...);
}

// `tensors`: their data, the result's last.
template <class Context, class... Tensors>
void run_rows_split(Context& context, std::string_view kernel, const SplitPlan& plan, DType t,
                    long long cols, bool vectors, const Tensors&... tensors) {
  const Tensor words = split_words(context, plan);
  const void* const filled = words.defined() ? words.data() : nullptr;
  launch_split(context.device(), {"softmax_split.cu", expression(kernel, t, vectors)}, plan,
               tensors.data()..., filled, cols, static_cast<int>(plan.segment),
               static_cast<int>(plan.segments), static_cast<int>(plan.blocks));
}
template <class Context, class... Tensors>
void run_columns(Context& context, std::string_view kernel, const SplitPlan& plan, DType t,
                 const Lines& lines, const Tensors&... tensors) {
  const bool many = size_of(t) > 2 || lines.cols >= kManyTerms;
  const Tensor words = split_words(context, plan);
  const void* const filled = words.defined() ? words.data() : nullptr;
  launch_split(context.device(), {"softmax_columns.cu", expression(kernel, t, many)}, plan,
               tensors.data()..., filled, static_cast<int>(lines.cols),
               static_cast<long long>(lines.inner), static_cast<int>(plan.segment),
               static_cast<int>(plan.segments), static_cast<long long>(strips_of(lines, t)));
}

void run_forward(OpContext& context, const Tensor& x, const Tensor& y, const Lines& lines) {
  const Device& device = context.device();
  const DType t = x.dtype();
  const long long rows = lines.count(), cols = lines.cols, inner = lines.inner;
  auto kernel = [](const Expression& e) { return KernelName{"softmax.cu", e}; };
  if (inner > 1) {
    if (const SplitPlan plan = plan_columns(device, lines, t, {x, y}); plan.segments > 0)
      return run_columns(context, "softmax_forward_columns", plan, t, lines, x, y);
    launch(device, kernel(expression("softmax_forward_strided", t)),
           {static_cast<unsigned>(ceil_div(rows, 32))}, strided_block(cols), 0, x.data(), y.data(),
           rows, cols, inner);
    return;
  }
  const bool vectors = rows_are_vectors(cols, {x, y});
  const RowPlan plan = plan_rows(rows, cols, t, 4);
  if (plan.items && !prefers_segments(cols, t)) {
    launch(device, kernel(expression("softmax_forward_row", plan.items, t)), plan.grid, plan.block,
           0, x.data(), y.data(), rows, static_cast<int>(cols), vectors);
    return;
  }
  if (const SplitPlan split = plan_rows_split(device, lines, t, 1); split.segments > 0)
    return run_rows_split(context, "softmax_forward_split", split, t, cols, vectors, x, y);
  const LongRowPlan longer = plan_long_rows(device, rows, cols, 1, t);
  launch(device, kernel(expression("softmax_forward_long", t)), longer.grid, longer.block,
         longer.shared_bytes, x.data(), y.data(), cols, vectors, longer.kept);
}

void run_backward(BackwardContext& context, const Tensor& x, const Tensor& g, const Tensor& dx,
                  const Lines& lines) {
  const Device& device = context.device();
  const DType t = x.dtype();
  const long long rows = lines.count(), cols = lines.cols, inner = lines.inner;
  auto kernel = [](const Expression& e) { return KernelName{"softmax.cu", e}; };
  if (inner > 1) {
    if (const SplitPlan plan = plan_columns(device, lines, t, {x, g, dx}); plan.segments > 0)
      return run_columns(context, "softmax_backward_columns", plan, t, lines, x, g, dx);
    launch(device, kernel(expression("softmax_backward_strided", t)),
           {static_cast<unsigned>(ceil_div(rows, 32))}, strided_block(cols), 0, x.data(), g.data(),
           dx.data(), rows, cols, inner);
    return;
  }
  const bool vectors = rows_are_vectors(cols, {x, g, dx});
  const RowPlan plan = plan_rows(rows, cols, t, 2);
  if (plan.items && !prefers_segments(cols, t)) {
    launch(device, kernel(expression("softmax_backward_row", plan.items, t)), plan.grid, plan.block,
           0, x.data(), g.data(), dx.data(), rows, static_cast<int>(cols), vectors);
    return;
  }
  if (const SplitPlan split = plan_rows_split(device, lines, t, 2); split.segments > 0)
    return run_rows_split(context, "softmax_backward_split", split, t, cols, vectors, x, g, dx);
  const LongRowPlan longer = plan_long_rows(device, rows, cols, 2, t);
  launch(device, kernel(expression("softmax_backward_long", t)), longer.grid, longer.block,
         longer.shared_bytes, x.data(), g.data(), dx.data(), cols, vectors, longer.kept);
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor x = as_contiguous(in[0], context.output().dtype);
  const Tensor y = context.make_output();
  if (y.numel() > 0) run_forward(context, x, y, lines_of(x.shape(), attrs.get_int("dim")));
  // Backward works from the input: the output may have been rounded to a half type.
  if (context.needs_grad(0)) context.save(x);
  return y;
}

Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  const Tensor x = context.saved(0);
  const Tensor g = as_contiguous(grads[0]);
  const Tensor dx = context.make_gradient(0);
  if (dx.numel() == 0) return dx;
  const Lines lines = lines_of(x.shape(), attrs.get_int("dim"));
  if (dx.dtype() == x.dtype()) {
    run_backward(context, x, g, dx, lines);
    return dx;
  }
  const Tensor wide = context.temporary(x.shape(), x.dtype());
  run_backward(context, x, g, wide, lines);
  copy_into(dx, wide);
  return dx;
}

Cost cost(std::span<const TensorDesc> in, const Attrs& attrs) {
  const auto n = static_cast<double>(numel(in[0].shape));
  const double bytes =
      static_cast<double>(size_of(in[0].dtype) + size_of(work_dtype(in[0], attrs)));
  return {5 * n, n * bytes};  // max, subtract, exp, sum, scale
}

// The input converted to another dtype; backward: the gradient before it is converted back. The
// sums of segments.
std::int64_t work_bytes(std::span<const TensorDesc> in, const Attrs& attrs, std::int64_t tensors) {
  constexpr std::int64_t kWordBytes = 8;
  const DType t = work_dtype(in[0], attrs);
  const Lines lines = lines_of(in[0].shape, attrs.get_int("dim"));
  const auto size = static_cast<std::int64_t>(size_of(t));
  const bool rows = lines.inner == 1;
  const std::int64_t segments =
      rows ? row_segments(lines.cols, t, tensors) : column_segments(lines.cols, tensors);
  const std::int64_t sums =
      rows ? lines.outer : lines.outer * strips_of(lines, t) * kStripBytes / size;
  return (t == in[0].dtype ? 0 : held_bytes(numel(in[0].shape) * size)) +
         (segments > 1 ? held_bytes(sums * segments * tensors * kWordBytes) : 0);
}
std::int64_t workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  return work_bytes(in, attrs, 1);
}
std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  return work_bytes(in, attrs, 2);
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
      .kernels = {"softmax_forward_*", "softmax_words", "copy*"},
      .backward_kernels = {"softmax_backward_*", "softmax_words", "copy*"},
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
