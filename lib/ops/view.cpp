// Views: stride arithmetic, no copy. The gradient of a view is a view of the gradient, or a sum, or
// zeros with the gradient in a slice.
#include <algorithm>
#include <optional>
#include <string>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/arguments.h"
#include "lib/ops/copy.h"
#include "lib/ops/join.h"
#include "lib/ops/ops.h"
#include "lib/ops/reduce_plan.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

using Descs = std::span<const TensorDesc>;

// A view's place in its storage.
struct View {
  Shape shape;
  Strides strides;
  std::int64_t offset = 0;  // beyond the input's
};

Tensor take(const Tensor& of, const View& view) {
  return make_view(of, view.shape, view.strides, of.storage_offset() + view.offset);
}

// The geometry of a view op. Throws the op's argument errors.
using Geometry = View (*)(const Shape& shape, const Strides& strides, const Attrs&);

template <Geometry geometry>
TensorDescs infer(Descs in, const Attrs& attrs) {
  return {{in[0].dtype, geometry(in[0].shape, contiguous_strides(in[0].shape), attrs).shape}};
}

template <Geometry geometry>
Tensors forward(OpContext&, std::span<const Tensor> in, const Attrs& attrs) {
  return {take(in[0], geometry(in[0].shape(), in[0].strides(), attrs))};
}

Cost no_cost(Descs, const Attrs&) { return {}; }

// -- reshape, squeeze, unsqueeze: the elements stay in their order

// Strides of `to` over the same elements in the same order, where strides can say so: `from` falls
// into runs that are one long stride each, and the sizes of `to` must divide them up exactly.
std::optional<Strides> reshaped_strides(const Shape& from, const Strides& strides,
                                        const Shape& to) {
  if (numel(to) == 0) return contiguous_strides(to);
  struct Run {
    std::int64_t size, step;
  };
  std::vector<Run> runs;
  for (std::size_t d = 0; d < from.size(); ++d) {
    if (from[d] == 1) continue;
    if (!runs.empty() && runs.back().step == strides[d] * from[d])
      runs.back() = {runs.back().size * from[d], strides[d]};
    else
      runs.push_back({from[d], strides[d]});
  }
  Strides out(to.size(), 1);
  std::size_t j = to.size();
  for (std::size_t r = runs.size(); r-- > 0;) {
    std::int64_t left = runs[r].size, step = runs[r].step;
    while (left > 1) {
      --j;
      if (left % to[j] != 0) return std::nullopt;
      out[j] = step;
      step *= to[j];
      left /= to[j];
    }
  }
  return out;
}

// `shape` with its -1 filled in. Throws ShapeError where it does not hold the elements.
Shape resolved_shape(const Shape& from, const IntList& wanted) {
  Shape out = wanted;
  std::size_t open = out.size();
  for (std::size_t i = 0; i < out.size(); ++i) {
    check<ShapeError>(out[i] >= -1, "reshape: size ", out[i], " in ", wanted);
    if (out[i] != -1) continue;
    check<ShapeError>(open == out.size(), "reshape: ", wanted, " leaves more than one size open");
    open = i;
  }
  const std::int64_t n = numel(from);
  if (open < out.size()) {
    out[open] = 1;
    const std::int64_t known = checked_numel("reshape", out, DType::kUInt8);
    check<ShapeError>(known > 0 && n % known == 0, "reshape: ", wanted, " cannot hold the ", n,
                      " elements of shape ", from);
    out[open] = n / known;
  }
  check<ShapeError>(checked_numel("reshape", out, DType::kUInt8) == n, "reshape: shape ", wanted,
                    " does not hold the ", n, " elements of shape ", from);
  return out;
}

Tensor reshaped(const Tensor& t, const Shape& shape) {
  if (const auto strides = reshaped_strides(t.shape(), t.strides(), shape))
    return make_view(t, shape, *strides, t.storage_offset());
  const Tensor copy = as_contiguous(t);
  return make_view(copy, shape, contiguous_strides(shape), copy.storage_offset());
}

TensorDescs reshape_infer(Descs in, const Attrs& attrs) {
  return {{in[0].dtype, resolved_shape(in[0].shape, attrs.get_ints("shape"))}};
}

