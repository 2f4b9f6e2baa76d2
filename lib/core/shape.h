// Shapes, strides and the arithmetic on them. Sizes are int64 and never overflow silently.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/inline_vector.h"

namespace flame {

using Shape = InlineVector<std::int64_t, 4>;
using Strides = Shape;

// The most dims a tensor may have; kernels carry shapes by value.
inline constexpr int kMaxDims = 8;

// Number of elements; 1 for a scalar. Throws ShapeError on a negative size, more than kMaxDims
// dims, or a product (or byte count for elements of `element_size`) above 2^63 - 1.
std::int64_t numel(const Shape& shape, std::size_t element_size = 1);

// Row-major strides in elements.
Strides contiguous_strides(const Shape& shape);
bool is_contiguous(const Shape& shape, const Strides& strides);

// "(2, 3)", "()" for a scalar.
std::string to_string(std::span<const std::int64_t> values);
inline std::string to_string(const Shape& shape) {
  return to_string(std::span<const std::int64_t>(shape));
}

// NumPy broadcasting. Throws ShapeError naming `op` and both shapes.
Shape broadcast(std::string_view op, const Shape& a, const Shape& b);
// Whether `from` broadcasts to exactly `to`.
bool broadcasts_to(const Shape& from, const Shape& to);

// Turns a dim in [-rank, rank) into [0, rank); rank 0 counts as 1, as in PyTorch.
// Throws IndexError naming `op`.
int normalize_dim(std::string_view op, std::int64_t dim, std::size_t rank);
// The same for a list: sorted, empty means every dim, a repeated dim is a ValueError.
std::vector<int> normalize_dims(std::string_view op, std::span<const std::int64_t> dims,
                                std::size_t rank);

}  // namespace flame
