// Runs an op by its definition: the one road from a call to the device.
#pragma once
#include <initializer_list>
#include <span>
#include <vector>

#include "lib/core/op_def.h"
#include "lib/tensor/tensor.h"

namespace flame {

// The tensors given to a call, wherever they lie; nothing is copied.
class TensorList : public std::span<const Tensor> {
 public:
  TensorList(std::initializer_list<Tensor> list) : span(list.begin(), list.size()) {}
  TensorList(const Tensors& list) : span(list) {}
  TensorList(const std::vector<Tensor>& list) : span(list) {}
};

// Completes the attributes, checks arity, definedness, dtypes and devices against op.inputs, infers
// the outputs, runs forward, and records a graph node where an input requires grad and grad mode is
// on. `inputs` has one entry per op.inputs (a list parameter takes the rest); a number in a
// tensor's place is an undefined tensor and the attribute of the parameter's name. `device`: only
// for ops without tensor inputs. Throws DeviceError, DTypeError, and whatever op.infer throws.
Tensors apply(const OpDef& op, TensorList inputs, Attrs attrs, const Device* device = nullptr);

// The first output.
Tensor apply_one(const OpDef& op, TensorList inputs, Attrs attrs, const Device* device = nullptr);

// d(outputs)/d(inputs)^T * grad_outputs, without touching .grad; undefined where an input was not
// used. Each is contiguous and nobody else's memory. Throws AutogradError when a tensor is not part
// of a graph.
Tensors grad(std::span<const Tensor> outputs, std::span<const Tensor> inputs,
             std::span<const Tensor> grad_outputs, bool retain_graph = false);

}  // namespace flame
