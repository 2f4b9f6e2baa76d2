// The same values lying otherwise in memory: strides, offsets, misalignment, stride 0. Gaps are
// NaN.
#include "conformance/checks/support.h"

namespace flame::conformance {

Outcome check_layouts(const CheckContext& x) {
  bool differs = false;
  for (const auto& spec : x.c.inputs)
    differs |= spec.defined && layout_differs(x.layout, spec.shape);
  if (!differs) return not_run("no input of this case lies differently in this layout");
  const auto inputs = draw(x);
  Judgement all =
      judge_outputs(x, x.implementation.forward(upload_call(x, x.rig.device, inputs)), inputs);
  if (!no_gradient(x)) {
    const Tape tape = x.implementation.record(upload_call(x, x.rig.device, inputs));
    const auto grads = draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned);
    const auto got = x.implementation.backward(tape, upload_all(x.rig.device, grads, x.layout));
    all.merge(judge_gradients(x, got, inputs, grads));
  }
  return passed(all);
}

}  // namespace flame::conformance
