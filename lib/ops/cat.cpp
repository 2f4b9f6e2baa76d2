#include <algorithm>
#include <cstdint>
#include <vector>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/iteration.h"
#include "lib/ops/join.h"
#include "lib/ops/ops.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

// PyTorch joins empty vectors with tensors of any shape.
bool is_skipped(const Shape& shape) { return shape == Shape{0}; }

// The dim to join along; every shape is checked against the first that is not skipped.
std::size_t joined_dim(std::span<const TensorDesc> in, const Attrs& attrs) {
  const TensorDesc* first = nullptr;
  for (const TensorDesc& t : in) {
    check<ShapeError>(!t.shape.empty(), "cat: a tensor of shape () has no dim to join along");
    check<DTypeError>(t.dtype == in[0].dtype, "cat: dtypes ", name(in[0].dtype), " and ",
                      name(t.dtype), " differ");
    if (!first && !is_skipped(t.shape)) first = &t;
  }
  if (!first) first = &in[0];
  const auto dim =
      static_cast<std::size_t>(normalize_dim("cat", attrs.get_int("dim"), first->shape.size()));
  for (const TensorDesc& t : in) {
    if (is_skipped(t.shape)) continue;
    bool fits = t.shape.size() == first->shape.size();
    for (std::size_t d = 0; fits && d < t.shape.size(); ++d)
      fits = d == dim || t.shape[d] == first->shape[d];
    check<ShapeError>(fits, "cat: shapes ", to_string(first->shape), " and ", to_string(t.shape),
                      " must be equal except in dim ", dim);
  }
  return dim;
}

TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  const std::size_t dim = joined_dim(in, attrs);
  Shape out{0};
  std::int64_t joined = 0;
  for (const TensorDesc& t : in) {
    if (is_skipped(t.shape)) continue;
    out = t.shape;
    const bool overflow = __builtin_add_overflow(joined, t.shape[dim], &joined);
    check<ShapeError>(!overflow, "cat: sizes along dim ", dim, " overflow");
  }
  out[dim] = joined;
  numel(out, size_of(in[0].dtype));
  return {{in[0].dtype, out}};
}

// The part of `whole` that starts at `start` along `dim` and has a part's shape.
Tensor part_of(const Tensor& whole, const Shape& part, std::size_t dim, std::int64_t start) {
  return make_view(whole, part, whole.strides(),
                   whole.storage_offset() + start * whole.strides()[dim]);
}

constexpr std::int64_t kThreads = 256;
constexpr std::int64_t kUnroll = 2;  // dev::kPartUnroll of kernels/cat.cu

std::int64_t bytes_from(const Shape& shape, std::size_t dim, DType dtype) {
  std::int64_t n = static_cast<std::int64_t>(size_of(dtype));
  for (std::size_t d = dim; d < shape.size(); ++d) n *= shape[d];
  return n;
}

void* data_of(const Piece& piece) { return piece.tensor.defined() ? piece.tensor.data() : nullptr; }

// The widest access that the pieces allow; `pitch` in bytes.
std::int64_t unit_of(std::span<const Piece> pieces, const Tensor& whole, std::size_t dim,
                     std::int64_t step, std::int64_t pitch) {
  auto all = static_cast<std::uint64_t>(pitch) | reinterpret_cast<std::uintptr_t>(whole.data());
  for (const Piece& piece : pieces)
    all |= reinterpret_cast<std::uintptr_t>(data_of(piece)) |
           static_cast<std::uint64_t>(piece.start * step) |
           static_cast<std::uint64_t>(bytes_from(piece.shape, dim, whole.dtype()));
  std::int64_t unit = 16;
  while (all % static_cast<std::uint64_t>(unit) != 0) unit /= 2;
  return unit;
}

void launch_join(std::span<const Piece> pieces, const Tensor& whole, std::size_t dim, bool apart) {
  const std::int64_t step = bytes_from(whole.shape(), dim + 1, whole.dtype());
  const std::int64_t pitch = bytes_from(whole.shape(), dim, whole.dtype());
  const std::int64_t unit = unit_of(pieces, whole, dim, step, pitch);
  flame_params::Parts parts = {};
  parts.whole = whole.data();
  parts.pitch = pitch / unit;
  std::int64_t blocks = 0;
  for (const Piece& piece : pieces) {
    const std::int64_t row = bytes_from(piece.shape, dim, whole.dtype()) / unit;
    const std::int64_t units = bytes_from(piece.shape, 0, whole.dtype()) / unit;
    const Divisor divisor = divisor_of(row);
    parts.part[parts.count++] = {data_of(piece),
                                 piece.start * step / unit,
                                 static_cast<unsigned>(units),
                                 static_cast<unsigned>(row),
                                 divisor.factor,
                                 divisor.shift,
                                 static_cast<unsigned>(blocks)};
    blocks += ceil_div(units, kThreads * kUnroll);
  }
  launch(whole.device(), {"cat.cu", expression("join", apart, static_cast<int>(unit))},
         {static_cast<unsigned>(blocks)}, {static_cast<unsigned>(kThreads)}, 0, parts);
}

