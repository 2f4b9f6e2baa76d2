#include "lib/core/glob.h"

#include <string>

namespace flame {
namespace {

// '*' and '?' alone. Greedy with one point of return: linear for one '*', never exponential.
bool matches_plain(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  const std::size_t open = pattern.find("@("), close = pattern.find(')', open);
  if (open == std::string_view::npos || close == std::string_view::npos)
    return matches_plain(pattern, text);
  const std::string before(pattern.substr(0, open)), after(pattern.substr(close + 1));
  std::string_view choices = pattern.substr(open + 2, close - open - 2);
  for (;;) {
    const std::size_t bar = choices.find('|');
    if (glob_match(before + std::string(choices.substr(0, bar)) + after, text)) return true;
    if (bar == std::string_view::npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

}  // namespace flame
