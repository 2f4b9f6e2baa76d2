// Bitwise the same on a rerun, on another stream, and while another stream keeps the device busy.
#include "conformance/checks/support.h"

namespace flame::conformance {
namespace {

std::vector<Bits> run_on(const CheckContext& x, const Device& device,
                         const std::vector<reference::HostTensor>& inputs,
                         const std::vector<reference::HostTensor>& grads) {
  device.manual_seed(x.seed);
  const Call call = upload_call(x, device, inputs);
  std::vector<Bits> bits = bits_of(x.implementation.forward(call));
  if (grads.empty()) return bits;
  const Tape tape = x.implementation.record(call);
  for (Bits& b : bits_of(x.implementation.backward(tape, upload_all(device, grads))))
    bits.push_back(std::move(b));
  return bits;
}

}  // namespace

Outcome check_deterministic(const CheckContext& x) {
  const auto inputs = draw(x);
  std::vector<reference::HostTensor> grads;
  if (!no_gradient(x)) grads = draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned);
  const Device& device = x.rig.device;
  const auto first = run_on(x, device, inputs, grads);
  Judgement all = judge_same("rerun", run_on(x, device, inputs, grads), first);
  all.merge(
      judge_same("other_stream", run_on(x, device.on(device.new_stream()), inputs, grads), first));

  // Busy: other work of the same op queued on its own stream before, and never waited for here.
  const Device busy = device.on(device.new_stream());
  const Call noise = upload_call(x, busy, draw(x, 3));
  std::vector<std::vector<Tensor>> kept;
  for (int i = 0; i < 8; ++i) kept.push_back(x.implementation.forward(noise));
  all.merge(judge_same("busy", run_on(x, device, inputs, grads), first));
  busy.synchronize();
  return passed(all);
}

}  // namespace flame::conformance