Tensors reshape_forward(OpContext& context, std::span<const Tensor> in, const Attrs&) {
  return {reshaped(in[0], context.output().shape)};
}

Tensors reshape_backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs&) {
  return {reshaped(grads[0], context.input(0).shape)};
}

View squeeze_view(const Shape& shape, const Strides& strides, const Attrs& attrs) {
  const IntList given = attrs.has("dim") ? attrs.get_ints("dim") : IntList{};
  const std::vector<int> dims = normalize_dims("squeeze", given, shape.size());
  View view;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1 && std::find(dims.begin(), dims.end(), static_cast<int>(d)) != dims.end())
      continue;
    view.shape.push_back(shape[d]);
    view.strides.push_back(strides[d]);
  }
  return view;
}

View unsqueeze_view(const Shape& shape, const Strides& strides, const Attrs& attrs) {
  const int dim = normalize_dim("unsqueeze", attrs.get_int("dim"), shape.size() + 1);
  View view{shape, strides};
  view.shape.insert(view.shape.begin() + dim, 1);
  const std::size_t next = static_cast<std::size_t>(dim);
  const std::int64_t stride = next < shape.size() ? shape[next] * strides[next] : 1;
  view.strides.insert(view.strides.begin() + dim, stride);
  checked_numel("unsqueeze", view.shape, DType::kUInt8);  // the number of dims is limited
  return view;
}

// -- transpose, permute: the dims in another order

View permuted(const Shape& shape, const Strides& strides, const std::vector<int>& dims) {
  View view;
  for (int d : dims) {
    view.shape.push_back(shape[static_cast<std::size_t>(d)]);
    view.strides.push_back(strides[static_cast<std::size_t>(d)]);
  }
  return view;
}

std::vector<int> transpose_dims(std::size_t rank, const Attrs& attrs) {
  const int a = normalize_dim("transpose", attrs.get_int("dim0"), rank);
  const int b = normalize_dim("transpose", attrs.get_int("dim1"), rank);
  std::vector<int> dims = normalize_dims("transpose", {}, rank);
  if (rank > 0) std::swap(dims[static_cast<std::size_t>(a)], dims[static_cast<std::size_t>(b)]);
  return dims;
}

std::vector<int> permute_dims(std::size_t rank, const Attrs& attrs) {
  const IntList given = attrs.get_ints("dims");
  check<ValueError>(given.size() == rank, "permute: dims ", std::span(given), " name ",
                    given.size(), " dims of a tensor of ", rank);
  if (rank == 0) return {};
  normalize_dims("permute", given, rank);  // range and repetition
  std::vector<int> dims;
  for (std::int64_t d : given) dims.push_back(normalize_dim("permute", d, rank));
  return dims;
}

using DimsOf = std::vector<int> (*)(std::size_t rank, const Attrs&);

template <DimsOf dims_of>
View permute_view(const Shape& shape, const Strides& strides, const Attrs& attrs) {
  return permuted(shape, strides, dims_of(shape.size(), attrs));
}

template <DimsOf dims_of>
Tensors permute_backward(BackwardContext&, std::span<const Tensor> grads, const Attrs& attrs) {
  const std::vector<int> dims = dims_of(grads[0].shape().size(), attrs);
  std::vector<int> inverse(dims.size());
  for (std::size_t i = 0; i < dims.size(); ++i)
    inverse[static_cast<std::size_t>(dims[i])] = static_cast<int>(i);
  return {take(grads[0], permuted(grads[0].shape(), grads[0].strides(), inverse))};
}

// -- expand

