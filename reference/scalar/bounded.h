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
  double t = 0;

  Bounded() = default;
  template <Number T>
  Bounded(T constant)  // NOLINT: constants in formulas
      : v(constant), e(bounded::fits_float(v) ? 0 : bounded::magnitude(v)) {}
  Bounded(long double value, double error, double underflow = 0)
      : v(value), e(error), t(underflow) {}

  bool exact() const { return e == 0 && t == 0; }
};

namespace bounded {

inline bool is_power_of_two(long double v) {
  int exponent = 0;
  return v == 0 || std::fabs(std::frexp(v, &exponent)) == 0.5L;
}

// What errors add up to on the way into an operation: linear in both parts.
struct Carried {
  double e = 0, t = 0;
};
inline Carried operator+(const Carried& a, const Carried& b) { return {a.e + b.e, a.t + b.t}; }

// slope * (the error of x); nothing for an exact x, however steep the slope.
inline Carried carried(const Bounded& x, long double slope) {
  if (x.exact()) return {};
  return {magnitude(slope) * x.e, magnitude(slope) * x.t};
}

// Where a rounding may be one among subnormals. The test is float32's; what t is worth is settled
// by the dtype in the end, so that it is next to nothing in float64.
inline bool may_underflow(long double v) { return v != 0 && std::fabs(v) < 0x1p-125L; }

// v as computed with `k` roundings on top of the errors carried in.
inline Bounded rounded(long double v, const Carried& in, double k) {
  if (!(std::fabs(v) <= DBL_MAX)) {
    if (std::isnan(v)) return {v, 0};
    return {std::copysign(std::numeric_limits<long double>::infinity(), v), 0};
  }
  return {v, in.e + k * magnitude(v), in.t + (may_underflow(v) ? k : 0)};
}

// A correctly rounded operation: exact operands with a representable result make no error.
inline Bounded rounded(long double v, const Carried& in) {
  if (in.e == 0 && in.t == 0 && fits_float(v)) return {v, 0};
  return rounded(v, in, kCorrectlyRounded);
}

// f(x) with the error of f and the propagated one, |f'(x)| * e.
inline Bounded function(const Bounded& x, long double y, long double slope, double k) {
  return rounded(y, carried(x, slope), k);
}

}  // namespace bounded

inline Bounded operator-(const Bounded& a) { return {-a.v, a.e, a.t}; }

inline Bounded operator+(const Bounded& a, const Bounded& b) {
  if (b.v == 0 && b.exact()) return a;
  if (a.v == 0 && a.exact()) return b;
  Bounded sum = bounded::rounded(a.v + b.v, {a.e + b.e, a.t + b.t});
  // Sums of subnormals are exact.
  if (std::isfinite(sum.v)) sum.t = a.t + b.t;
  return sum;
}

inline Bounded operator-(const Bounded& a, const Bounded& b) { return a + -b; }

inline Bounded operator*(const Bounded& a, const Bounded& b) {
  using namespace bounded;
  const long double v = a.v * b.v;
  if (v == 0 && ((a.v == 0 && a.exact()) || (b.v == 0 && b.exact()))) return {v, 0};
  const Carried in = carried(a, b.v) + carried(b, a.v);
  const bool scaling = (a.exact() && is_power_of_two(a.v)) || (b.exact() && is_power_of_two(b.v));
  if (scaling && !may_underflow(v)) return rounded(v, in, 0);
  return rounded(v, in);
}

inline Bounded operator/(const Bounded& a, const Bounded& b) {
  using namespace bounded;
  const long double v = a.v / b.v;
  if (v == 0 && a.exact()) return {v, 0};
  const Carried in = carried(a, 1 / b.v) + carried(b, v / b.v);
  if (b.exact() && is_power_of_two(b.v) && !may_underflow(v)) return rounded(v, in, 0);
  return rounded(v, in);
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
  return bounded::rounded(y, bounded::carried(x, 0.5L / y));
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
  if (v == 0 && x.v == 0 && x.exact()) return {v, 0};  // whatever a positive y is off by
  const Carried in =
      carried(x, y.v * v / x.v) + carried(y, y.exact() ? 0 : v * std::log(std::fabs(x.v)));
  return rounded(v, in, kPowError);
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
    underflow_ += x.t;
    magnitude_ += bounded::magnitude(x.v);
    integral_ = integral_ && x.exact() && std::rint(x.v) == x.v;
  }
  void add_product(const Bounded& x, const Bounded& y) { add(x * y); }
  Bounded total() const {
    const bool exact = count_ < 2 || (integral_ && magnitude_ <= 0x1p24);
    const auto n = static_cast<double>(count_);
    const double order = exact ? 0 : std::min(n, 2 * std::sqrt(n)) * magnitude_;
    return bounded::rounded(value_, {error_ + order, underflow_}, 0);
  }

 private:
  long double value_ = 0;
  double error_ = 0, underflow_ = 0, magnitude_ = 0;
  std::uint32_t count_ = 0;
  bool integral_ = true;
};

}  // namespace flame::reference
