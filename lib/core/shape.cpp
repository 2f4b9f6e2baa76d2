#include "lib/core/shape.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "lib/core/error.h"

namespace flame {

std::int64_t numel(const Shape& shape, std::size_t element_size) {
  check<ShapeError>(shape.size() <= kMaxDims, "shape ", shape, " has ", shape.size(),
                    " dims; at most ", kMaxDims, " are supported");
  std::int64_t n = 1;
  bool overflow = false;
  bool empty = false;
  for (std::int64_t size : shape) {
    check<ShapeError>(size >= 0, "shape ", shape, " has a negative size");
    empty |= size == 0;
    if (size != 0) overflow |= __builtin_mul_overflow(n, size, &n);
  }
  std::int64_t bytes = 0;
  overflow |= __builtin_mul_overflow(n, static_cast<std::int64_t>(element_size), &bytes);
  check<ShapeError>(!overflow, "shape ", shape, " of ", element_size,
                    "-byte elements overflows a 64-bit size");
  return empty ? 0 : n;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides(shape.size());
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<std::int64_t>(shape[i], 1);
  }
  return strides;
}

bool is_contiguous(const Shape& shape, const Strides& strides) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return true;
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

std::string to_string(std::span<const std::int64_t> values) {
  std::string out = "(";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i) out += ", ";
    out += std::to_string(values[i]);
  }
  return out + ")";
}

Shape broadcast(std::string_view op, const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    check<ShapeError>(x == y || x == 1 || y == 1, op, ": shapes ", a, " and ", b,
                      " do not broadcast: sizes ", x, " and ", y, " at dim ", out.size() - 1 - i);
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

bool broadcasts_to(const Shape& from, const Shape& to) {
  if (from.size() > to.size()) return false;
  const std::size_t lead = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i] != 1 && from[i] != to[lead + i]) return false;
  return true;
}

int normalize_dim(std::string_view op, std::int64_t dim, std::size_t rank) {
  const auto r = static_cast<std::int64_t>(std::max<std::size_t>(rank, 1));
  check<IndexError>(dim >= -r && dim < r, op, ": dim ", dim, " is out of range [", -r, ", ", r - 1,
                    "] for a tensor of ", rank, " dims");
  return static_cast<int>(dim < 0 ? dim + r : dim);
}

std::vector<int> normalize_dims(std::string_view op, std::span<const std::int64_t> dims,
                                std::size_t rank) {
  std::vector<int> out;
  if (dims.empty()) {
    out.resize(rank);
    std::iota(out.begin(), out.end(), 0);
    return out;
  }
  for (std::int64_t d : dims) out.push_back(normalize_dim(op, d, rank));
  std::sort(out.begin(), out.end());
  check<ValueError>(std::adjacent_find(out.begin(), out.end()) == out.end(), op, ": dims ", dims,
                    " name a dim twice");
  if (rank == 0) out.clear();  // dim 0 of a scalar is legal and names nothing
  return out;
}

}  // namespace flame
