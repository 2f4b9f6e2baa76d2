// The non-tensor arguments of an op, under PyTorch's names.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lib/core/inline_vector.h"

namespace flame {

// As many inside as most tensors have dims.
using IntList = InlineVector<std::int64_t, 4>;
// std::monostate is PyTorch's None.
using AttrValue = std::variant<std::monostate, bool, std::int64_t, double, std::string, IntList>;

// An ordered name -> value map. Getters throw ValueError when a name is missing or of another kind.
class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string, AttrValue>> values);

  // Adds or replaces.
  Attrs& set(std::string_view name, AttrValue value);
  // nullptr when absent.
  const AttrValue* find(std::string_view name) const;
  // Present and not None.
  bool has(std::string_view name) const;

  bool get_bool(std::string_view name) const;
  std::int64_t get_int(std::string_view name) const;
  double get_double(std::string_view name) const;  // takes integers too
  const std::string& get_string(std::string_view name) const;
  IntList get_ints(std::string_view name) const;  // takes one integer as a list of one
  // One integer repeated `n` times, or a list of exactly `n` (kernel_size, stride, padding, ...).
  IntList get_ints(std::string_view name, std::size_t n) const;

  const std::vector<std::pair<std::string, AttrValue>>& items() const { return items_; }
  bool operator==(const Attrs&) const = default;

 private:
  std::vector<std::pair<std::string, AttrValue>> items_;
};

// "dim=[0,2] keepdim=true": one line, stable, parsed back by parse_attrs.
std::string to_string(const AttrValue& value);
std::string to_string(const Attrs& attrs);
// Throws ValueError on anything to_string could not have written.
Attrs parse_attrs(std::string_view text);

}  // namespace flame
