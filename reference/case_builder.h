// Short words for stating cases.
#pragma once
#include <limits>
#include <string>
#include <vector>

#include "reference/contract.h"

namespace flame::reference {

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

inline InputSpec normal(Shape shape, double scale = 1, double mean = 0) {
  return {std::move(shape), Domain::kNormal, mean, scale};
}
inline InputSpec uniform(Shape shape, double a, double b) {
  return {std::move(shape), Domain::kUniform, a, b};
}
inline InputSpec away_from_zero(Shape shape, double a, double b) {
  return {std::move(shape), Domain::kAwayFromZero, a, b};
}
inline InputSpec distinct(Shape shape, double a, double b) {
  return {std::move(shape), Domain::kDistinct, a, b};
}
inline InputSpec integers(Shape shape, double a, double b) {
  return {std::move(shape), Domain::kIntegers, a, b};
}
inline InputSpec indices(Shape shape, double end, DType dtype = DType::kInt64) {
  return {std::move(shape), Domain::kIndices, 0, end, {}, dtype};
}
inline InputSpec mask(Shape shape, DType dtype = DType::kBool) {
  return {std::move(shape), Domain::kMask, 0, 1, {}, dtype};
}
inline InputSpec explicit_values(Shape shape, std::vector<double> values) {
  return {std::move(shape), Domain::kExplicit, 0, 1, std::move(values)};
}
// An explicit vector.
inline InputSpec listed(std::vector<double> values) {
  const auto n = static_cast<std::int64_t>(values.size());
  return explicit_values({n}, std::move(values));
}
// An optional input left out, or a number's place.
inline InputSpec absent() { return {{}, Domain::kNormal, 0, 1, {}, std::nullopt, false}; }
inline InputSpec of_dtype(InputSpec spec, DType dtype) {
  spec.dtype = dtype;
  return spec;
}

// Variations on a case.
inline Case only_full(Case c) {
  c.quick = false;
  return c;
}
inline Case exactly(Case c) {
  c.exact = true;
  return c;
}
inline Case forward_only(Case c) {
  c.differentiable = false;
  return c;
}
// On a kink whose documented gradient is judged all the same.
inline Case pinned(Case c) {
  c.differentiable = false;
  c.pinned_gradient = true;
  return c;
}
inline Case of_dtypes(Case c, DTypeSet dtypes) {
  c.dtypes = dtypes;
  return c;
}

template <class T>
std::vector<T>& operator+=(std::vector<T>& a, std::vector<T> b) {
  for (T& x : b) a.push_back(std::move(x));
  return a;
}

}  // namespace flame::reference
