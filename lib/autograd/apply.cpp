#include "lib/autograd/apply.h"

#include <algorithm>

#include "lib/autograd/grad_mode.h"
#include "lib/autograd/node.h"
#include "lib/autograd/stream_order.h"
#include "lib/core/error.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

// The parameter that input i belongs to: a list parameter takes the rest.
const TensorParam& param_of(const OpDef& op, std::size_t i) {
  return op.inputs[std::min(i, op.inputs.size() - 1)];
}

void check_count(const OpDef& op, std::size_t given) {
  const bool list = !op.inputs.empty() && op.inputs.back().list;
  const std::size_t want = op.inputs.size();
  check<ValueError>(list ? given >= want : given == want, op.name, ": takes ",
                    list ? "at least " : "", want, " tensors, given ", given);
}

// Definedness, dtype and device of every input, all before anything is inferred or launched.
void check_inputs(const OpDef& op, TensorList inputs, const Attrs& attrs) {
  const TensorImpl* first = nullptr;
  const TensorImpl* floating = nullptr;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorParam& param = param_of(op, i);
    const TensorImpl* const t = inputs[i].impl().get();
    if (!t) {
      check<DeviceError>(param.optional || (param.scalar && attrs.has(param.name)), op.name, ": '",
                         param.name, "' is undefined");
      continue;
    }
    check<DTypeError>(param.dtypes.has(t->dtype), op.name, ": '", param.name, "' has dtype ",
                      t->dtype, ", which it does not take");
    if (!first) first = t;
    const Device& device = t->storage->device;
    check<DeviceError>(device == first->storage->device, op.name, ": '", param.name, "' is on ",
                       device, ", the first tensor on another device, ", first->storage->device);
    if (!is_floating(t->dtype)) continue;
    if (!floating) floating = t;
    check<DTypeError>(t->dtype == floating->dtype, op.name, ": '", param.name, "' is ", t->dtype,
                      ", another input ", floating->dtype);
  }
}

const Device& device_of(const OpDef& op, TensorList inputs, const Device* given) {
  for (const Tensor& t : inputs)
    if (t.defined()) return t.device();
  check<DeviceError>(given != nullptr, op.name, ": no tensor and no device to run on");
  return *given;
}

bool wants_grad(const OpDef& op, TensorList inputs, std::size_t i) {
  const TensorImpl* const t = inputs[i].impl().get();
  return t && (t->requires_grad || t->grad_fn) && param_of(op, i).differentiable &&
         is_floating(t->dtype);
}

// Which inputs a gradient will be wanted of; empty: of none.
Flags wanted_grads(const OpDef& op, TensorList inputs) {
  Flags needs;
  if (!op.backward || !grad_enabled()) return needs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!wants_grad(op, inputs, i)) continue;
    needs.resize(inputs.size());
    needs[i] = true;
  }
  return needs;
}

TensorDescs descs(TensorList tensors) {
  TensorDescs out(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorImpl* const t = tensors[i].impl().get();
    out[i].defined = t != nullptr;
    if (!t) continue;
    out[i].dtype = t->dtype;
    out[i].shape = t->shape;
  }
  return out;
}

void record(OpContext& context, TensorList inputs, TensorDescs input_descs, Attrs attrs,
            Flags needs, Tensors& outputs) {
  auto node = std::make_shared<autograd::Node>(context.op(), context.device());
  node->attrs = std::move(attrs);
  node->inputs = std::move(input_descs);
  node->outputs = descs(outputs);
  node->needs_grad = std::move(needs);
  node->saved = context.take_saved();
  node->edges.reserve(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    node->edges.push_back(node->needs_grad[i] ? autograd::edge_to(inputs[i]) : autograd::Edge{});
    if (node->edges.back().node)
      node->depth = std::max(node->depth, node->edges.back().node->depth + 1);
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!is_floating(outputs[i].dtype())) continue;
    outputs[i].impl()->grad_fn = node;
    outputs[i].impl()->output_index = static_cast<int>(i);
  }
}

Tensors run_forward(OpContext& context, TensorList inputs, const Attrs& attrs) {
  const NoGradGuard no_grad;
  const StreamOrder order(context.device(), inputs);
  return context.op().forward(context, inputs, attrs);
}

}  // namespace

Tensors apply(const OpDef& op, TensorList inputs, Attrs given, const Device* given_device) {
  check_count(op, inputs.size());
  Attrs attrs = complete_attrs(op, std::move(given));
  check_inputs(op, inputs, attrs);
  const Device& device = device_of(op, inputs, given_device);
  TensorDescs input_descs = descs(inputs);
  Flags needs = wanted_grads(op, inputs);

  OpContext context(op, device, op.infer(input_descs, attrs), needs);
  Tensors outputs = run_forward(context, inputs, attrs);
  // An op that had nothing to do hands an input back: it is already where its gradient goes.
  const bool is_input = std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& t) {
    return t.defined() && t.impl() == outputs[0].impl();
  });
  if (!needs.empty() && !is_input)
    record(context, inputs, std::move(input_descs), std::move(attrs), std::move(needs), outputs);
  return outputs;
}

Tensor apply_one(const OpDef& op, TensorList inputs, Attrs attrs, const Device* device) {
  return std::move(apply(op, inputs, std::move(attrs), device)[0]);
}

}  // namespace flame
