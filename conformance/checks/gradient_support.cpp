// Where the true gradient is nonzero beyond its bound, the device's must be: catches gradients that
// are zero, missing for one input, or detached, whatever their scale.
#include <cmath>

#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {

Outcome check_gradient_support(const CheckContext& x) {
  if (auto why = no_gradient(x)) return not_run(*why);
  const auto inputs = draw(x);
  const auto grads = draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned);
  const Tape tape = x.implementation.record(upload_call(x, x.rig.device, inputs));
  const auto got = x.implementation.backward(tape, upload_all(x.rig.device, grads));
  const auto truth = x.contract.backward(inputs, case_attrs(x), grads);
  if (got.size() != truth.size())
    return failed(str_cat(got.size(), " gradients, ", truth.size(), " are due"));
  std::int64_t compared = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (!truth[i].defined) continue;
    const std::string name = "grad." + input_name(x.op, i);
    if (!got[i].defined()) return failed(name + " is missing: the input is detached");
    const auto host = download(got[i]);
    if (host.shape != truth[i].shape) return failed(name + " has the wrong shape");
    for (std::size_t k = 0; k < host.values.size(); ++k) {
      const double bound = tolerance(host.dtype, truth[i].values[k]);
      if (!(std::fabs(double(truth[i].values[k].value)) > bound)) continue;
      ++compared;
      if (host.values[k] == 0)
        return failed(str_cat(name, position(host.shape, std::int64_t(k)), " is 0, the truth is ",
                              double(truth[i].values[k].value)));
    }
  }
  if (compared == 0) return not_run("the true gradient is zero everywhere in this case");
  return passed(compared);
}

}  // namespace flame::conformance
