// Elementwise functions of two tensors, or of a tensor and a number, with broadcasting. A function
// is one row here and one functor in kernels/binary.cu.
#include "lib/ops/binary.h"

#include <string>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/iteration.h"
#include "lib/ops/ops.h"
#include "lib/ops/promote.h"
#include "lib/ops/reduce_plan.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

// Which operands a gradient reads.
enum Reads : unsigned { kNone = 0, kX = 1, kY = 2, kBoth = 3 };

struct BinaryRow {
  std::string_view name, functor;
  Reads gradient_x_reads = kBoth, gradient_y_reads = kBoth;
  // gradient_y(x, y, g) is gradient_x(y, x, g), so that one kernel sums either.
  bool symmetric = false;
  std::string_view sums_by = {};     // a kernel of another file that sums gradients
  double flops = 1;                  // an element
  std::string_view other = "other";  // the second parameter's name
  // Where arguments decide: the functor, and the numbers that it takes.
  std::string_view (*choose)(const Attrs&) = nullptr;
  flame_params::Numbers (*numbers)(const Attrs&) = nullptr;
  // Operands whose summed gradient can come with the other operand's (kernels' SumAndGradient).
  Reads sums_with_each = kNone;
  // Whether the gradient of operand `side` is the gradient that came.
  bool (*passes)(std::size_t side, const flame_params::Numbers&) = nullptr;
};

std::string_view functor_of(const BinaryRow& row, const Attrs& attrs) {
  return row.choose ? row.choose(attrs) : row.functor;
}

flame_params::Numbers numbers_of(const BinaryRow& row, const Attrs& attrs) {
  return row.numbers ? row.numbers(attrs) : flame_params::Numbers{};
}

template <class Context>
unsigned saved_operands(const BinaryRow& row, const Context& context) {
  return (context.needs_grad(0) ? row.gradient_x_reads : kNone) |
         (context.needs_grad(1) ? row.gradient_y_reads : kNone);
}

template <const BinaryRow& row>
TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  if constexpr (row.choose != nullptr) row.choose(attrs);  // throws on a bad argument
  if constexpr (row.numbers != nullptr) row.numbers(attrs);
  if (!in[1].defined) {
    attrs.get_double(row.other);  // throws unless a number
    return in[0];
  }
  return TensorDesc{in[0].dtype, broadcast(row.name, in[0].shape, in[1].shape)};
}

template <const BinaryRow& row>
Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  Tensor out = context.make_output();
  const LoopOperand y =
      in[1].defined() ? LoopOperand(in[1]) : LoopOperand(attrs.get_double(row.other));
  if (const Loop loop = make_loop(out.shape(), {out, in[0], y}); !loop.empty())
    launch(context.device(),
           {"binary.cu",
            expression("binary_forward", functor_of(row, attrs), out.dtype(), loop.vector)},
           loop.grid(), loop.block(), 0, loop.extent, loop[0], loop[1], loop[2],
           numbers_of(row, attrs));
  const unsigned saved = saved_operands(row, context);
  if (saved & kX) context.save(in[0]);
  if (saved & kY && in[1].defined()) context.save(in[1]);
  return out;
}

// g, x and y of a backward; an operand that no wanted gradient reads is a number.
struct Terms {
  LoopOperand g, x, y;
};

Terms terms_of(const BinaryRow& row, const BackwardContext& context, const Tensor& g,
               const Attrs& attrs) {
  const unsigned saved = saved_operands(row, context);
  Terms terms{g, 0.0, 0.0};
  std::size_t next = 0;
  if (saved & kX) terms.x = context.saved(next++);
  if (!context.input(1).defined)
    terms.y = attrs.get_double(row.other);
  else if (saved & kY)
    terms.y = context.saved(next++);
  return terms;
}

