#include "lib/tensor/launch.h"

#include <charconv>
#include <utility>

#include "lib/core/error.h"

namespace flame {

Expression::Expression(std::string_view name, std::initializer_list<KernelArgument> arguments)
    : name_(name), count_(arguments.size()) {
  check<ValueError>(count_ <= kMostArguments, "kernel ", name, ": ", count_,
                    " template arguments are more than ", kMostArguments);
  std::copy(arguments.begin(), arguments.end(), arguments_.begin());
}

template <class Take>
bool Expression::pieces(Take take) const {
  if (!take(name_)) return false;
  std::string_view separator = "<";
  for (const KernelArgument& argument : std::span(arguments_).first(count_)) {
    if (!take(std::exchange(separator, ", "))) return false;
    std::string_view text = argument.text;
    char digits[16];
    if (text.empty()) text = {digits, std::to_chars(digits, std::end(digits), argument.number).ptr};
    if (!take(text)) return false;
  }
  return count_ == 0 || take(">");
}

// Little of each piece: names that agree in it are told apart by is().
std::size_t Expression::hash() const {
  std::size_t hash = name_.size() << 8 | static_cast<unsigned char>(name_.front());
  for (const KernelArgument& argument : std::span(arguments_).first(count_)) {
    const std::string_view text = argument.text;
    const std::size_t piece = text.empty() ? static_cast<unsigned>(argument.number)
                                           : text.size() << 16 |
                                                 static_cast<unsigned char>(text.front()) << 8 |
                                                 static_cast<unsigned char>(text.back());
    hash = (hash ^ piece) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
  }
  return hash;
}

bool Expression::is(std::string_view text) const {
  const auto begins_with = [&](std::string_view piece) {
    if (!text.starts_with(piece)) return false;
    text.remove_prefix(piece.size());
    return true;
  };
  return pieces(begins_with) && text.empty();
}

Expression::operator std::string() const {
  std::string text;
  pieces([&](std::string_view piece) {
    text += piece;
    return true;
  });
  return text;
}

}  // namespace flame
