#include "lib/ops/matmul.h"

#include <algorithm>
#include <limits>

#include "kernels/params.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/ops.h"
#include "lib/ops/workspace.h"
#include "lib/tensor/runtime.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

void own_gemm(const Device& device, const driver::Gemm& g) {
  constexpr std::int64_t kTile = 64;
  const std::int64_t tiles = ceil_div(g.m, kTile) * ceil_div(g.n, kTile) * g.batch;
  check<ShapeError>(tiles <= std::numeric_limits<int>::max(), "matmul: ", g.batch, " products of (",
                    g.m, ", ", g.k, ") and (", g.k, ", ", g.n, ") are more than one launch holds");
  flame_params::Gemm p{};
  p.m = g.m, p.n = g.n, p.k = g.k;
  p.a_row = g.trans_a ? 1 : g.lda, p.a_col = g.trans_a ? g.lda : 1;
  p.b_row = g.trans_b ? 1 : g.ldb, p.b_col = g.trans_b ? g.ldb : 1;
  p.c_row = g.ldc;
  p.a_batch = g.stride_a, p.b_batch = g.stride_b, p.c_batch = g.stride_c;
  p.alpha = g.alpha, p.beta = g.beta;
  launch(device, {"matmul.cu", expression("gemm_tiled", g.type, g.out)},
         {static_cast<unsigned>(tiles)}, {256}, 0, g.a, g.b, g.c, p);
}

// A tensor as a stack of matrices; strides in elements. A vector is a row on the left of a product
// and a column on its right.
struct Stack {
  Tensor tensor;  // keeps the memory
  std::int64_t rows = 1, cols = 1, row_stride = 1, col_stride = 1;
  Shape batch;
  Strides batch_stride;

  Stack transposed() const {
    Stack t = *this;
    std::swap(t.rows, t.cols);
    std::swap(t.row_stride, t.col_stride);
    return t;
  }
};

enum class Side { kLeft, kRight };

Stack stack_of(const Tensor& t, Side side) {
  Stack s{.tensor = t};
  const Shape& shape = t.shape();
  const Strides& stride = t.strides();
  if (shape.size() == 1) {
    (side == Side::kLeft ? s.cols : s.rows) = shape[0];
    (side == Side::kLeft ? s.col_stride : s.row_stride) = stride[0];
    return s;
  }
  const std::size_t lead = shape.size() - 2;
  s.rows = shape[lead], s.cols = shape[lead + 1];
  s.row_stride = stride[lead], s.col_stride = stride[lead + 1];
  s.batch.assign(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(lead));
  s.batch_stride.assign(stride.begin(), stride.begin() + static_cast<std::ptrdiff_t>(lead));
  return s;
}

// How a product reads a matrix: row-major with a leading stride, or the transpose of one.
struct Layout {
  bool transposed = false;
  std::int64_t leading = 1;
};

std::optional<Layout> layout_of(const Stack& s) {
  const auto cols = std::max<std::int64_t>(s.cols, 1), rows = std::max<std::int64_t>(s.rows, 1);
  if ((s.cols <= 1 || s.col_stride == 1) && (s.rows <= 1 || s.row_stride >= cols))
    return Layout{false, s.rows <= 1 ? cols : s.row_stride};
  if ((s.rows <= 1 || s.row_stride == 1) && (s.cols <= 1 || s.col_stride >= rows))
    return Layout{true, s.cols <= 1 ? rows : s.col_stride};
  return std::nullopt;
}

// Neither row-major nor its transpose (every second column, expanded): a row-major copy.
Stack readable(const Tensor& t, Side side) {
  Stack s = stack_of(t, side);
  return layout_of(s) ? s : stack_of(as_contiguous(t), side);
}

// One dim of the batch, with the step it makes in each operand; 0 where broadcast.
struct BatchDim {
  std::int64_t size, a, b, c;
};

std::int64_t step_in(const Stack& s, std::size_t dim_from_end) {
  const std::size_t rank = s.batch.size();
  if (dim_from_end >= rank) return 0;
  const std::size_t i = rank - 1 - dim_from_end;
  return s.batch[i] == 1 ? 0 : s.batch_stride[i];
}

// The batch dims, outermost first, sizes of 1 dropped, neighbours merged where all three allow it.
std::vector<BatchDim> batch_dims(const Stack& a, const Stack& b, const Shape& batch) {
  std::vector<BatchDim> inside_out;
  std::int64_t step = a.rows * b.cols;
  for (std::size_t d = 0; d < batch.size(); ++d) {
    const std::int64_t size = batch[batch.size() - 1 - d];
    if (size == 1) continue;
    const BatchDim dim{size, step_in(a, d), step_in(b, d), step};
    step *= size;
    if (!inside_out.empty()) {
      BatchDim& in = inside_out.back();
      if (dim.a == in.a * in.size && dim.b == in.b * in.size) {
        in.size *= size;
        continue;
      }
    }
    inside_out.push_back(dim);
  }
  return {inside_out.rbegin(), inside_out.rend()};
}