// The gradient of operand `side`, summed over the dims along which it was broadcast. `each`: where
// the other operand's gradient goes, if it is wanted and needs no sum. Gives whether it was made.
bool sum_gradient(const BinaryRow& row, const Tensor& out, std::size_t side, const Terms& terms,
                  const Tensor& g, const Attrs& attrs, const Tensor* each) {
  const std::string_view functor = functor_of(row, attrs);
  const KeptDims kept = kept_by_broadcast(out.shape(), g.shape());
  if (!(row.sums_with_each & (side == 0 ? kX : kY))) each = nullptr;
  if (!each && row.passes && row.passes(side, numbers_of(row, attrs)))
    return reduce_into(out, {.file = "reduce.cu", .op = "Sum", .vectors = true}, g.dtype(),
                       g.shape(), kept, {g});
  if (functor == "DivTrunc" || functor == "DivFloor") {
    fill_into(out, 0);
    return false;
  }
  const int sum_side = static_cast<int>(row.symmetric ? 0 : side);
  const std::string op = expression("SumOfGradient", functor, sum_side);
  std::string op_each;
  if (each) op_each = expression("SumAndGradient", functor, sum_side);
  const ReduceOp reduce{.file = "binary.cu",
                        .op = op,
                        .numbers = numbers_of(row, attrs),
                        .vectors = functor != "Pow",
                        .op_each = op_each,
                        .each = each};
  if ((side == 0 ? row.gradient_x_reads : row.gradient_y_reads) == kNone)
    return reduce_into(out, reduce, g.dtype(), g.shape(), kept, {g});
  return reduce_into(out, reduce, g.dtype(), g.shape(), kept,
                     {g, side == 0 ? terms.y : terms.x, side == 0 ? terms.x : terms.y});
}

template <const BinaryRow& row>
Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  const Shape& shape = context.output().shape;
  const DType dtype = context.output().dtype;
  const std::string_view functor = functor_of(row, attrs);
  const flame_params::Numbers numbers = numbers_of(row, attrs);
  const Terms terms = terms_of(row, context, grads[0], attrs);
  Tensors out(2);
  std::array<LoopOperand, 2> plain{0.0, 0.0};  // gradients that need no sum: made in one launch
  for (std::size_t i = 0; i < 2; ++i) {
    if (!context.needs_grad(i)) continue;
    if (context.may_alias(i) && context.input(i).shape == shape && row.passes &&
        row.passes(i, numbers)) {
      out[i] = grads[0];
      continue;
    }
    out[i] = context.make_gradient(i);
    if (out[i].shape() == shape) plain[i] = out[i];
  }
  for (std::size_t i = 0; i < 2; ++i) {
    if (!out[i].defined() || out[i].shape() == shape) continue;
    const Tensor& other = plain[1 - i].tensor();
    if (sum_gradient(row, out[i], i, terms, grads[0], attrs, other.defined() ? &other : nullptr))
      plain[1 - i] = 0.0;
  }
  if (!plain[0].tensor().defined() && !plain[1].tensor().defined()) return out;
  // The first operand of a loop decides its order: let it be one that is there.
  const bool swap = !plain[0].tensor().defined();
  const Loop loop = make_loop(shape, {plain[swap], plain[!swap], terms.g, terms.x, terms.y});
  if (!loop.empty())
    launch(context.device(),
           {"binary.cu", expression("binary_backward", functor, dtype, loop.vector)}, loop.grid(),
           loop.block(), 0, loop.extent, loop[swap], loop[!swap], loop[2], loop[3], loop[4],
           numbers);
  return out;
}

double bytes_of(const TensorDesc& desc) {
  return desc.defined
             ? static_cast<double>(numel(desc.shape)) * static_cast<double>(size_of(desc.dtype))
             : 0;
}

template <const BinaryRow& row>
Cost cost(std::span<const TensorDesc> in, const Attrs& attrs) {
  const TensorDesc out = infer<row>(in, attrs)[0];
  return {static_cast<double>(numel(out.shape)) * row.flops,
          bytes_of(in[0]) + bytes_of(in[1]) + bytes_of(out)};
}

template <const BinaryRow& row>
std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const TensorDesc out = infer<row>(in, attrs)[0];
  std::int64_t most = 0;
  for (const TensorDesc& desc : in)
    if (desc.defined && desc.shape != out.shape)
      most = std::max(most, reduce_workspace(out.dtype, out.shape,
                                             kept_by_broadcast(desc.shape, out.shape), true));
  return most;
}

template <const BinaryRow& row>
OpDef binary_def(std::vector<std::string_view> forward_kernels,
                 std::vector<std::string_view> backward_kernels,
                 std::vector<AttrParam> attrs = {}) {
  if (!row.sums_by.empty()) backward_kernels.push_back(row.sums_by);
  return {.name = row.name,
          .inputs = {{.name = "input"},
                     {.name = row.other,
                      .scalar = true,
                      .alias = row.other == "other" ? std::string_view() : "other"}},
          .attrs = std::move(attrs),
          .infer = infer<row>,
          .forward = forward<row>,
          .backward = backward<row>,
          .cost = cost<row>,
          .kernels = std::move(forward_kernels),
          .backward_kernels = std::move(backward_kernels),
          .backward_workspace = backward_workspace<row>};
}

