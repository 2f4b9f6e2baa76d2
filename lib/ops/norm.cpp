#include "lib/ops/norm.h"

#include <algorithm>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/ops.h"
#include "lib/ops/workspace.h"

namespace flame {

bool is_aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

bool rows_are_vectors(std::int64_t cols, std::initializer_list<Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [&](const Tensor& t) {
    return !t.defined() || (cols % vector_width(t.dtype()) == 0 && is_aligned16(t.data()));
  });
}

RowPlan plan_rows(std::int64_t rows, std::int64_t cols, DType dtype, int max_items,
                  int warp_items) {
  constexpr std::int64_t kWarp = 32, kRowsPerBlock = 4, kMostThreads = 1024;
  const std::int64_t vectors = ceil_div(cols, vector_width(dtype));
  RowPlan plan;
  for (int items = 1; items <= std::max(max_items, warp_items); ++items) {
    if (vectors > kWarp * items || (items == 3 && warp_items == 0)) continue;
    plan.items = items;
    plan.grid = {static_cast<unsigned>(ceil_div(rows, kRowsPerBlock))};
    plan.block = {kWarp, kRowsPerBlock};
    return plan;
  }
  const std::int64_t threads = ceil_div(ceil_div(vectors, max_items), kWarp) * kWarp;
  if (threads > kMostThreads) return plan;
  plan.items = max_items;
  plan.grid = {static_cast<unsigned>(rows)};
  // A block of 32 threads would be taken for warps with a row each; it cannot come to that here.
  plan.block = {static_cast<unsigned>(threads)};
  return plan;
}

LongRowPlan plan_long_rows(const Device& device, std::int64_t rows, std::int64_t cols, int tensors,
                           DType dtype) {
  constexpr std::int64_t kStaticShared = 1024;  // what the reductions use themselves
  const auto cached = static_cast<std::int64_t>(device.info().l2_bytes / 2);  // surely still there
  const auto size = static_cast<std::int64_t>(size_of(dtype)), width = vector_width(dtype);
  const std::int64_t all = ceil_div(cols, width) * width * size * tensors;
  const std::int64_t processors = device.info().multiprocessors;
  const auto most = static_cast<std::int64_t>(device.info().max_shared_bytes) - kStaticShared;
  const std::int64_t half = (most - kStaticShared) / 2;
  // Two blocks on a processor, so that one reads while the other writes; unless what they would
  // have to read twice is too much for the cache.
  const bool two = all <= half || 2 * processors * (all - half) <= cached;
  const std::int64_t threads = dtype == DType::kFloat64 ? 256 : two ? 512 : 1024;
  const std::int64_t room = two ? half : most, stride = threads * width;
  LongRowPlan plan;
  plan.grid = {static_cast<unsigned>(rows)};
  plan.block = {static_cast<unsigned>(threads)};
  plan.kept = all <= room ? cols : room / (stride * size * tensors) * stride;
  plan.shared_bytes = static_cast<unsigned>(ceil_div(plan.kept, width) * width * size * tensors);
  return plan;
}

namespace {

// The input as rows of the elements that are normalised together.
struct Rows {
  std::int64_t rows = 1, cols = 1;
};

Rows rows_of(const Shape& shape, const IntList& normalized) {
  Rows r;
  const std::size_t lead = shape.size() - normalized.size();
  for (std::size_t i = 0; i < shape.size(); ++i) (i < lead ? r.rows : r.cols) *= shape[i];
  return r;
}

KernelName norm_kernel(const Expression& name) { return {"norm.cu", name}; }

TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Shape& shape = in[0].shape;
  const IntList normalized = attrs.get_ints("normalized_shape");
  check<ShapeError>(!normalized.empty(),
                    "layer_norm: normalized_shape is empty; it needs at least "
                    "one dim");
  const bool trails = normalized.size() <= shape.size() &&
                      std::equal(normalized.rbegin(), normalized.rend(), shape.rbegin());
  check<ShapeError>(trails, "layer_norm: normalized_shape ", to_string(normalized),
                    " is not what input of shape ", to_string(shape), " ends with");
  constexpr const char* kNames[] = {"input", "weight", "bias"};
  for (std::size_t i = 1; i < in.size(); ++i) {
    if (!in[i].defined) continue;
    check<DTypeError>(in[i].dtype == in[0].dtype, "layer_norm: ", kNames[i], " is ",
                      name(in[i].dtype), ", input is ", name(in[0].dtype));
    check<ShapeError>(in[i].shape == normalized, "layer_norm: ", kNames[i], " has shape ",
                      to_string(in[i].shape), ", normalized_shape is ", to_string(normalized));
  }
  return {{in[0].dtype, shape}};
}

