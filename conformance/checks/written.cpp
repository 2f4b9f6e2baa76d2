// Every element of what comes out was written by the op, and nothing beside it: run over two
// poisons, the bits agree, and the guard bands are untouched.
#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

struct Run {
  std::vector<Bits> bits;
  std::vector<std::string> violations;
};

Run run_over(const CheckContext& x, std::uint8_t poison, bool with_gradient,
             const std::vector<reference::HostTensor>& inputs) {
  x.rig.poison->set_pattern(poison);
  x.rig.strict.manual_seed(x.seed);
  Run run;
  {
    const Call call = upload_call(x, x.rig.strict, inputs);
    run.bits = bits_of(x.implementation.forward(call));
    if (with_gradient) {
      const auto grads = draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned);
      const Tape tape = x.implementation.record(call);
      const auto got = x.implementation.backward(tape, upload_all(x.rig.strict, grads));
      for (Bits& bits : bits_of(got)) run.bits.push_back(std::move(bits));
    }
    x.rig.strict.synchronize();
  }
  run.violations = x.rig.poison->take_violations();
  return run;
}

}  // namespace

Outcome check_written(const CheckContext& x) {
  const auto inputs = draw(x);
  const bool with_gradient = !no_gradient(x);
  const Run nan = run_over(x, 0xFF, with_gradient, inputs);
  const Run finite = run_over(x, 0x3F, with_gradient, inputs);
  for (const Run* run : {&nan, &finite})
    if (!run->violations.empty())
      return failed(str_cat("guard bands: ", run->violations.front(), " (", run->violations.size(),
                            " findings)"));
  Outcome out = passed(judge_same("written", nan.bits, finite.bits));
  if (out.verdict == records::Verdict::kFail)
    out.reason = "the result depends on what memory held before: " + out.reason;
  out.r = -1;
  return out;
}

}  // namespace flame::conformance
