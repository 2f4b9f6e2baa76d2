#include "lib/core/attrs.h"

#include <charconv>
#include <cmath>

#include "lib/core/error.h"

namespace flame {
namespace {

const char* kind_of(const AttrValue& v) {
  static constexpr const char* kNames[] = {"none", "bool", "int", "float", "string", "list of int"};
  return kNames[v.index()];
}

[[noreturn]] void wrong_kind(std::string_view name, const AttrValue& v, const char* wanted) {
  throw ValueError(
      str_cat("argument '", name, "' is ", to_string(v), " (", kind_of(v), "), expected ", wanted));
}

const AttrValue& require(const Attrs& attrs, std::string_view name) {
  const AttrValue* v = attrs.find(name);
  check<ValueError>(v != nullptr, "argument '", name, "' is missing");
  return *v;
}

std::string shortest(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char buf[40];
  auto end = std::to_chars(buf, buf + sizeof buf, d).ptr;
  std::string s(buf, end);
  if (s.find_first_of(".en") == std::string::npos) s += ".0";  // keeps it a float when parsed back
  return s;
}

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// A cursor over the text that parse_attrs reads.
struct Reader {
  std::string_view text;
  std::size_t at = 0;

  bool done() const { return at >= text.size(); }
  bool eat(char c) {
    if (done() || text[at] != c) return false;
    ++at;
    return true;
  }
  [[noreturn]] void fail(const char* why) const {
    throw ValueError(str_cat("attributes \"", text, "\": ", why, " at character ", at));
  }
  std::string_view word() {
    const std::size_t from = at;
    while (!done() && text[at] != ' ' && text[at] != '=' && text[at] != ',' && text[at] != ']')
      ++at;
    if (from == at) fail("a word is missing");
    return text.substr(from, at - from);
  }
  std::int64_t integer(std::string_view w) {
    std::int64_t v = 0;
    auto [p, e] = std::from_chars(w.data(), w.data() + w.size(), v);
    if (e != std::errc() || p != w.data() + w.size()) fail("not an integer");
    return v;
  }
  std::string string() {
    std::string out;
    while (!done() && text[at] != '"') {
      if (text[at] == '\\') ++at;
      if (!done()) out += text[at++];
    }
    if (!eat('"')) fail("a quote is missing");
    return out;
  }
  AttrValue value() {
    if (eat('"')) return string();
    if (eat('[')) {
      IntList list;
      if (eat(']')) return list;
      do list.push_back(integer(word()));
      while (eat(','));
      if (!eat(']')) fail("']' is missing");
      return list;
    }
    const std::string_view w = word();
    if (w == "none") return std::monostate{};
    if (w == "true") return true;
    if (w == "false") return false;
    if (w == "nan") return std::nan("");
    if (w == "inf" || w == "-inf") return w[0] == '-' ? -INFINITY : INFINITY;
    if (w.find_first_of(".e") == std::string_view::npos) return integer(w);
    double d = 0;
    auto [p, e] = std::from_chars(w.data(), w.data() + w.size(), d);
    if (e != std::errc() || p != w.data() + w.size()) fail("not a number");
    return d;
  }
};

}  // namespace

Attrs::Attrs(std::initializer_list<std::pair<std::string, AttrValue>> values) {
  items_.reserve(values.size());
  for (const auto& [name, value] : values) set(name, value);
}

Attrs& Attrs::set(std::string_view name, AttrValue value) {
  for (auto& [n, v] : items_) {
    if (n == name) {
      v = std::move(value);
      return *this;
    }
  }
  items_.emplace_back(name, std::move(value));
  return *this;
}

const AttrValue* Attrs::find(std::string_view name) const {
  for (const auto& [n, v] : items_)
    if (n == name) return &v;
  return nullptr;
}

bool Attrs::has(std::string_view name) const {
  const AttrValue* v = find(name);
  return v && !std::holds_alternative<std::monostate>(*v);
}

bool Attrs::get_bool(std::string_view name) const {
  const AttrValue& v = require(*this, name);
  if (auto* b = std::get_if<bool>(&v)) return *b;
  wrong_kind(name, v, "a bool");
}

std::int64_t Attrs::get_int(std::string_view name) const {
  const AttrValue& v = require(*this, name);
  if (auto* i = std::get_if<std::int64_t>(&v)) return *i;
  wrong_kind(name, v, "an integer");
}

double Attrs::get_double(std::string_view name) const {
  const AttrValue& v = require(*this, name);
  if (auto* d = std::get_if<double>(&v)) return *d;
  if (auto* i = std::get_if<std::int64_t>(&v)) return static_cast<double>(*i);
  if (auto* b = std::get_if<bool>(&v)) return *b;
  wrong_kind(name, v, "a number");
}

const std::string& Attrs::get_string(std::string_view name) const {
  const AttrValue& v = require(*this, name);
  if (auto* s = std::get_if<std::string>(&v)) return *s;
  wrong_kind(name, v, "a string");
}

IntList Attrs::get_ints(std::string_view name) const {
  const AttrValue& v = require(*this, name);
  if (auto* l = std::get_if<IntList>(&v)) return *l;
  if (auto* i = std::get_if<std::int64_t>(&v)) return {*i};
  if (std::holds_alternative<std::monostate>(v)) return {};
  wrong_kind(name, v, "a list of integers");
}

IntList Attrs::get_ints(std::string_view name, std::size_t n) const {
  IntList list = get_ints(name);
  if (list.size() == 1) list.assign(n, list[0]);
  check<ValueError>(list.size() == n, "argument '", name, "' has ", list.size(),
                    " values, expected 1 or ", n);
  return list;
}

std::string to_string(const AttrValue& value) {
  switch (value.index()) {
    case 1:
      return std::get<bool>(value) ? "true" : "false";
    case 2:
      return std::to_string(std::get<std::int64_t>(value));
    case 3:
      return shortest(std::get<double>(value));
    case 4:
      return quoted(std::get<std::string>(value));
    case 5: {
      std::string out = "[";
      for (std::int64_t i : std::get<IntList>(value)) {
        if (out.size() > 1) out += ',';
        out += std::to_string(i);
      }
      return out + "]";
    }
    default:
      return "none";
  }
}

std::string to_string(const Attrs& attrs) {
  std::string out;
  for (const auto& [name, value] : attrs.items()) {
    if (!out.empty()) out += ' ';
    out += name + "=" + to_string(value);
  }
  return out;
}

Attrs parse_attrs(std::string_view text) {
  Attrs attrs;
  Reader r{text};
  while (!r.done()) {
    if (r.eat(' ')) continue;
    const std::string name(r.word());
    if (!r.eat('=')) r.fail("'=' is missing");
    attrs.set(name, r.value());
    if (!r.done() && !r.eat(' ')) r.fail("a space is missing");
  }
  return attrs;
}

}  // namespace flame