Tensor contiguous_or_none(const Tensor& t) { return t.defined() ? as_contiguous(t) : t; }
const void* data_or_null(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

// Calls run(eps) with eps in the accumulator's type: a kernel's argument must have its exact size.
template <class Run>
void with_eps(DType dtype, double eps, Run&& run) {
  dtype == DType::kFloat64 ? run(eps) : run(static_cast<float>(eps));
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor x = as_contiguous(in[0]);
  const Tensor weight = contiguous_or_none(in[1]), bias = contiguous_or_none(in[2]);
  const Tensor y = context.make_output();
  const DType t = x.dtype();
  const Rows r = rows_of(x.shape(), attrs.get_ints("normalized_shape"));
  Tensor mean, rstd;
  if (context.needs_any_grad()) {
    mean = context.temporary({r.rows}, accumulator(t));
    rstd = context.temporary({r.rows}, accumulator(t));
  }
  const void *x_data = x.data(), *w_data = data_or_null(weight), *b_data = data_or_null(bias),
             *mean_data = data_or_null(mean), *rstd_data = data_or_null(rstd);
  const long long rows = r.rows, cols = r.cols;
  const bool vectors = rows_are_vectors(cols, {x, y, weight, bias});
  const int items = vectors || size_of(t) > 2 ? 4 : 2;
  const RowPlan plan = plan_rows(rows, cols, t, items, items);
  if (y.numel() > 0)
    with_eps(t, attrs.get_double("eps"), [&](auto eps) {
      if (plan.items) {
        launch(context.device(), norm_kernel(expression("layer_norm_forward_row", plan.items, t)),
               plan.grid, plan.block, 0, x_data, w_data, b_data, y.data(), mean_data, rstd_data,
               rows, static_cast<int>(cols), eps, vectors);
        return;
      }
      const LongRowPlan longer = plan_long_rows(context.device(), rows, cols, 1, t);
      launch(context.device(), norm_kernel(expression("layer_norm_forward_long", t)), longer.grid,
             longer.block, longer.shared_bytes, x_data, w_data, b_data, y.data(), mean_data,
             rstd_data, cols, eps, vectors, longer.kept);
    });
  if (context.needs_any_grad())
    for (const Tensor& kept : {x, weight, mean, rstd}) context.save(kept);
  return y;
}

void input_gradient(const Device& device, const Tensor& x, const Tensor& g, const Tensor& weight,
                    const Tensor& mean, const Tensor& rstd, const Tensor& dx, const Rows& r) {
  const DType t = x.dtype();
  const long long rows = r.rows, cols = r.cols;
  const bool vectors = rows_are_vectors(cols, {x, g, dx, weight});
  const void* w_data = data_or_null(weight);
  const RowPlan plan = plan_rows(rows, cols, t, 2);
  if (plan.items) {
    launch(device, norm_kernel(expression("layer_norm_backward_row", plan.items, t)), plan.grid,
           plan.block, 0, x.data(), g.data(), w_data, mean.data(), rstd.data(), dx.data(), rows,
           static_cast<int>(cols), vectors);
    return;
  }
  const LongRowPlan longer = plan_long_rows(device, rows, cols, 2, t);
  launch(device, norm_kernel(expression("layer_norm_backward_long", t)), longer.grid, longer.block,
         0, x.data(), g.data(), w_data, mean.data(), rstd.data(), dx.data(), cols, vectors);
}

// Rows one block sums for the affine gradients: enough chunks to fill a device, few enough that
// their partial sums stay small beside the input.
std::int64_t chunk_rows(std::int64_t rows) {
  return std::max<std::int64_t>(32, ceil_div(rows, 128));
}

void finish_affine(const Device& device, const Tensor& partial, const Tensor& dw, const Tensor& db,
                   long long chunks, long long cols, DType t) {
  launch_early(device, norm_kernel(expression("layer_norm_affine_finish", t)),
               {static_cast<unsigned>(2 * ceil_div(cols, 32))}, {32, 32}, 0, partial.data(),
               data_or_null(dw), data_or_null(db), chunks, cols);
}

void affine_gradients(BackwardContext& context, const Tensor& x, const Tensor& g,
                      const Tensor& mean, const Tensor& rstd, const Tensor& dw, const Tensor& db,
                      const Rows& r) {
  const DType t = x.dtype();
  const long long rows = r.rows, cols = r.cols, per_chunk = chunk_rows(rows);
  const long long chunks = ceil_div(rows, per_chunk);
  const Tensor partial = context.temporary({2, chunks, cols}, accumulator(t));
  launch(context.device(), norm_kernel(expression("layer_norm_affine_partial", t)),
         {static_cast<unsigned>(ceil_div(cols, 32) * chunks)}, {32, 8}, 0, x.data(), g.data(),
         mean.data(), rstd.data(), partial.data(), rows, cols, per_chunk);
  finish_affine(context.device(), partial, dw, db, chunks, cols, t);
}

// How one pass makes all three gradients: `items` 0 where it cannot. Each of the `blocks` leaves a
// row of partial sums.
struct FusedPlan {
  int items = 0;
  std::int64_t blocks = 0;
  driver::Dim3 block;
  std::int64_t shared_bytes = 0;  // for the rows that a block has under way
};

FusedPlan plan_fused(const Rows& r, DType dtype) {
  constexpr std::int64_t kWarp = 32, kMostThreads = 512, kAccess = 16;
  constexpr std::int64_t kRowsAhead = 2;  // dev::kRowsAhead of kernels/norm_fused.cuh
  // What keeps a current large GPU busy; rows must be many more than partial sums.
  constexpr std::int64_t kProcessors = 132, kLeastRows = 4, kMostBlocks = 8 * kProcessors;
  FusedPlan plan;
  if (r.cols % vector_width(dtype) != 0) return plan;
  const std::int64_t vectors = r.cols / vector_width(dtype);
  const int items = vectors > 128 ? 2 : 1;
  const std::int64_t threads = ceil_div(ceil_div(vectors, items), kWarp) * kWarp;
  if (threads > kMostThreads) return plan;
  // Threads of a processor, by their registers.
  const bool half = size_of(dtype) == 2;
  const std::int64_t resident = !half ? 640 : items == 1 ? 768 : 512;
  plan.items = items;
  plan.block = {static_cast<unsigned>(threads)};
  plan.blocks = std::min({std::max<std::int64_t>(kProcessors * (resident / threads), 1),
                          kMostBlocks, ceil_div(r.rows, kLeastRows)});
  plan.shared_bytes = kRowsAhead * threads * items * 2 * kAccess;
  return plan;
}

void fused_gradients(BackwardContext& context, const FusedPlan& plan, const Tensor& x,
                     const Tensor& g, const Tensor& weight, const Tensor& mean, const Tensor& rstd,
                     std::span<const Tensor> out, const Rows& r) {
  const DType t = x.dtype();
  const long long rows = r.rows, cols = r.cols, blocks = plan.blocks;
  const bool affine = out[1].defined() || out[2].defined();
  const Tensor partial = affine ? context.temporary({2, blocks, cols}, accumulator(t)) : Tensor();
  launch(context.device(), norm_kernel(expression("layer_norm_backward_fused", plan.items, t)),
         {static_cast<unsigned>(blocks)}, plan.block, static_cast<unsigned>(plan.shared_bytes),
         x.data(), g.data(), data_or_null(weight), mean.data(), rstd.data(), data_or_null(out[0]),
         data_or_null(partial), rows, static_cast<int>(cols));
  if (affine) finish_affine(context.device(), partial, out[1], out[2], blocks, cols, t);
}

Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  const Tensor g = as_contiguous(grads[0]);
  const Tensor x = context.saved(0), weight = context.saved(1), mean = context.saved(2),
               rstd = context.saved(3);
  const Rows r = rows_of(x.shape(), attrs.get_ints("normalized_shape"));
  Tensors out(3);
  for (std::size_t i = 0; i < out.size(); ++i)
    if (context.needs_grad(i)) out[i] = context.make_gradient(i);
  if (x.numel() == 0) {
    for (std::size_t i = 1; i < out.size(); ++i)
      if (out[i].defined()) fill_into(out[i], 0);
    return out;
  }
  if (const FusedPlan fused = plan_fused(r, x.dtype());
      fused.items && rows_are_vectors(r.cols, {x, g, weight})) {
    fused_gradients(context, fused, x, g, weight, mean, rstd, out, r);
    return out;
  }
  const bool affine = out[1].defined() || out[2].defined();
  if (out[0].defined()) input_gradient(context.device(), x, g, weight, mean, rstd, out[0], r);
  if (affine) affine_gradients(context, x, g, mean, rstd, out[1], out[2], r);
  return out;
}

