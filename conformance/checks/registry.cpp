// The one list of checks, in the order of every report.
#include <array>

#include "conformance/checks/check.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

const std::array<Check, 14> kChecks{{
    {"forward", "every value within its derived bound, every case and dtype", Scope::kEveryCase,
     check_forward},
    {"backward", "every gradient within its derived bound, signed, with zeros, and one-hot",
     Scope::kEveryCase, check_backward, Needs::kBackward},
    {"finite_difference",
     "its own float64 backward against 4-point differences of its own float64 forward",
     Scope::kFloat64, check_finite_difference, Needs::kBackward},
    {"gradient_support", "nonzero wherever the true gradient is", Scope::kRepresentative,
     check_gradient_support, Needs::kBackward},
    {"written", "every element written over two poisons, no guard band touched",
     Scope::kRepresentative, check_written},
    {"inputs_kept", "inputs and grad_outputs keep every bit", Scope::kRepresentative,
     check_inputs_kept, Needs::kTensors},
    {"witness", "the declared kernels ran on the device, and nothing else", Scope::kRepresentative,
     check_witness},
    {"influence", "an element that matters changes the output, one that does not, does not",
     Scope::kRepresentative, check_influence, Needs::kTensors},
    {"no_memo", "new values at old addresses, old values at new addresses", Scope::kRepresentative,
     check_no_memo, Needs::kTensors},
    {"layouts", "forward and backward of transposed, offset, sliced and expanded operands",
     Scope::kEveryLayout, check_layouts, Needs::kTensors},
    {"deterministic", "bitwise equal over reruns, another stream and a busy device",
     Scope::kRepresentative, check_deterministic},
    {"errors", "a wrong call is one typed error that names it; nothing launched, nothing leaked",
     Scope::kErrorCases, check_errors},
    {"memory", "temporaries within what is declared, and all given back", Scope::kRepresentative,
     check_memory},
    {"isolation", "the same bits alone, after other ops, and from eight threads", Scope::kOneCase,
     check_isolation},
}};

}  // namespace

std::span<const Check> all_checks() { return kChecks; }

std::optional<std::string> out_of_scope(const Check& check, const OpDef& op) {
  if (check.needs == Needs::kTensors && op.inputs.empty()) return "the op takes no tensors";
  if (check.needs == Needs::kBackward && !op.backward) return "the op has no backward, and says so";
  return std::nullopt;
}

const Check& find_check(std::string_view id) {
  std::string ids;
  for (const Check& check : kChecks) {
    if (check.id == id) return check;
    ids += " " + check.id;
  }
  throw ValueError(str_cat("check: '", id, "' is none of", ids));
}

Outcome passed(const Judgement& j) {
  return {j.pass ? records::Verdict::kPass : records::Verdict::kFail,
          j.reason,
          j.r,
          j.where,
          j.compared,
          {}};
}
Outcome passed(std::int64_t compared) {
  return {records::Verdict::kPass, {}, -1, {}, compared, {}};
}
Outcome failed(std::string reason) {
  return {records::Verdict::kFail, std::move(reason), -1, {}, 0, {}};
}
Outcome not_run(std::string reason) {
  return {records::Verdict::kNotRun, std::move(reason), -1, {}, 0, {}};
}

Outcome run_check(const Check& check, const CheckContext& context) {
  try {
    return check.run(context);
  } catch (const WitnessError& e) {
    return not_run(std::string("nothing could be witnessed: ") + e.what());
  } catch (const std::exception& e) {
    // What a broken call left pending on the device must not be blamed on the next item.
    try {
      context.rig.device.synchronize();
      context.rig.strict.synchronize();
    } catch (const std::exception&) {
    }
    context.rig.poison->take_violations();
    return failed(std::string("threw: ") + e.what());
  }
}

}  // namespace flame::conformance
