// Arguments that several families read alike.
#pragma once
#include <optional>
#include <string_view>

#include "lib/core/attrs.h"
#include "lib/core/dtype.h"
#include "lib/core/shape.h"

namespace flame {

// numel(shape, size_of(dtype)) with the op's name in front of its ShapeError.
std::int64_t checked_numel(std::string_view op, const Shape& shape, DType dtype);
// The attribute "dtype"; `otherwise` where it is None. Throws ValueError on an unknown name.
DType dtype_argument(std::string_view op, const Attrs& attrs,
                     std::optional<DType> otherwise = std::nullopt);
// A dtype as an attribute: its name, or None.
AttrValue dtype_attr(std::optional<DType> dtype);

}  // namespace flame
