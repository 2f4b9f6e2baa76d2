// What a check is: one idea, one function, one verdict. The registry is the only list of them.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conformance/judge/judge.h"
#include "conformance/runner/device_io.h"
#include "conformance/runner/implementation.h"
#include "conformance/runner/rig.h"
#include "conformance/runner/verify.h"
#include "reference/contract.h"

namespace flame::conformance {

// One plan item with everything it runs on. Cheap to make; a check may not keep it.
struct CheckContext {
  Rig& rig;
  Implementation& implementation;
  const OpDef& op;
  const reference::Contract& contract;
  const reference::Case& c;  // of an error case: its inputs and attributes under its name
  const reference::ErrorCase* error_case = nullptr;  // for the check of errors
  DType dtype = DType::kFloat32;
  Layout layout = Layout::kContiguous;
  std::uint64_t seed = 0;
  Level level = Level::kQuick;
};

// What a check found; the runner makes a Record of it.
struct Outcome {
  records::Verdict verdict = records::Verdict::kNotRun;
  std::string reason;
  double r = -1;
  std::string where;
  std::int64_t compared = 0;
  std::vector<std::string> kernels;
};
Outcome passed(const Judgement& judgement);  // or failed, as the judgement says
Outcome passed(std::int64_t compared);
Outcome failed(std::string reason);
Outcome not_run(std::string reason);

using CheckFn = Outcome (*)(const CheckContext&);

// Which plan items a check is given.
enum class Scope : std::uint8_t {
  kEveryCase,       // every case of the level in every dtype
  kEveryLayout,     // representative cases in every layout but the contiguous one
  kRepresentative,  // a few cases that differ in shape and attributes; float32 and a half type
  kFloat64,         // representative cases in float64
  kOneCase,         // the first representative, float32
  kErrorCases,      // the contract's error cases
};

// What an op must have for a check to say anything of it. An op without it gets one record that
// says so, not one per case.
enum class Needs : std::uint8_t { kNothing, kTensors, kBackward };

struct Check {
  std::string id, description;
  Scope scope = Scope::kRepresentative;
  CheckFn run = nullptr;
  Needs needs = Needs::kNothing;
};
// Why this op gets no case of this check; nullopt when it does.
std::optional<std::string> out_of_scope(const Check& check, const OpDef& op);
std::span<const Check> all_checks();
// Throws ValueError with the ids there are.
const Check& find_check(std::string_view id);

Outcome check_forward(const CheckContext&);
Outcome check_backward(const CheckContext&);
Outcome check_finite_difference(const CheckContext&);
Outcome check_gradient_support(const CheckContext&);
Outcome check_written(const CheckContext&);
Outcome check_inputs_kept(const CheckContext&);
Outcome check_witness(const CheckContext&);
Outcome check_influence(const CheckContext&);
Outcome check_no_memo(const CheckContext&);
Outcome check_layouts(const CheckContext&);
Outcome check_deterministic(const CheckContext&);
Outcome check_errors(const CheckContext&);
Outcome check_memory(const CheckContext&);
Outcome check_isolation(const CheckContext&);

// Runs it; an exception out of the implementation is a failure with its message.
Outcome run_check(const Check& check, const CheckContext& context);

}  // namespace flame::conformance
