// A strict JSON reader (RFC 8259) for what comes from outside: headers of tensor files. Small on
// purpose, so that the product depends on nothing but the CUDA toolkit.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace flame::io {

struct Json;
struct JsonMember;
using JsonArray = std::vector<Json>;
// In the file's order; names are unique.
using JsonObject = std::vector<JsonMember>;

// A number written without fraction and exponent that fits int64 is an int64_t, any other a double.
struct Json {
  std::variant<std::monostate, bool, std::int64_t, double, std::string, JsonArray, JsonObject>
      value;

  // nullptr when the value is of another kind.
  template <class T>
  const T* get() const;
};

struct JsonMember {
  std::string name;
  Json value;
};

template <class T>
const T* Json::get() const {
  return std::get_if<T>(&value);
}

// The deepest nesting that is read.
inline constexpr int kMaxJsonDepth = 32;

// Reads exactly one value; only blanks may stand around it. Throws FileError "at byte N: <why>" on
// anything RFC 8259 does not allow, on a name given twice, on broken UTF-8 (overlong forms and lone
// surrogates included), on a number outside double's range, and on nesting above kMaxJsonDepth.
Json parse_json(std::string_view text);

// `text` as a JSON string with its quotes. Throws ValueError when it is not UTF-8.
std::string json_quote(std::string_view text);

}  // namespace flame::io
