// The functions that formulas may use, on long double: the base that every scalar type builds on.
#pragma once
#include <cmath>
#include <concepts>

namespace flame::reference {

template <class T>
concept Number = std::integral<T> || std::floating_point<T>;

inline long double exp(long double x) { return std::exp(x); }
inline long double expm1(long double x) { return std::expm1(x); }
inline long double log(long double x) { return std::log(x); }
inline long double log1p(long double x) { return std::log1p(x); }
inline long double sqrt(long double x) { return std::sqrt(x); }
inline long double rsqrt(long double x) { return 1 / std::sqrt(x); }
inline long double sin(long double x) { return std::sin(x); }
inline long double cos(long double x) { return std::cos(x); }
inline long double tanh(long double x) { return std::tanh(x); }
inline long double erf(long double x) { return std::erf(x); }
inline long double erfc(long double x) { return std::erfc(x); }
inline long double pow(long double x, long double y) { return std::pow(x, y); }

// The number itself: what control flow in a formula looks at.
inline long double value_of(long double x) { return x; }
// Zero, and nothing but zero: contributes nothing to a gradient.
inline bool vanishes(long double x) { return x == 0; }
// The same value, no longer depending on the inputs.
inline long double detach(long double x) { return x; }
// `value` in place of x, the derivative still x's: for roundings that the formula itself asks for.
inline long double with_value(long double, long double value) { return value; }

// The one way in which formulas reduce: add() and add_product() terms, then total().
template <class S>
class Sum;

template <>
class Sum<long double> {
 public:
  void add(long double x) { total_ += x; }
  void add_product(long double x, long double y) { total_ += x * y; }
  long double total() const { return total_; }

 private:
  long double total_ = 0;
};

inline constexpr long double kPi = 3.141592653589793238462643383279502884L;

}  // namespace flame::reference