// With one matrix on the right, the left operand's batch is just more rows.
void fold_batch_into_rows(driver::Gemm& g, std::vector<BatchDim>& dims) {
  if (dims.size() != 1 || dims[0].b != 0 || g.trans_a) return;
  const bool one_row = g.m == 1 && dims[0].a >= std::max<std::int64_t>(g.k, 1);
  if (!one_row && dims[0].a != g.m * g.lda) return;
  if (one_row) g.lda = dims[0].a;
  g.m *= dims[0].size;
  dims.clear();
}

const void* advanced(const void* p, std::int64_t elements, DType t) {
  return p ? static_cast<const char*>(p) + elements * static_cast<std::int64_t>(size_of(t)) : p;
}

// Tensor cores take TF32 operands along k only, and products of which neither operand lies that way
// ran at a third to two thirds of the others' speed (H200): from this size on a copy that does
// costs less. For a (m, k) and b (k, n), elements of the copy, of the smaller operand; 0: none is
// made.
std::int64_t turned_elements(std::int64_t m, std::int64_t n, std::int64_t k) {
  const bool pays = std::min({m, n, k}) >= 256 && std::max(m, n) >= 768 &&
                    double(m) * double(n) * double(k) > 4e9;
  return pays ? std::min(m, n) * k : 0;
}

Stack row_major_copy(const Stack& s) {
  const Tensor view = make_view(s.tensor, {s.rows, s.cols}, {s.row_stride, s.col_stride},
                                s.tensor.storage_offset());
  return stack_of(as_contiguous(view), Side::kLeft);
}

// out = a * b for each matrix of the batch; out is row-major of shape batch + (a.rows, b.cols), of
// a's dtype or its accumulator's.
void multiply(const Device& device, Stack a, Stack b, const Shape& batch, const Tensor& out) {
  if (out.numel() == 0) return;
  Layout la = *layout_of(a), lb = *layout_of(b);
  if (a.tensor.dtype() == DType::kFloat32 && device.runtime().allow_tf32 && numel(batch) == 1 &&
      la.transposed && !lb.transposed && turned_elements(a.rows, b.cols, a.cols) > 0) {
    if (a.rows <= b.cols)
      a = row_major_copy(a);
    else
      b = row_major_copy(b.transposed()).transposed();
    la = *layout_of(a), lb = *layout_of(b);
  }
  driver::Gemm g;
  g.type = a.tensor.dtype(), g.out = out.dtype();
  g.m = a.rows, g.n = b.cols, g.k = a.cols;
  g.trans_a = la.transposed, g.lda = la.leading;
  g.trans_b = lb.transposed, g.ldb = lb.leading;
  g.ldc = g.n;
  std::vector<BatchDim> dims = batch_dims(a, b, batch);
  fold_batch_into_rows(g, dims);
  if (!dims.empty()) {  // the largest dim is the batch of one product, the others are loops
    const auto largest =
        std::max_element(dims.begin(), dims.end(),
                         [](const BatchDim& x, const BatchDim& y) { return x.size < y.size; });
    g.batch = largest->size;
    g.stride_a = largest->a, g.stride_b = largest->b, g.stride_c = largest->c;
    dims.erase(largest);
  }
  std::int64_t products = 1;
  for (const BatchDim& d : dims) products *= d.size;
  for (std::int64_t i = 0; i < products; ++i) {
    std::int64_t rest = i, at_a = 0, at_b = 0, at_c = 0;
    for (auto d = dims.rbegin(); d != dims.rend(); rest /= d->size, ++d) {
      const std::int64_t at = rest % d->size;
      at_a += at * d->a, at_b += at * d->b, at_c += at * d->c;
    }
    g.a = advanced(a.tensor.data(), at_a, g.type);
    g.b = advanced(b.tensor.data(), at_b, g.type);
    g.c = const_cast<void*>(advanced(out.data(), at_c, g.out));
    gemm(device, g);
  }
}

// ---- the gradient of an operand that was broadcast: a sum over the batch dims it lacked ---------