View expand_view(const Shape& shape, const Strides& strides, const Attrs& attrs) {
  Shape size = attrs.get_ints("size");
  check<ShapeError>(size.size() >= shape.size(), "expand: size ", size,
                    " has fewer dims than shape ", shape);
  const std::size_t lead = size.size() - shape.size();
  View view{size, Strides(size.size(), 0)};
  for (std::size_t d = 0; d < size.size(); ++d) {
    const bool is_new = d < lead;
    check<ShapeError>(size[d] >= (is_new ? 0 : -1), "expand: size ", size[d], " at dim ", d, " of ",
                      size, is_new ? " (a new dim needs a size)" : "");
    if (is_new) continue;
    const std::int64_t have = shape[d - lead];
    if (size[d] == -1) view.shape[d] = have;
    check<ShapeError>(have == 1 || view.shape[d] == have, "expand: shape ", shape,
                      " does not expand to ", size, ": sizes ", have, " and ", size[d], " at dim ",
                      d);
    if (view.shape[d] == have) view.strides[d] = strides[d - lead];
  }
  checked_numel("expand", view.shape, DType::kFloat64);
  return view;
}

// -- narrow, select: a slice

View narrow_view(const Shape& shape, const Strides& strides, const Attrs& attrs) {
  check<IndexError>(!shape.empty(), "narrow: a tensor of 0 dims has nothing to narrow");
  const auto d =
      static_cast<std::size_t>(normalize_dim("narrow", attrs.get_int("dim"), shape.size()));
  const std::int64_t given = attrs.get_int("start"), length = attrs.get_int("length");
  check<IndexError>(given >= -shape[d] && given <= shape[d], "narrow: start ", given,
                    " is out of range [", -shape[d], ", ", shape[d], "] at dim ", d, " of shape ",
                    shape);
  const std::int64_t start = given < 0 ? given + shape[d] : given;
  check<ValueError>(length >= 0, "narrow: length ", length, " is negative");
  check<IndexError>(length <= shape[d] - start, "narrow: start ", start, " and length ", length,
                    " exceed size ", shape[d], " at dim ", d, " of shape ", shape);
  View view{shape, strides, start * strides[d]};
  view.shape[d] = length;
  return view;
}

View select_view(const Shape& shape, const Strides& strides, const Attrs& attrs) {
  check<IndexError>(!shape.empty(), "select: a tensor of 0 dims has nothing to select");
  const auto d =
      static_cast<std::size_t>(normalize_dim("select", attrs.get_int("dim"), shape.size()));
  const std::int64_t index = attrs.get_int("index");
  check<IndexError>(index >= -shape[d] && index < shape[d], "select: index ", index,
                    " is out of range [", -shape[d], ", ", shape[d], ") at dim ", d, " of shape ",
                    shape);
  View view{shape, strides, (index < 0 ? index + shape[d] : index) * strides[d]};
  view.shape.erase(view.shape.begin() + static_cast<std::ptrdiff_t>(d));
  view.strides.erase(view.strides.begin() + static_cast<std::ptrdiff_t>(d));
  return view;
}

// Zeros, the gradient in its slice, zeros: written side by side, in one pass.
template <Geometry geometry>
Tensors slice_backward(BackwardContext& context, std::span<const Tensor> grads,
                       const Attrs& attrs) {
  Tensor gx = context.make_gradient(0);
  const Shape& shape = gx.shape();
  const auto dim =
      static_cast<std::size_t>(normalize_dim("slice", attrs.get_int("dim"), shape.size()));
  const View slice = geometry(shape, gx.strides(), attrs);
  const bool keeps_dim = slice.shape.size() == shape.size();
  const std::int64_t length = keeps_dim ? slice.shape[dim] : 1;
  const std::int64_t start = gx.strides()[dim] > 0 ? slice.offset / gx.strides()[dim] : 0;
  const auto piece = [&](std::int64_t from, std::int64_t to) {
    Piece out{{}, shape, from};
    out.shape[dim] = to - from;
    return out;
  };
  Piece middle = piece(start, start + length);
  middle.tensor = grads[0];
  if (!keeps_dim) {
    Strides strides = grads[0].strides();
    strides.insert(strides.begin() + static_cast<std::ptrdiff_t>(dim), gx.strides()[dim]);
    middle.tensor = make_view(grads[0], middle.shape, strides, grads[0].storage_offset());
  }
  const Piece pieces[] = {piece(0, start), middle, piece(start + length, shape[dim])};
  join_into(pieces, gx, dim);
  return gx;
}