Tensor call(const OpDef& op, const Tensor& input, const Operand& other, Attrs attrs = {}) {
  if (other.number()) {
    attrs.set(op.inputs[1].name, other.number()->attr());
    return apply_one(op, {input, Tensor()}, std::move(attrs));
  }
  auto [x, y] = promoted(input, other.tensor());
  return apply_one(op, {std::move(x), std::move(y)}, std::move(attrs));
}

flame_params::Numbers alpha(const Attrs& attrs) { return {{attrs.get_double("alpha"), 0}}; }
bool adds_as_it_is(std::size_t side, const flame_params::Numbers& numbers) {
  return side == 0 || numbers.v[0] == 1;
}

std::string_view div_functor(const Attrs& attrs) {
  if (!attrs.has("rounding_mode")) return "Div";
  const std::string& mode = attrs.get_string("rounding_mode");
  check<ValueError>(mode.empty() || mode == "trunc" || mode == "floor", "div: rounding_mode is '",
                    mode, "'; it must be 'trunc', 'floor' or ''");
  return mode.empty() ? "Div" : mode == "trunc" ? "DivTrunc" : "DivFloor";
}

}  // namespace

// BINARY_DEF(mul, Functor, glob, attrs, ...): mul_def() by a row of the remaining fields.
#define BINARY_DEF(id, functor_, glob, attributes, ...)                                          \
  const OpDef& id##_def() {                                                                      \
    static constexpr BinaryRow row{.name = #id, .functor = functor_ __VA_OPT__(, ) __VA_ARGS__}; \
    static const OpDef def = binary_def<row>(                                                    \
        {"binary_forward<" glob ",*>"},                                                          \
        {"binary_backward<" glob ",*>", "reduce*<Sum*Gradient<" glob ",*>,*>"}, attributes);     \
    return def;                                                                                  \
  }
// BINARY(mul, "Mul", ...): also mul(input, other).
#define BINARY(id, functor_, ...)                                   \
  BINARY_DEF(id, functor_, functor_, {} __VA_OPT__(, ) __VA_ARGS__) \
  Tensor id(const Tensor& input, const Operand& other) { return call(id##_def(), input, other); }

BINARY(mul, "Mul", .gradient_x_reads = kY, .gradient_y_reads = kX, .symmetric = true,
       .sums_with_each = kBoth)
BINARY(pow, "Pow", .flops = 8, .other = "exponent")
BINARY_DEF(add, "Add", "Add", (std::vector<AttrParam>{{"alpha", AttrValue{1.0}}}),
           .gradient_x_reads = kNone, .gradient_y_reads = kNone, .sums_by = "reduce*<Sum,*>",
           .numbers = alpha, .sums_with_each = kY, .passes = adds_as_it_is)
BINARY_DEF(div, "Div", "Div*", (std::vector<AttrParam>{{"rounding_mode", AttrValue{}}}),
           .gradient_x_reads = kY, .sums_by = "fill<*>", .choose = div_functor)
#undef BINARY
#undef BINARY_DEF

Tensor add(const Tensor& input, const Operand& other, double alpha_value) {
  Attrs attrs;
  attrs.set("alpha", alpha_value);  // a list in braces would be copied
  return call(add_def(), input, other, std::move(attrs));
}

Tensor div(const Tensor& input, const Operand& other, std::string_view rounding_mode) {
  return call(div_def(), input, other, {{"rounding_mode", std::string(rounding_mode)}});
}

void add_into(const Tensor& to, const Tensor& other, double alpha_value) {
  check<DTypeError>(is_floating(to.dtype()), "add: dtype ", name(to.dtype()), " is not floating");
  check<ShapeError>(broadcasts_to(other.shape(), to.shape()), "add: shape ", other.shape(),
                    " does not broadcast to ", to.shape());
  for (std::size_t d = 0; d < to.shape().size(); ++d)
    check<ValueError>(to.shape()[d] < 2 || to.strides()[d] != 0, "add: the target of shape ",
                      to.shape(), " is expanded along dim ", d);
  const Tensor term = other.dtype() == to.dtype() ? other : as_contiguous(other, to.dtype());
  const Loop loop = make_loop(to.shape(), {to, to, term});
  if (loop.empty()) return;
  launch(to.device(), {"binary.cu", expression("binary_forward", "Add", to.dtype(), loop.vector)},
         loop.grid(), loop.block(), 0, loop.extent, loop[0], loop[1], loop[2],
         flame_params::Numbers{{alpha_value, 0}});
}

}  // namespace flame