// Sums `full` (batch + matrix) into `to`, whose batch is `kept`.
void sum_batches(const Device& device, const Tensor& full, const Shape& batch, const Shape& kept,
                 const Tensor& to) {
  flame_params::BatchSum p{};
  const std::int64_t matrix = full.numel() / numel(batch);
  const std::size_t lead = batch.size() - kept.size();
  Strides steps = contiguous_strides(batch);
  p.kept.numel = matrix, p.summed.numel = 1;
  auto add = [](flame_params::Extent& e, long long* strides, std::int64_t size, std::int64_t step) {
    e.size[e.rank] = size;
    strides[e.rank++] = step;
  };
  for (std::size_t d = 0; d < batch.size(); ++d) {
    if (batch[d] == 1) continue;
    const bool is_kept = d >= lead && kept[d - lead] != 1;
    flame_params::Extent& e = is_kept ? p.kept : p.summed;
    add(e, is_kept ? p.kept_stride : p.summed_stride, batch[d], steps[d] * matrix);
    e.numel *= batch[d];
  }
  add(p.kept, p.kept_stride, matrix, 1);
  const auto blocks = std::min<std::int64_t>(ceil_div(p.kept.numel, 256), 1 << 20);
  launch(device, {"matmul.cu", expression("gemm_batch_sum", to.dtype())},
         {static_cast<unsigned>(blocks)}, {256}, 0, full.data(), to.data(), p);
}

// The rows of all matrices of a stack as one matrix, where they lie that way.
std::optional<Stack> as_one_matrix(const Stack& s, const Shape& batch) {
  const std::optional<Layout> layout = layout_of(s);
  if (s.batch != batch || layout->transposed) return std::nullopt;
  std::int64_t step = s.rows * layout->leading;
  for (std::size_t d = batch.size(); d-- > 0; step *= batch[d])
    if (batch[d] != 1 && s.batch_stride[d] != step) return std::nullopt;
  Stack one{.tensor = s.tensor, .rows = s.rows * numel(batch), .cols = s.cols};
  one.row_stride = layout->leading;
  return one;
}

// left * right summed into `gradient`, whose batch is `kept`. `left` may come as the transpose of
// `left_rows`: then its batch can be summed by the product itself.
void multiply_and_sum(BackwardContext& context, const Stack& left, const Stack& right,
                      const Shape& batch, const Shape& kept, const Tensor& gradient,
                      const Stack* left_rows) {
  if (gradient.numel() == 0) return;
  if (numel(batch) == 0) return fill_into(gradient, 0);
  if (numel(kept) == numel(batch)) return multiply(context.device(), left, right, batch, gradient);
  if (left_rows && numel(kept) == 1) {
    const auto a = as_one_matrix(*left_rows, batch), g = as_one_matrix(right, batch);
    if (a && g) return multiply(context.device(), a->transposed(), *g, {}, gradient);
  }
  Shape full = batch;
  full.insert(full.end(), {left.rows, right.cols});
  const Tensor products = context.temporary(full, accumulator(gradient.dtype()));
  multiply(context.device(), left, right, batch, products);
  sum_batches(context.device(), products, batch, kept, gradient);
}

// ---- the op -------------------------------------------------------------------------------------

struct Sizes {
  Shape batch_a, batch_b, batch;
  std::int64_t m = 1, k = 1, n = 1;
  bool row_vector = false, column_vector = false;
};

Sizes sizes_of(const Shape& a, const Shape& b) {
  check<ShapeError>(!a.empty() && !b.empty(), "matmul: both operands need at least one dim, got ",
                    to_string(a), " and ", to_string(b));
  Sizes s;
  s.row_vector = a.size() == 1, s.column_vector = b.size() == 1;
  s.k = a.back();
  const std::int64_t k_b = s.column_vector ? b[0] : b[b.size() - 2];
  check<ShapeError>(s.k == k_b, "matmul: shapes ", to_string(a), " and ", to_string(b),
                    " do not multiply: inner sizes ", s.k, " and ", k_b, " differ");
  if (!s.row_vector) s.m = a[a.size() - 2], s.batch_a = Shape(a.begin(), a.end() - 2);
  if (!s.column_vector) s.n = b.back(), s.batch_b = Shape(b.begin(), b.end() - 2);
  try {
    s.batch = broadcast("matmul", s.batch_a, s.batch_b);
  } catch (const ShapeError&) {
    throw ShapeError(str_cat("matmul: shapes ", to_string(a), " and ", to_string(b),
                             " do not multiply: batches ", to_string(s.batch_a), " and ",
                             to_string(s.batch_b), " do not broadcast"));
  }
  return s;
}

