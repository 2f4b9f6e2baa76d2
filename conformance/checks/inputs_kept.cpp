// Inputs and grad_outputs, gaps of their storage included, keep every bit.
#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

using Snapshot = std::vector<std::vector<std::byte>>;

Snapshot snapshot(const std::vector<Tensor>& tensors) {
  Snapshot out;
  for (const Tensor& t : tensors)
    out.push_back(t.defined() ? storage_bytes(t) : std::vector<std::byte>());
  return out;
}

// Which of them changed; -1: none.
int changed(const Snapshot& before, const std::vector<Tensor>& tensors) {
  const Snapshot after = snapshot(tensors);
  for (std::size_t i = 0; i < before.size(); ++i)
    if (before[i] != after[i]) return int(i);
  return -1;
}

}  // namespace

Outcome check_inputs_kept(const CheckContext& x) {
  const auto inputs = draw(x);
  if (inputs.empty()) return not_run("the op takes no tensors");
  const Call call = upload_call(x, x.rig.device, inputs);
  const Snapshot before = snapshot(call.inputs);
  std::int64_t bytes = 0;
  for (const auto& b : before) bytes += std::int64_t(b.size());
  const auto outputs = x.implementation.forward(call);
  x.rig.device.synchronize();
  if (int i = changed(before, call.inputs); i >= 0)
    return failed(str_cat("forward changed its input ", input_name(x.op, std::size_t(i))));
  if (!no_gradient(x)) {
    const auto grads =
        upload_all(x.rig.device, draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned));
    const Snapshot grads_before = snapshot(grads);
    const Tape tape = x.implementation.record(call);
    const auto gradients = x.implementation.backward(tape, grads);
    x.rig.device.synchronize();
    if (int i = changed(before, call.inputs); i >= 0)
      return failed(str_cat("backward changed the input ", input_name(x.op, std::size_t(i))));
    if (int i = changed(grads_before, grads); i >= 0)
      return failed(str_cat("backward changed the gradient of output ", i));
  }
  return passed(bytes);
}

}  // namespace flame::conformance
