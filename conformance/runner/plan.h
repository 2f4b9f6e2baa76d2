// What is run on what: the expansion of manifest x contracts x checks into plan items.
#pragma once
#include <optional>
#include <vector>

#include "conformance/checks/check.h"

namespace flame::conformance {

// The dtypes a case runs in: its own, as far as every input of the op takes them.
std::vector<DType> case_dtypes(const OpDef& op, const reference::Case& c);

// Up to `count` cases that differ in attributes, defined inputs and size: plain ones first (not
// exact, not special values, differentiable, a few hundred elements).
std::vector<reference::Case> representatives(const OpDef& op, const reference::Contract& contract,
                                             std::size_t count);

// The case or error case of a plan item; both empty when the contract has none of that name.
struct FoundCase {
  std::optional<reference::Case> c;
  std::optional<reference::ErrorCase> error;
};
FoundCase find_case(const reference::Contract& contract, const PlanItem& item);

// The name of the case of an item that stands for "this op has nothing for this check".
inline constexpr const char* kNoCase = "-";

}  // namespace flame::conformance
