#include "lib/ops/arguments.h"

#include <string>

#include "lib/core/error.h"

namespace flame {

std::int64_t checked_numel(std::string_view op, const Shape& shape, DType dtype) {
  try {
    return numel(shape, size_of(dtype));
  } catch (const ShapeError& e) {
    throw ShapeError(str_cat(op, ": ", e.what()));
  }
}

DType dtype_argument(std::string_view op, const Attrs& attrs, std::optional<DType> otherwise) {
  if (otherwise && !attrs.has("dtype")) return *otherwise;
  const std::string& text = attrs.get_string("dtype");
  const std::optional<DType> dtype = parse_dtype(text);
  check<ValueError>(dtype.has_value(), op, ": '", text, "' is not a dtype");
  return *dtype;
}

AttrValue dtype_attr(std::optional<DType> dtype) {
  if (!dtype) return std::monostate{};
  return std::string(name(*dtype));
}

}  // namespace flame
