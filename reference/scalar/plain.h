// Ordinary float32 arithmetic, summed in a chosen order: an honest kernel stripped to its numbers.
// The oracle's own tests hold it against the bounds.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "reference/contract.h"
#include "reference/scalar/functions.h"

namespace flame::reference {

// The order travels with the value, so that no formula has to know of it.
struct Plain {
  float v = 0;
  SumOrder order = SumOrder::kSequential;

  Plain() = default;
  template <Number T>
  Plain(T value) : v(static_cast<float>(value)) {}  // NOLINT: constants in formulas
  Plain(float value, SumOrder o) : v(value), order(o) {}
};

namespace plain {

inline Plain unary(const Plain& x, float y) { return {y, x.order}; }
inline Plain binary(const Plain& a, const Plain& b, float y) {
  return {y, std::max(a.order, b.order)};
}

inline float pairwise(std::span<const float> terms) {
  if (terms.empty()) return 0;
  if (terms.size() == 1) return terms[0];
  const std::size_t half = terms.size() / 2;
  return pairwise(terms.first(half)) + pairwise(terms.subspan(half));
}

inline float sum(std::span<const float> terms, SumOrder order) {
  if (order == SumOrder::kPairwise) return pairwise(terms);
  const std::size_t lanes = order == SumOrder::kLanes32 ? 32 : 1;
  std::vector<float> partial(lanes, 0.0f);
  for (std::size_t i = 0; i < terms.size(); ++i) partial[i % lanes] += terms[i];
  return pairwise(partial);
}

}  // namespace plain

inline Plain operator-(const Plain& a) { return plain::unary(a, -a.v); }
inline Plain operator+(const Plain& a, const Plain& b) { return plain::binary(a, b, a.v + b.v); }
inline Plain operator-(const Plain& a, const Plain& b) { return plain::binary(a, b, a.v - b.v); }
inline Plain operator*(const Plain& a, const Plain& b) { return plain::binary(a, b, a.v * b.v); }
inline Plain operator/(const Plain& a, const Plain& b) { return plain::binary(a, b, a.v / b.v); }

inline Plain exp(const Plain& x) { return plain::unary(x, std::exp(x.v)); }
inline Plain expm1(const Plain& x) { return plain::unary(x, std::expm1(x.v)); }
inline Plain log(const Plain& x) { return plain::unary(x, std::log(x.v)); }
inline Plain log1p(const Plain& x) { return plain::unary(x, std::log1p(x.v)); }
inline Plain sqrt(const Plain& x) { return plain::unary(x, std::sqrt(x.v)); }
inline Plain rsqrt(const Plain& x) { return plain::unary(x, 1 / std::sqrt(x.v)); }
inline Plain sin(const Plain& x) { return plain::unary(x, std::sin(x.v)); }
inline Plain cos(const Plain& x) { return plain::unary(x, std::cos(x.v)); }
inline Plain tanh(const Plain& x) { return plain::unary(x, std::tanh(x.v)); }
inline Plain erf(const Plain& x) { return plain::unary(x, std::erf(x.v)); }
inline Plain erfc(const Plain& x) { return plain::unary(x, std::erfc(x.v)); }
inline Plain pow(const Plain& x, const Plain& y) { return plain::binary(x, y, std::pow(x.v, y.v)); }

inline long double value_of(const Plain& x) { return x.v; }
inline bool vanishes(const Plain& x) { return x.v == 0; }
inline Plain detach(const Plain& x) { return x; }
inline Plain with_value(const Plain& x, long double value) {
  return plain::unary(x, static_cast<float>(value));
}

template <>
class Sum<Plain> {
 public:
  void add(const Plain& x) {
    order_ = std::max(order_, x.order);
    terms_.push_back(x.v);
  }
  void add_product(const Plain& x, const Plain& y) { add(x * y); }
  Plain total() const { return {plain::sum(terms_, order_), order_}; }

 private:
  std::vector<float> terms_;
  SumOrder order_ = SumOrder::kSequential;
};

}  // namespace flame::reference