// Copies the pieces into `whole`, or (apart) out of it. Those that lie in memory as rows go many
// in a launch, the rest one by one.
void move(std::span<const Piece> pieces, const Tensor& whole, std::size_t dim, bool apart) {
  std::vector<Piece> batch;
  for (const Piece& piece : pieces) {
    const Tensor& t = piece.tensor;
    if (numel(piece.shape) == 0) continue;
    if (whole.is_contiguous() && (!t.defined() || t.is_contiguous()) &&
        bytes_from(piece.shape, 0, whole.dtype()) < std::int64_t{1} << 31) {
      batch.push_back(piece);
      continue;
    }
    const Tensor part = part_of(whole, piece.shape, dim, piece.start);
    if (!t.defined())
      fill_into(part, 0);
    else
      apart ? copy_into(t, part) : copy_into(part, t);
  }
  for (std::size_t i = 0; i < batch.size(); i += flame_params::kMaxParts)
    launch_join(std::span(batch).subspan(
                    i, std::min<std::size_t>(flame_params::kMaxParts, batch.size() - i)),
                whole, dim, apart);
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  TensorDescs descs;
  for (const Tensor& t : in) descs.push_back(t.desc());
  const std::size_t dim = joined_dim(descs, attrs);
  const Tensor out = context.make_output();
  std::vector<Piece> pieces;
  std::int64_t start = 0;
  for (const Tensor& t : in) {
    pieces.push_back({t, t.shape(), start});
    if (!is_skipped(t.shape())) start += t.shape()[dim];
  }
  join_into(pieces, out, dim);
  return out;
}

// Each gradient is the part of the whole's that its tensor became: a view where it may be.
Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  TensorDescs descs;
  for (std::size_t i = 0; i < context.input_count(); ++i) descs.push_back(context.input(i));
  const std::size_t dim = joined_dim(descs, attrs);
  Tensors out(descs.size());
  std::vector<Piece> pieces;
  std::int64_t start = 0;
  for (std::size_t i = 0; i < descs.size(); ++i) {
    const Shape& shape = descs[i].shape;
    if (context.needs_grad(i)) {
      const bool view = context.may_alias(i) && !is_skipped(shape);
      out[i] = view ? part_of(grads[0], shape, dim, start) : context.make_gradient(i);
      if (!view) pieces.push_back({out[i], shape, start});
    }
    if (!is_skipped(shape)) start += shape[dim];
  }
  move(pieces, grads[0], dim, true);
  return out;
}

Cost cost(std::span<const TensorDesc> in, const Attrs&) {
  double bytes = 0;
  for (const TensorDesc& t : in)
    bytes += 2 * static_cast<double>(numel(t.shape)) * static_cast<double>(size_of(t.dtype));
  return {0, bytes};
}

std::int64_t no_workspace(std::span<const TensorDesc>, const Attrs&) { return 0; }

// PyTorch's common type: floating wins over integers, the wider over the narrower, bool is least.
DType common_dtype(DType a, DType b) {
  if (a == b) return a;
  if (is_floating(a) && is_floating(b)) return promote(a, b);
  if (is_floating(a) || is_floating(b)) return is_floating(a) ? a : b;
  auto rank = [](DType t) { return t == DType::kBool ? 0 : size_of(t); };
  return rank(a) > rank(b) ? a : b;
}

}  // namespace

void join_into(std::span<const Piece> pieces, const Tensor& whole, std::size_t dim) {
  move(pieces, whole, dim, false);
}

const OpDef& cat_def() {
  static const OpDef def{
      .name = "cat",
      .inputs = {{.name = "tensors", .list = true, .dtypes = kAnyDType}},
      .attrs = {{"dim", AttrValue{std::int64_t{0}}}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"copy*", "join<*>"},
      .backward_kernels = {"copy*", "join<*>"},
      .workspace = no_workspace,
      .backward_workspace = no_workspace,
  };
  return def;
}

Tensor cat(std::span<const Tensor> tensors, std::int64_t dim) {
  std::vector<Tensor> list(tensors.begin(), tensors.end());
  check<ValueError>(!list.empty(), "cat: needs at least one tensor");
  for (const Tensor& t : list) check<DeviceError>(t.defined(), "cat: 'tensors' is undefined");
  DType common = list[0].dtype();
  for (const Tensor& t : list) common = common_dtype(common, t.dtype());
  for (Tensor& t : list)
    if (t.dtype() != common) t = t.to(common);
  return apply_one(cat_def(), std::move(list), {{"dim", dim}});
}

}  // namespace flame