template <Geometry geometry>
OpDef view_def(std::string_view name, std::vector<AttrParam> attrs, BackwardFn backward,
               std::vector<std::string_view> backward_kernels = {}) {
  return {.name = name,
          .kind = OpKind::kView,
          .inputs = {{.name = "input", .dtypes = kAnyDType}},
          .attrs = std::move(attrs),
          .infer = infer<geometry>,
          .forward = forward<geometry>,
          .backward = backward,
          .cost = no_cost,
          .backward_kernels = std::move(backward_kernels)};
}

}  // namespace

const OpDef& reshape_def() {
  static const OpDef def{.name = "reshape",
                         .kind = OpKind::kView,
                         .inputs = {{.name = "input", .dtypes = kAnyDType}},
                         .attrs = {{"shape"}},
                         .infer = reshape_infer,
                         .forward = reshape_forward,
                         .backward = reshape_backward,
                         .cost = no_cost};
  return def;
}

const OpDef& transpose_def() {
  static const OpDef def = view_def<permute_view<transpose_dims>>("transpose", {{"dim0"}, {"dim1"}},
                                                                  permute_backward<transpose_dims>);
  return def;
}

const OpDef& permute_def() {
  static const OpDef def =
      view_def<permute_view<permute_dims>>("permute", {{"dims"}}, permute_backward<permute_dims>);
  return def;
}

const OpDef& expand_def() {
  static const OpDef def = [] {
    OpDef d = view_def<expand_view>(
        "expand", {{"size"}},
        [](BackwardContext& context, std::span<const Tensor> grads, const Attrs&) {
          return Tensors(sum_to(grads[0], context.input(0).shape));
        },
        {"reduce*<Sum,*>"});
    d.backward_workspace = [](Descs in, const Attrs& attrs) -> std::int64_t {
      const Shape shape = infer<expand_view>(in, attrs)[0].shape;
      if (!is_floating(in[0].dtype)) return 0;
      return reduce_workspace(in[0].dtype, shape, kept_by_broadcast(in[0].shape, shape), true);
    };
    return d;
  }();
  return def;
}

const OpDef& narrow_def() {
  static const OpDef def =
      view_def<narrow_view>("narrow", {{"dim"}, {"start"}, {"length"}}, slice_backward<narrow_view>,
                            {"join<*>", "fill<*>", "copy_*"});
  return def;
}

const OpDef& select_def() {
  static const OpDef def =
      view_def<select_view>("select", {{"dim"}, {"index"}}, slice_backward<select_view>,
                            {"join<*>", "fill<*>", "copy_*"});
  return def;
}

const OpDef& squeeze_def() {
  static const OpDef def =
      view_def<squeeze_view>("squeeze", {{"dim", AttrValue{IntList{}}}}, reshape_backward);
  return def;
}

const OpDef& unsqueeze_def() {
  static const OpDef def = view_def<unsqueeze_view>("unsqueeze", {{"dim"}}, reshape_backward);
  return def;
}

Tensor reshape(const Tensor& input, const IntList& shape) {
  return apply_one(reshape_def(), {input}, {{"shape", shape}});
}
Tensor transpose(const Tensor& input, std::int64_t dim0, std::int64_t dim1) {
  return apply_one(transpose_def(), {input}, {{"dim0", dim0}, {"dim1", dim1}});
}
Tensor permute(const Tensor& input, const IntList& dims) {
  return apply_one(permute_def(), {input}, {{"dims", dims}});
}
Tensor expand(const Tensor& input, const IntList& size) {
  return apply_one(expand_def(), {input}, {{"size", size}});
}
Tensor narrow(const Tensor& input, std::int64_t dim, std::int64_t start, std::int64_t length) {
  return apply_one(narrow_def(), {input}, {{"dim", dim}, {"start", start}, {"length", length}});
}
Tensor select(const Tensor& input, std::int64_t dim, std::int64_t index) {
  return apply_one(select_def(), {input}, {{"dim", dim}, {"index", index}});
}
Tensor squeeze(const Tensor& input, const IntList& dim) {
  return apply_one(squeeze_def(), {input}, {{"dim", dim}});
}
Tensor unsqueeze(const Tensor& input, std::int64_t dim) {
  return apply_one(unsqueeze_def(), {input}, {{"dim", dim}});
}

}  // namespace flame
