#include "conformance/checks/support.h"

namespace flame::conformance {

Outcome check_forward(const CheckContext& x) {
  const auto inputs = draw(x);
  const Call call = upload_call(x, x.rig.device, inputs);
  return passed(judge_outputs(x, x.implementation.forward(call), inputs));
}

}  // namespace flame::conformance