TensorDescs infer(std::span<const TensorDesc> in, const Attrs&) {
  check<DTypeError>(in[0].dtype == in[1].dtype, "matmul: input is ", name(in[0].dtype),
                    ", other is ", name(in[1].dtype));
  const Sizes s = sizes_of(in[0].shape, in[1].shape);
  Shape out = s.batch;
  if (!s.row_vector) out.push_back(s.m);
  if (!s.column_vector) out.push_back(s.n);
  numel(out, size_of(in[0].dtype));
  return {{in[0].dtype, out}};
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs&) {
  const Tensor out = context.make_output();
  const Sizes s = sizes_of(in[0].shape(), in[1].shape());
  if (out.numel() > 0)
    multiply(context.device(), readable(in[0], Side::kLeft), readable(in[1], Side::kRight), s.batch,
             out);
  if (context.needs_any_grad()) {
    context.save(context.needs_grad(1) ? in[0] : Tensor());
    context.save(context.needs_grad(0) ? in[1] : Tensor());
  }
  return out;
}

// d input = G other^T, d other = input^T G.
Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs&) {
  const Sizes s = sizes_of(context.input(0).shape, context.input(1).shape);
  Stack g{.tensor = as_contiguous(grads[0]), .rows = s.m, .cols = s.n, .row_stride = s.n};
  g.batch = s.batch, g.batch_stride = contiguous_strides(s.batch);
  for (std::int64_t& stride : g.batch_stride) stride *= s.m * s.n;

  Tensors out(2);
  const auto make = [&](std::size_t i) {
    if (!context.needs_grad(i)) return;
    out[i] = context.make_gradient(i);
    const Stack other = readable(context.saved(1 - i), i == 0 ? Side::kRight : Side::kLeft);
    if (i == 0)
      multiply_and_sum(context, g, other.transposed(), s.batch, s.batch_a, out[0], nullptr);
    else
      multiply_and_sum(context, other.transposed(), g, s.batch, s.batch_b, out[1], &other);
  };
  // The larger one last: what is written last lies in the cache for the op that comes next, and the
  // other product would have driven it out to memory.
  const std::size_t last = numel(context.input(0).shape) >= numel(context.input(1).shape) ? 0 : 1;
  make(1 - last), make(last);
  return out;
}

Cost cost(std::span<const TensorDesc> in, const Attrs&) {
  const Sizes s = sizes_of(in[0].shape, in[1].shape);
  const auto batch = static_cast<double>(numel(s.batch));
  const auto results = batch * static_cast<double>(s.m) * static_cast<double>(s.n);
  const auto read = static_cast<double>(numel(in[0].shape) + numel(in[1].shape));
  return {2 * results * static_cast<double>(s.k),
          (read + results) * static_cast<double>(size_of(in[0].dtype))};
}

std::int64_t workspace(std::span<const TensorDesc> in, const Attrs&) {
  if (in[0].dtype != DType::kFloat32) return 0;
  const Sizes s = sizes_of(in[0].shape, in[1].shape);
  return held_bytes(4 * turned_elements(s.m, s.n, s.k));
}

// All products of a batch before they are summed for a broadcast operand, or the copy for TF32.
std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs&) {
  const Sizes s = sizes_of(in[0].shape, in[1].shape);
  const std::int64_t batch = numel(s.batch);
  const auto element = static_cast<std::int64_t>(size_of(accumulator(in[0].dtype)));
  const std::int64_t a = numel(s.batch_a) == batch ? 0 : batch * s.m * s.k * element;
  const std::int64_t b = numel(s.batch_b) == batch ? 0 : batch * s.k * s.n * element;
  const bool single = in[0].dtype == DType::kFloat32;
  return held_bytes(std::max({a, b, single ? 4 * turned_elements(s.k, s.n, batch * s.m) : 0}));
}

}  // namespace

void gemm(const Device& device, driver::Gemm product) {
  if (product.m == 0 || product.n == 0 || product.batch == 0) return;
  Runtime& runtime = device.runtime();
  check<ValueError>(product.beta == 0 || product.out == accumulator(product.out), "gemm: beta ",
                    product.beta, " with results of ", name(product.out),
                    ": what is added to must not be rounded first");
  product.allow_tf32 = runtime.allow_tf32;
  product.tune = runtime.options().tune_products;
  if (product.k > 0 && !runtime.options().own_blas) {
    driver::Blas* blas = runtime.driver().blas();
    if (blas && blas->gemm(product, device.stream())) return;
  }
  own_gemm(device, product);
}

const OpDef& matmul_def() {
  static const std::vector<std::string_view> kernels = {
      "gemm_*", "*gemm*", "*gemv*", "nvjet*", "*cutlass*", "*cublasLt*", "*splitK*", "copy*"};
  static const OpDef def{
      .name = "matmul",
      .inputs = {{.name = "input"}, {.name = "other"}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = kernels,
      .backward_kernels = kernels,
      .workspace = workspace,
      .backward_workspace = backward_workspace,
  };
  return def;
}

Tensor matmul(const Tensor& input, const Tensor& other) {
  return apply_one(matmul_def(), {input, other}, {});
}

}  // namespace flame
