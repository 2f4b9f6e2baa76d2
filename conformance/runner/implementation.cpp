#include "conformance/runner/implementation.h"

#include <algorithm>

#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"

namespace flame::conformance {

const TensorParam& param_of(const OpDef& op, std::size_t i) {
  return op.inputs[std::min(i, op.inputs.size() - 1)];
}

std::vector<Tensor> Library::forward(const Call& call) {
  const NoGradGuard no_grad;
  return apply(*call.op, call.inputs, call.attrs, &call.device);
}

Tape Library::record(const Call& call) {
  Tape tape{call, {}, {}, {}};
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor& input = call.inputs[i];
    const bool wants =
        input.defined() && is_floating(input.dtype()) && param_of(*call.op, i).differentiable;
    tape.wants_grad.push_back(wants);
    tape.leaves.push_back(input.defined() ? input.detach() : Tensor());
    if (wants) tape.leaves.back().set_requires_grad();
  }
  tape.outputs = apply(*call.op, tape.leaves, call.attrs, &call.device);
  return tape;
}

std::vector<Tensor> Library::backward(const Tape& tape, const std::vector<Tensor>& grad_outputs) {
  std::vector<Tensor> wanted;
  for (std::size_t i = 0; i < tape.leaves.size(); ++i)
    if (tape.wants_grad[i]) wanted.push_back(tape.leaves[i]);
  // The graph is kept, so that one tape can be differentiated again.
  const std::vector<Tensor> found = grad(tape.outputs, wanted, grad_outputs, true);
  std::vector<Tensor> gradients(tape.leaves.size());
  std::size_t next = 0;
  for (std::size_t i = 0; i < tape.leaves.size(); ++i)
    if (tape.wants_grad[i]) gradients[i] = found[next++];
  return gradients;
}

}  // namespace flame::conformance
