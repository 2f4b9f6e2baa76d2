// The derivative of every function, once, for both scalars that differentiate: Dual (forward mode)
// and Var (reverse mode). Each offers value(), chain(a, value, slope) and
// chain(a, b, value, slope_a, slope_b).
#pragma once
#include "reference/scalar/functions.h"

namespace flame::reference {

template <class D>
concept Differentiable = requires {
  D::kDifferentiates;
};

template <Differentiable D>
D operator-(const D& a) {
  return D::chain(a, -a.value(), typename D::Base(-1));
}
template <Differentiable D>
D operator+(const D& a, const D& b) {
  using S = typename D::Base;
  return D::chain(a, b, a.value() + b.value(), S(1), S(1));
}
template <Differentiable D>
D operator-(const D& a, const D& b) {
  using S = typename D::Base;
  return D::chain(a, b, a.value() - b.value(), S(1), S(-1));
}
template <Differentiable D>
D operator*(const D& a, const D& b) {
  return D::chain(a, b, a.value() * b.value(), b.value(), a.value());
}
template <Differentiable D>
D operator/(const D& a, const D& b) {
  using S = typename D::Base;
  const S y = a.value() / b.value();
  return D::chain(a, b, y, S(1) / b.value(), -(y / b.value()));
}

template <Differentiable D>
D exp(const D& a) {
  const auto y = exp(a.value());
  return D::chain(a, y, y);
}
template <Differentiable D>
D expm1(const D& a) {
  return D::chain(a, expm1(a.value()), exp(a.value()));
}
template <Differentiable D>
D log(const D& a) {
  using S = typename D::Base;
  return D::chain(a, log(a.value()), S(1) / a.value());
}
template <Differentiable D>
D log1p(const D& a) {
  using S = typename D::Base;
  return D::chain(a, log1p(a.value()), S(1) / (S(1) + a.value()));
}
template <Differentiable D>
D sqrt(const D& a) {
  using S = typename D::Base;
  const S y = sqrt(a.value());
  return D::chain(a, y, S(0.5) / y);
}
template <Differentiable D>
D rsqrt(const D& a) {
  using S = typename D::Base;
  const S y = rsqrt(a.value());
  return D::chain(a, y, S(-0.5) * y * y * y);
}
template <Differentiable D>
D sin(const D& a) {
  return D::chain(a, sin(a.value()), cos(a.value()));
}
template <Differentiable D>
D cos(const D& a) {
  return D::chain(a, cos(a.value()), -sin(a.value()));
}
template <Differentiable D>
D tanh(const D& a) {
  using S = typename D::Base;
  const S y = tanh(a.value());
  return D::chain(a, y, S(1) - y * y);
}
template <Differentiable D>
D erf(const D& a) {
  using S = typename D::Base;
  return D::chain(a, erf(a.value()), S(2 / std::sqrt(kPi)) * exp(-(a.value() * a.value())));
}
template <Differentiable D>
D erfc(const D& a) {
  using S = typename D::Base;
  return D::chain(a, erfc(a.value()), S(-2 / std::sqrt(kPi)) * exp(-(a.value() * a.value())));
}
// PyTorch's conventions: d/dx is 0 where y = 0, d/dy is 0 where x = 0 and y >= 0.
template <Differentiable D>
D pow(const D& a, const D& b) {
  using S = typename D::Base;
  const S x = a.value(), y = b.value();
  const S v = pow(x, y);
  const S dx = value_of(y) == 0 ? S(0) : y * pow(x, y - S(1));
  S dy(0);
  if (!b.constant() && !(value_of(x) == 0 && value_of(y) >= 0)) dy = v * log(x);
  return D::chain(a, b, v, dx, dy);
}

template <Differentiable D>
long double value_of(const D& a) {
  return value_of(a.value());
}
template <Differentiable D>
D detach(const D& a) {
  return D(a.value());
}
template <Differentiable D>
D with_value(const D& a, long double value) {
  using S = typename D::Base;
  return D::chain(a, with_value(a.value(), value), S(1));
}

}  // namespace flame::reference
