#include <algorithm>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
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

std::vector<TensorDesc> infer(std::span<const TensorDesc> in, const Attrs& attrs) {
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

std::vector<Tensor> forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  std::vector<TensorDesc> descs;
  for (const Tensor& t : in) descs.push_back(t.desc());
  const std::size_t dim = joined_dim(descs, attrs);
  const Tensor out = context.make_output();
  std::int64_t start = 0;
  for (const Tensor& t : in) {
    if (t.numel() > 0) copy_into(part_of(out, t.shape(), dim, start), t);
    if (!is_skipped(t.shape())) start += t.shape()[dim];
  }
  return {out};
}

std::vector<Tensor> backward(BackwardContext& context, std::span<const Tensor> grads,
                             const Attrs& attrs) {
  std::vector<TensorDesc> descs;
  for (std::size_t i = 0; i < context.input_count(); ++i) descs.push_back(context.input(i));
  const std::size_t dim = joined_dim(descs, attrs);
  std::vector<Tensor> out(descs.size());
  std::int64_t start = 0;
  for (std::size_t i = 0; i < descs.size(); ++i) {
    const Shape& shape = descs[i].shape;
    if (context.needs_grad(i)) {
      out[i] = context.make_gradient(i);
      if (out[i].numel() > 0) copy_into(out[i], part_of(grads[0], shape, dim, start));
    }
    if (!is_skipped(shape)) start += shape[dim];
  }
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

const OpDef& cat_def() {
  static const OpDef def{
      .name = "cat",
      .inputs = {{.name = "tensors", .list = true, .dtypes = kAnyDType}},
      .attrs = {{"dim", AttrValue{std::int64_t{0}}}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"copy*"},
      .backward_kernels = {"copy*"},
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
