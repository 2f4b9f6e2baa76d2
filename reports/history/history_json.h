// What compare and regress say, as JSON for programs.
#pragma once
#include <string>

#include "reports/history/regress.h"

namespace flame::history {

std::string to_json(const Comparison& comparison);  // indented
std::string to_json(const NightReport& report);     // indented
const char* to_string(Outcome outcome);             // "pass", "fail", "inconclusive"

}  // namespace flame::history
