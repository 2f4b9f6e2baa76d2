#include "conformance/checks/support.h"

namespace flame::conformance {

Outcome check_backward(const CheckContext& x) {
  if (auto why = no_gradient(x)) return not_run(*why);
  const auto inputs = draw(x);
  const auto descs = output_descs(x, inputs);
  const Tape tape = x.implementation.record(upload_call(x, x.rig.device, inputs));
  Judgement all;
  bool first = true;
  for (GradKind kind : {GradKind::kSigned, GradKind::kZeros, GradKind::kOneHot}) {
    const auto grads = draw_grad_outputs(x, descs, kind);
    const auto got = x.implementation.backward(tape, upload_all(x.rig.device, grads));
    const Judgement j = judge_gradients(x, got, inputs, grads);
    if (first)
      all = j;
    else
      all.merge(j);
    first = false;
  }
  return passed(all);
}

}  // namespace flame::conformance
