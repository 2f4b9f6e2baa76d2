// where(condition, input, other).
#include <string>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/iteration.h"
#include "lib/ops/ops.h"
#include "lib/ops/promote.h"
#include "lib/ops/reduce_plan.h"

namespace flame {
namespace {

// Two numbers give float32, PyTorch's default dtype.
DType value_dtype(const TensorDesc& x, const TensorDesc& y) {
  return x.defined ? x.dtype : y.defined ? y.dtype : DType::kFloat32;
}

TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  Shape shape = in[0].shape;
  constexpr std::string_view names[] = {"input", "other"};
  for (std::size_t i = 1; i < 3; ++i) {
    if (in[i].defined)
      shape = broadcast("where", shape, in[i].shape);
    else
      attrs.get_double(names[i - 1]);  // throws unless a number
  }
  return {{value_dtype(in[1], in[2]), shape}};
}

LoopOperand value_operand(const Tensor& tensor, const Attrs& attrs, std::string_view name) {
  return tensor.defined() ? LoopOperand(tensor) : LoopOperand(attrs.get_double(name));
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  Tensor out = context.make_output();
  const Loop loop = make_loop(out.shape(), {out, in[0], value_operand(in[1], attrs, "input"),
                                            value_operand(in[2], attrs, "other")});
  if (!loop.empty())
    launch(context.device(), {"where.cu", expression("where_forward", out.dtype(), loop.vector)},
           loop.grid(), loop.block(), 0, loop.extent, loop[0], loop[1], loop[2], loop[3]);
  if (context.needs_any_grad()) context.save(in[0]);
  return out;
}

Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs&) {
  const Shape& shape = context.output().shape;
  const DType dtype = context.output().dtype;
  const Tensor condition = context.saved(0);
  Tensors out(3);
  std::array<LoopOperand, 2> plain{0.0, 0.0};  // gradients that need no sum: made in one launch
  for (std::size_t i = 1; i < 3; ++i) {
    if (!context.needs_grad(i)) continue;
    out[i] = context.make_gradient(i);
    if (out[i].shape() == shape) {
      plain[i - 1] = out[i];
      continue;
    }
    const std::string op = expression("SumOfChosen", static_cast<int>(i - 1));
    reduce_into(out[i], {.file = "where.cu", .op = op, .vectors = true}, dtype, shape,
                kept_by_broadcast(out[i].shape(), shape), {grads[0], condition});
  }
  if (!plain[0].tensor().defined() && !plain[1].tensor().defined()) return out;
  // The first operand of a loop decides its order: let it be one that is there.
  const bool swap = !plain[0].tensor().defined();
  const Loop loop = make_loop(shape, {plain[swap], plain[!swap], grads[0], condition});
  if (!loop.empty())
    launch(context.device(), {"where.cu", expression("where_backward", dtype, loop.vector)},
           loop.grid(), loop.block(), 0, loop.extent, loop[swap], loop[!swap], loop[2], loop[3]);
  return out;
}

Cost cost(std::span<const TensorDesc> in, const Attrs& attrs) {
  const TensorDesc out = infer(in, attrs)[0];
  auto bytes = [](const TensorDesc& d) {
    return d.defined ? static_cast<double>(numel(d.shape)) * static_cast<double>(size_of(d.dtype))
                     : 0;
  };
  return {static_cast<double>(numel(out.shape)),
          bytes(in[0]) + bytes(in[1]) + bytes(in[2]) + bytes(out)};
}

std::int64_t backward_workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const TensorDesc out = infer(in, attrs)[0];
  std::int64_t most = 0;
  for (const TensorDesc& desc : in.subspan(1))
    if (desc.defined && desc.shape != out.shape)
      most = std::max(most, reduce_workspace(out.dtype, out.shape,
                                             kept_by_broadcast(desc.shape, out.shape), true));
  return most;
}

}  // namespace

const OpDef& where_def() {
  static const OpDef def{
      .name = "where",
      .inputs = {{.name = "condition", .differentiable = false, .dtypes = kMask},
                 {.name = "input", .scalar = true},
                 {.name = "other", .scalar = true}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"where_forward<*>"},
      .backward_kernels = {"where_backward<*>", "reduce*<SumOfChosen<*>,*>"},
      .backward_workspace = backward_workspace,
  };
  return def;
}

Tensor where(const Tensor& condition, const Operand& input, const Operand& other) {
  Attrs attrs;
  if (input.number()) attrs.set("input", input.number()->attr());
  if (other.number()) attrs.set("other", other.number()->attr());
  if (input.number() || other.number())
    return apply_one(where_def(), {condition, input.tensor(), other.tensor()}, attrs);
  const auto [x, y] = promoted(input.tensor(), other.tensor());
  return apply_one(where_def(), {condition, x, y}, attrs);
}

}  // namespace flame
