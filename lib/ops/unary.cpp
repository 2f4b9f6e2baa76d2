// Elementwise functions of one tensor. A function is one row here and one functor in
// kernels/unary.cu.
#include <string>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/iteration.h"
#include "lib/ops/ops.h"

namespace flame {
namespace {

// Which tensor the functor's gradient(x, g) is given as x.
enum class Saves { kInput, kOutput };

struct UnaryRow {
  std::string_view functor;
  Saves saves = Saves::kInput;
  double flops = 1;  // an element
  // Where arguments decide: the functor, and the numbers that it takes.
  std::string_view (*choose)(const Attrs&) = nullptr;
  flame_params::Numbers (*numbers)(const Attrs&) = nullptr;
};

Expression kernel(const UnaryRow& row, std::string_view name, const Attrs& attrs, DType dtype,
                  int vector) {
  return expression(name, row.choose ? row.choose(attrs) : row.functor, dtype, vector);
}

flame_params::Numbers numbers_of(const UnaryRow& row, const Attrs& attrs) {
  return row.numbers ? row.numbers(attrs) : flame_params::Numbers{};
}

template <const UnaryRow& row>
TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  if constexpr (row.choose != nullptr) row.choose(attrs);  // throws on a bad argument
  return in[0];
}

template <const UnaryRow& row>
Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  Tensor y = context.make_output();
  if (const Loop loop = make_loop(y.shape(), {y, in[0]}); !loop.empty())
    launch(context.device(),
           {"unary.cu", kernel(row, "unary_forward", attrs, y.dtype(), loop.vector)}, loop.grid(),
           loop.block(), 0, loop.extent, loop[0], loop[1], numbers_of(row, attrs));
  if (context.needs_grad(0)) context.save(row.saves == Saves::kInput ? in[0] : y);
  return y;
}

template <const UnaryRow& row>
Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  Tensor gx = context.make_gradient(0);
  if (const Loop loop = make_loop(gx.shape(), {gx, context.saved(0), grads[0]}); !loop.empty())
    launch(context.device(),
           {"unary.cu", kernel(row, "unary_backward", attrs, gx.dtype(), loop.vector)}, loop.grid(),
           loop.block(), 0, loop.extent, loop[0], loop[1], loop[2], numbers_of(row, attrs));
  return gx;
}

template <const UnaryRow& row>
Cost cost(std::span<const TensorDesc> in, const Attrs&) {
  const auto n = static_cast<double>(numel(in[0].shape));
  return {n * row.flops, 2 * n * static_cast<double>(size_of(in[0].dtype))};
}

template <const UnaryRow& row>
OpDef unary_def(std::string_view name, std::string_view forward_kernels,
                std::string_view backward_kernels, std::vector<AttrParam> attrs = {}) {
  return {.name = name,
          .inputs = {{.name = "input"}},
          .attrs = std::move(attrs),
          .infer = infer<row>,
          .forward = forward<row>,
          .backward = backward<row>,
          .cost = cost<row>,
          .kernels = {forward_kernels},
          .backward_kernels = {backward_kernels}};
}

}  // namespace

// UNARY(exp, "Exp", ...): exp_def() and exp(input) by the functor Exp; the rest as in UnaryRow.
#define UNARY(id, Functor, ...)                                                               \
  const OpDef& id##_def() {                                                                   \
    static constexpr UnaryRow row{Functor __VA_OPT__(, ) __VA_ARGS__};                        \
    static const OpDef def =                                                                  \
        unary_def<row>(#id, "unary_forward<" Functor ",*>", "unary_backward<" Functor ",*>"); \
    return def;                                                                               \
  }                                                                                           \
  Tensor id(const Tensor& input) { return apply_one(id##_def(), {input}, {}); }

UNARY(exp, "Exp")
UNARY(relu, "Relu", Saves::kOutput)
UNARY(sigmoid, "Sigmoid", Saves::kInput, 4)
#undef UNARY

namespace {

std::string_view gelu_functor(const Attrs& attrs) {
  const std::string& approximate = attrs.get_string("approximate");
  check<ValueError>(approximate == "none" || approximate == "tanh", "gelu: approximate is '",
                    approximate, "'; it must be 'none' or 'tanh'");
  return approximate == "none" ? "GeluErf" : "GeluTanh";
}

}  // namespace

const OpDef& gelu_def() {
  static constexpr UnaryRow row{.functor = "Gelu", .flops = 8, .choose = gelu_functor};
  static const OpDef def =
      unary_def<row>("gelu", "unary_forward<Gelu*,*>", "unary_backward<Gelu*,*>",
                     {{"approximate", AttrValue{std::string("none")}}});
  return def;
}

Tensor gelu(const Tensor& input, std::string_view approximate) {
  return apply_one(gelu_def(), {input}, {{"approximate", std::string(approximate)}});
}

}  // namespace flame
