// A value with a running bound of its rounding error (Wilkinson 1963; Higham 2002, section 3.3).
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <limits>

#include "reference/scalar/function_errors.h"
#include "reference/scalar/functions.h"

namespace flame::reference {

// v: the exact value (64 significant bits). e: to first order, an honest evaluation of the same
// formula in working precision is off by at most u * e. A stored input enters with e = 0; a
// constant of the formula with the error of rounding it. A value that is not finite carries no
// error: it must come out as it is.
namespace bounded {

inline double magnitude(long double v) { return static_cast<double>(std::fabs(v)); }

// Whether float32, the narrowest working precision, holds v exactly.
inline bool fits_float(long double v) { return static_cast<float>(v) == v; }

}  // namespace bounded

struct Bounded {
  long double v = 0;
  double e = 0;

  Bounded() = default;
  template <Number T>
  Bounded(T constant)  // NOLINT: constants in formulas
      : v(constant), e(bounded::fits_float(v) ? 0 : bounded::magnitude(v)) {}
  Bounded(long double value, double error) : v(value), e(error) {}

  bool exact() const { return e == 0; }
};

namespace bounded {

inline bool is_power_of_two(long double v) {
  int exponent = 0;
  return v == 0 || std::fabs(std::frexp(v, &exponent)) == 0.5L;
}

// v as computed with `k` roundings on top of the error `e` carried in.
inline Bounded rounded(long double v, double e, double k) {
  if (!(std::fabs(v) <= DBL_MAX)) {
    if (std::isnan(v)) return {v, 0};
    return {std::copysign(std::numeric_limits<long double>::infinity(), v), 0};
  }
  return {v, e + k * magnitude(v)};
}

// A correctly rounded operation: exact operands with a representable result make no error.
inline Bounded rounded(long double v, double e) {
  if (e == 0 && fits_float(v)) return {v, 0};
  return rounded(v, e, kCorrectlyRounded);
}

// f(x) with the error of f and the propagated one, |f'(x)| * e.
inline Bounded function(const Bounded& x, long double y, long double slope, double k) {
  return rounded(y, x.exact() ? 0 : magnitude(slope) * x.e, k);
}

}  // namespace bounded

inline Bounded operator-(const Bounded& a) { return {-a.v, a.e}; }

inline Bounded operator+(const Bounded& a, const Bounded& b) {
  if (b.v == 0 && b.exact()) return a;
  if (a.v == 0 && a.exact()) return b;
  return bounded::rounded(a.v + b.v, a.e + b.e);
}

inline Bounded operator-(const Bounded& a, const Bounded& b) { return a + -b; }

inline Bounded operator*(const Bounded& a, const Bounded& b) {
  using namespace bounded;
  const long double v = a.v * b.v;
  if (v == 0 && ((a.v == 0 && a.exact()) || (b.v == 0 && b.exact()))) return {v, 0};
  const double e = (a.exact() ? 0 : magnitude(b.v) * a.e) + (b.exact() ? 0 : magnitude(a.v) * b.e);
  if ((a.exact() && is_power_of_two(a.v)) || (b.exact() && is_power_of_two(b.v)))
    return rounded(v, e, 0);
  return rounded(v, e);
}

inline Bounded operator/(const Bounded& a, const Bounded& b) {
  using namespace bounded;
  const long double v = a.v / b.v;
  const double e = (a.e + (b.exact() ? 0 : magnitude(v) * b.e)) / magnitude(b.v);
  if (v == 0 && a.exact()) return {v, 0};
  if (b.exact() && is_power_of_two(b.v)) return rounded(v, e, 0);
  return rounded(v, e);
}

inline Bounded exp(const Bounded& x) {
  if (x.v == 0 && x.exact()) return {1};
  const long double y = std::exp(x.v);
  return bounded::function(x, y, y, kExpError);
}
inline Bounded expm1(const Bounded& x) {
  return bounded::function(x, std::expm1(x.v), std::exp(x.v), kExpm1Error);
}
inline Bounded log(const Bounded& x) {
  return bounded::function(x, std::log(x.v), 1 / x.v, kLogError);
}
inline Bounded log1p(const Bounded& x) {
  return bounded::function(x, std::log1p(x.v), 1 / (1 + x.v), kLog1pError);
}
inline Bounded sqrt(const Bounded& x) {
  const long double y = std::sqrt(x.v);
  return bounded::rounded(y, x.exact() ? 0 : bounded::magnitude(0.5L / y) * x.e);
}
inline Bounded rsqrt(const Bounded& x) {
  const long double y = 1 / std::sqrt(x.v);
  return bounded::function(x, y, 0.5L * y / x.v, kRsqrtError);
}
inline Bounded sin(const Bounded& x) {
  return bounded::function(x, std::sin(x.v), std::cos(x.v), kSinError);
}
inline Bounded cos(const Bounded& x) {
  return bounded::function(x, std::cos(x.v), std::sin(x.v), kCosError);
}
inline Bounded tanh(const Bounded& x) {
  const long double y = std::tanh(x.v);
  return bounded::function(x, y, 1 - y * y, kTanhError);
}
inline Bounded erf(const Bounded& x) {
  const long double slope = 2 / std::sqrt(kPi) * std::exp(-x.v * x.v);
  return bounded::function(x, std::erf(x.v), slope, kErfError);
}
inline Bounded erfc(const Bounded& x) {
  const long double slope = 2 / std::sqrt(kPi) * std::exp(-x.v * x.v);
  return bounded::function(x, std::erfc(x.v), slope, kErfcError);
}
inline Bounded pow(const Bounded& x, const Bounded& y) {
  using namespace bounded;
  const long double v = std::pow(x.v, y.v);
  if (y.v == 0 && y.exact()) return {v, 0};
  double e = x.exact() ? 0 : magnitude(y.v * v / x.v) * x.e;
  if (!y.exact()) e += magnitude(v * std::log(std::fabs(x.v))) * y.e;
  return rounded(v, e, kPowError);
}

inline long double value_of(const Bounded& x) { return x.v; }
inline bool vanishes(const Bounded& x) { return x.v == 0 && x.exact(); }
inline Bounded detach(const Bounded& x) { return x; }
inline Bounded with_value(const Bounded&, long double value) { return {value, 0}; }

// Sums err by the parts' errors plus min(n, 2 sqrt(n)) u sum|terms|, n the terms that are not zero.
// n u holds for every order without exception (Rump 2012); a multiple of sqrt(n) u for roundings
// that do not conspire (Ipsen & Zhou 2020). The multiple 2 is twice what the worst of 400 trials of
// any honest order came to. Sums of integers that stay below 2^24 are exact.
template <>
class Sum<Bounded> {
 public:
  void add(const Bounded& x) {
    if (x.v == 0 && x.exact()) return;
    ++count_;
    value_ += x.v;
    error_ += x.e;
    magnitude_ += bounded::magnitude(x.v);
    integral_ = integral_ && x.exact() && std::rint(x.v) == x.v;
  }
  void add_product(const Bounded& x, const Bounded& y) { add(x * y); }
  Bounded total() const {
    const bool exact = count_ < 2 || (integral_ && magnitude_ <= 0x1p24);
    const auto n = static_cast<double>(count_);
    return bounded::rounded(value_,
                            error_ + (exact ? 0 : std::min(n, 2 * std::sqrt(n)) * magnitude_), 0);
  }

 private:
  long double value_ = 0;
  double error_ = 0, magnitude_ = 0;
  std::uint32_t count_ = 0;
  bool integral_ = true;
};

}  // namespace flame::reference
