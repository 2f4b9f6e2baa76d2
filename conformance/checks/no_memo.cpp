// Results come from values, not from addresses: new values at the old addresses give the new
// result, old values at new addresses the old one.
#include "conformance/checks/support.h"

namespace flame::conformance {
namespace {

std::vector<Bits> gradient_bits(const CheckContext& x, const Call& call,
                                const std::vector<reference::HostTensor>& grads) {
  const Tape tape = x.implementation.record(call);
  return bits_of(x.implementation.backward(tape, upload_all(x.rig.device, grads)));
}

}  // namespace

Outcome check_no_memo(const CheckContext& x) {
  const auto first = draw(x, 1), second = draw(x, 2);
  if (first.empty()) return not_run("the op takes no tensors");
  const bool with_gradient = !no_gradient(x);
  const auto grads = draw_grad_outputs(x, output_descs(x, first), GradKind::kSigned);

  const Call call = upload_call(x, x.rig.device, first);
  const auto outputs = x.implementation.forward(call);
  Judgement all = judge_outputs(x, outputs, first);
  const auto bits = bits_of(outputs);
  std::vector<Bits> gradients;
  if (with_gradient) gradients = gradient_bits(x, call, grads);

  // Same addresses, other values.
  const Call other = upload_call(x, x.rig.device, second);
  for (std::size_t i = 0; i < call.inputs.size(); ++i)
    if (call.inputs[i].defined()) write_storage(call.inputs[i], storage_bytes(other.inputs[i]));
  all.merge(judge_outputs(x, x.implementation.forward(call), second));
  if (with_gradient) {
    const Tape tape = x.implementation.record(call);
    const auto got = x.implementation.backward(tape, upload_all(x.rig.device, grads));
    all.merge(judge_gradients(x, got, second, grads));
  }
  // The first values again, where nothing has lain before: `call` and `other` still hold theirs.
  const Call fresh = upload_call(x, x.rig.device, first);
  all.merge(judge_same("again", bits_of(x.implementation.forward(fresh)), bits));
  if (with_gradient) all.merge(judge_same("again.grad", gradient_bits(x, fresh, grads), gradients));
  return passed(all);
}

}  // namespace flame::conformance
