#include "reference/array.h"

#include "lib/core/error.h"

namespace flame::reference {

std::vector<std::size_t> positions(const Shape& shape, const Strides& strides, std::size_t offset) {
  const auto n = static_cast<std::size_t>(numel(shape));
  std::vector<std::size_t> out;
  out.reserve(n);
  Shape index(shape.size(), 0);
  auto at = static_cast<std::int64_t>(offset);
  for (std::size_t i = 0; i < n; ++i) {
    out.push_back(static_cast<std::size_t>(at));
    for (std::size_t d = shape.size(); d-- > 0;) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return out;
}

std::vector<std::size_t> broadcast_positions(const Shape& from, const Shape& to) {
  const Strides own = contiguous_strides(from);
  Strides strides(to.size(), 0);
  const std::size_t lead = to.size() - from.size();
  for (std::size_t d = 0; d < from.size(); ++d) strides[lead + d] = from[d] == 1 ? 0 : own[d];
  return positions(to, strides);
}

Groups reduce_groups(std::string_view op, const Shape& shape, const IntList& dims, bool keepdim) {
  const std::vector<int> reduced = normalize_dims(op, dims, shape.size());
  std::vector<bool> gone(shape.size(), false);
  for (int d : reduced) gone[static_cast<std::size_t>(d)] = true;
  Groups groups;
  Shape kept = shape;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (gone[d]) kept[d] = 1;
    if (!gone[d]) groups.shape.push_back(shape[d]);
    if (gone[d] && keepdim) groups.shape.push_back(1);
  }
  groups.members.resize(static_cast<std::size_t>(numel(kept)));
  const std::vector<std::size_t> target = broadcast_positions(kept, shape);
  for (std::size_t i = 0; i < target.size(); ++i) groups.members[target[i]].push_back(i);
  return groups;
}

Rows rows_along(std::string_view op, const Shape& shape, std::int64_t dim) {
  const int d = normalize_dim(op, dim, shape.size());
  Rows rows;
  if (shape.empty()) {
    rows.starts = {0};
    return rows;
  }
  const auto at = static_cast<std::size_t>(d);
  rows.length = static_cast<std::size_t>(shape[at]);
  rows.step = static_cast<std::size_t>(contiguous_strides(shape)[at]);
  Shape others = shape;
  others[at] = rows.length == 0 ? 0 : 1;
  rows.starts = positions(others, contiguous_strides(shape));
  return rows;
}

double number_or(const Attrs& attrs, std::string_view name, double otherwise) {
  return attrs.has(name) ? attrs.get_double(name) : otherwise;
}
std::int64_t int_or(const Attrs& attrs, std::string_view name, std::int64_t otherwise) {
  return attrs.has(name) ? attrs.get_int(name) : otherwise;
}
bool bool_or(const Attrs& attrs, std::string_view name, bool otherwise) {
  return attrs.has(name) ? attrs.get_bool(name) : otherwise;
}
std::string string_or(const Attrs& attrs, std::string_view name, std::string otherwise) {
  return attrs.has(name) ? attrs.get_string(name) : otherwise;
}
IntList ints_or(const Attrs& attrs, std::string_view name, IntList otherwise) {
  return attrs.has(name) ? attrs.get_ints(name) : otherwise;
}

DType dtype_or(const Attrs& attrs, DType otherwise) {
  if (!attrs.has("dtype")) return otherwise;
  const std::optional<DType> dtype = parse_dtype(attrs.get_string("dtype"));
  check<ValueError>(dtype.has_value(), "dtype \"", attrs.get_string("dtype"), "\" is unknown");
  return *dtype;
}

}  // namespace flame::reference
