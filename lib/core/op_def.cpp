#include "lib/core/op_def.h"

#include <algorithm>
#include <cctype>

#include "lib/core/error.h"

namespace flame {

namespace {

// Whether nothing is missing and all is in order, as in every call but one by hand.
bool is_complete(const OpDef& op, const Attrs& given) {
  std::size_t at = 0;
  const auto next_is = [&](std::string_view name) {
    const bool is = at < given.items().size() && given.items()[at].first == name;
    at += is;
    return is;
  };
  for (const TensorParam& p : op.inputs)
    if (p.scalar) next_is(p.name);
  for (const AttrParam& p : op.attrs)
    if (!next_is(p.name)) return false;
  return at == given.items().size();
}

}  // namespace

Attrs complete_attrs(const OpDef& op, Attrs given) {
  if (is_complete(op, given)) return given;
  auto known = [&](std::string_view name) {
    const bool attr = std::any_of(op.attrs.begin(), op.attrs.end(),
                                  [&](const AttrParam& p) { return p.name == name; });
    return attr || std::any_of(op.inputs.begin(), op.inputs.end(), [&](const TensorParam& p) {
             return p.scalar && (p.name == name || p.alias == name);
           });
  };
  for (const auto& [name, value] : given.items())
    check<ValueError>(known(name), op.name, ": unknown argument '", name, "' = ", to_string(value));
  Attrs out;
  for (const TensorParam& p : op.inputs) {
    const AttrValue* v = given.find(p.name);
    if (!v && !p.alias.empty()) v = given.find(p.alias);
    if (v && p.scalar) out.set(p.name, *v);
  }
  for (const AttrParam& p : op.attrs) {
    const AttrValue* v = given.find(p.name);
    check<ValueError>(v || p.default_value, op.name, ": argument '", p.name, "' is missing");
    out.set(p.name, v ? *v : *p.default_value);
  }
  return out;
}

std::string normalize_expression(std::string_view expression) {
  std::string out;
  for (char c : expression)
    if (!std::isspace(static_cast<unsigned char>(c))) out += c;
  return out;
}

}  // namespace flame