Cost cost(std::span<const TensorDesc> in, const Attrs& attrs) {
  const auto n = static_cast<double>(numel(in[0].shape));
  const auto cols = static_cast<double>(numel(attrs.get_ints("normalized_shape")));
  double affine = 0;
  for (std::size_t i = 1; i < in.size(); ++i) affine += in[i].defined ? 1 : 0;
  const auto element = static_cast<double>(size_of(in[0].dtype));
  return {(6 + affine) * n, (2 * n + affine * cols) * element};
}

// mean and rstd, kept for backward.
std::int64_t workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Rows r = rows_of(in[0].shape, attrs.get_ints("normalized_shape"));
  return 2 * held_bytes(r.rows * static_cast<std::int64_t>(size_of(accumulator(in[0].dtype))));
}

// The partial sums of the affine gradients.
std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Rows r = rows_of(in[0].shape, attrs.get_ints("normalized_shape"));
  const std::int64_t chunks =
      std::max(ceil_div(r.rows, chunk_rows(r.rows)), plan_fused(r, in[0].dtype).blocks);
  return held_bytes(2 * chunks * r.cols *
                    static_cast<std::int64_t>(size_of(accumulator(in[0].dtype))));
}

}  // namespace

const OpDef& layer_norm_def() {
  static const OpDef def{
      .name = "layer_norm",
      .inputs = {{.name = "input"},
                 {.name = "weight", .optional = true},
                 {.name = "bias", .optional = true}},
      .attrs = {{"normalized_shape"}, {"eps", AttrValue{1e-5}}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"layer_norm_forward_*", "copy*"},
      .backward_kernels = {"layer_norm_backward_*", "layer_norm_affine_*", "copy*", "fill*"},
      .workspace = workspace,
      .backward_workspace = backward_workspace,
  };
  return def;
}

Tensor layer_norm(const Tensor& input, const IntList& normalized_shape, const Tensor& weight,
                  const Tensor& bias, double eps) {
  return apply_one(layer_norm_def(), {input, weight, bias},
                   {{"normalized_shape", normalized_shape}, {"eps", eps}});
}

}  // namespace flame
