// Forward mode: a value and its derivatives in L directions (Clifford's dual numbers).
#pragma once
#include <Eigen/Core>
#include <array>

#include "reference/scalar/differentiate.h"

namespace flame::reference {

template <class S, int L>
class Dual {
 public:
  using Base = S;
  static constexpr bool kDifferentiates = true;
  using Lanes = Eigen::Array<S, L, 1>;

  Dual() : Dual(S(0)) {}
  explicit Dual(const S& value) : value_(value), lanes_(Lanes::Zero()) {}
  template <Number T>
  requires(!std::same_as<T, S>) explicit Dual(T value) : Dual(S(value)) {}
  Dual(const S& value, const Lanes& lanes) : value_(value), lanes_(lanes) {}

  const S& value() const { return value_; }
  const Lanes& lanes() const { return lanes_; }
  bool constant() const { return (lanes_ == Lanes::Zero()).all(); }

  // A lane whose tangent is zero stays zero, also where the slope is not finite.
  static Dual chain(const Dual& a, const S& value, const S& slope) {
    return {value, scaled(a.lanes_, slope)};
  }
  static Dual chain(const Dual& a, const Dual& b, const S& value, const S& slope_a,
                    const S& slope_b) {
    return {value, scaled(a.lanes_, slope_a) + scaled(b.lanes_, slope_b)};
  }

 private:
  static Lanes scaled(const Lanes& lanes, const S& slope) {
    return (lanes == Lanes::Zero()).select(Lanes::Zero(), lanes * slope);
  }

  S value_;
  Lanes lanes_;
};

template <class S, int L>
class Sum<Dual<S, L>> {
 public:
  void add(const Dual<S, L>& x) {
    value_.add(x.value());
    for (int i = 0; i < L; ++i) lanes_[i].add(x.lanes()[i]);
  }
  void add_product(const Dual<S, L>& x, const Dual<S, L>& y) { add(x * y); }
  Dual<S, L> total() const {
    typename Dual<S, L>::Lanes lanes;
    for (int i = 0; i < L; ++i) lanes[i] = lanes_[i].total();
    return {value_.total(), lanes};
  }

 private:
  Sum<S> value_;
  std::array<Sum<S>, L> lanes_;
};

}  // namespace flame::reference
