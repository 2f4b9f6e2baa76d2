#include "lib/jit/names.h"

#include <cxxabi.h>

#include <cctype>
#include <cstdlib>
#include <memory>
#include <regex>

#include "lib/core/op_def.h"

namespace flame::jit {
namespace {

// Without the parameter list: up to the first '(' outside of template arguments.
std::string_view without_parameters(std::string_view text) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') ++depth;
    if (text[i] == '>') --depth;
    if (text[i] == '(' && depth == 0 && !text.substr(i).starts_with("(anonymous namespace)"))
      return text.substr(0, i);
  }
  return text;
}

}  // namespace

std::string demangle(std::string_view lowered) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(std::string(lowered).c_str(), nullptr, nullptr, &status), &std::free);
  return status == 0 && text ? std::string(text.get()) : std::string(lowered);
}

std::string expression_of(std::string_view lowered) {
  const std::string whole = demangle(lowered);
  std::string_view text = whole;
  if (text.starts_with("void ")) text.remove_prefix(5);
  std::string out(without_parameters(text));
  static const std::regex kTrue(R"(\(bool\)1)"), kFalse(R"(\(bool\)0)");
  static const std::regex kCast(
      R"(\((?:unsigned |signed )?(?:char|short|int|long|long long)\)(-?\d))");
  static const std::regex kSuffix(R"(([<, ]-?\d+)(?:u|l|ul|ll|ull)(?=[,>]))");
  out = std::regex_replace(out, kTrue, "true");
  out = std::regex_replace(out, kFalse, "false");
  out = std::regex_replace(out, kCast, "$1");
  out = std::regex_replace(out, kSuffix, "$1");
  return normalize_expression(out);
}

}  // namespace flame::jit
