// How compare and regress print figures and verdicts.
#pragma once
#include <array>
#include <cstdio>
#include <string>

#include "reports/history/detect.h"
#include "tools/cli/terminal.h"

namespace flame::cli {

inline constexpr std::array kVerdicts{history::Verdict::kSame, history::Verdict::kFaster,
                                      history::Verdict::kSlower, history::Verdict::kAmbiguous,
                                      history::Verdict::kNoData};

inline std::string figure(double value, int digits = 4) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

// "+1.25%"
inline std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%+.2f%%", 100 * share);
  return text;
}

inline std::string painted(history::Verdict v) {
  const Colour colour = v == history::Verdict::kSlower      ? Colour::kRed
                        : v == history::Verdict::kFaster    ? Colour::kGreen
                        : v == history::Verdict::kAmbiguous ? Colour::kYellow
                        : v == history::Verdict::kNoData    ? Colour::kDim
                                                            : Colour::kNone;
  return paint(history::to_string(v), colour);
}

}  // namespace flame::cli
