// Reverse mode: the formula is recorded once as it runs, then one sweep back gives the whole
// gradient, each part with its own running error bound when S is Bounded.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "reference/scalar/differentiate.h"

namespace flame::reference {

// Flat arrays and indices only: a sum of n products costs 8 n bytes.
template <class S>
class Tape {
 public:
  using Id = std::uint32_t;
  static constexpr Id kConstant = std::numeric_limits<Id>::max();
  // A term of a sum: the product of two nodes, or one node alone when second is kConstant.
  using Term = std::pair<Id, Id>;

  // Adds a node without parents.
  Id leaf(const S& value) { return push(value, slopes_.size(), terms_.size()); }
  // Adds value = f(a) or f(a, b); parents that are constants are left out.
  Id node(const S& value, Id a, const S& slope_a, Id b, const S& slope_b) {
    const std::size_t first = slopes_.size();
    if (a != kConstant) slopes_.push_back({slope_a, a});
    if (b != kConstant) slopes_.push_back({slope_b, b});
    return push(value, first, terms_.size());
  }
  // Adds value = sum of terms.
  Id sum(const S& value, std::span<const Term> terms) {
    const std::size_t first = terms_.size();
    terms_.insert(terms_.end(), terms.begin(), terms.end());
    return push(value, slopes_.size(), first);
  }

  // d(sum of seeds' weight * node) / d(node), for nodes [0, count).
  std::vector<S> gradient(std::span<const std::pair<Id, S>> seeds, std::size_t count) const {
    std::vector<Sum<S>> adjoints(values_.size());
    std::vector<bool> reached(values_.size(), false);
    for (const auto& [id, weight] : seeds) add(adjoints, reached, id, weight);
    std::vector<S> out(count);
    for (std::size_t i = values_.size(); i-- > 0;) {
      if (!reached[i]) continue;
      const S adjoint = adjoints[i].total();
      if (i < count) out[i] = adjoint;
      propagate(adjoints, reached, i, adjoint);
    }
    return out;
  }

 private:
  struct Slope {
    S slope;
    Id parent;
  };

  Id push(const S& value, std::size_t first_slope, std::size_t first_term) {
    values_.push_back(value);
    first_slope_.push_back(static_cast<Id>(first_slope));
    first_term_.push_back(static_cast<Id>(first_term));
    return static_cast<Id>(values_.size() - 1);
  }
  // A zero contributes nothing, so that 0 * inf cannot make a NaN out of an untaken path.
  static void add(std::vector<Sum<S>>& adjoints, std::vector<bool>& reached, Id id, const S& term) {
    if (vanishes(term)) return;
    adjoints[id].add(term);
    reached[id] = true;
  }
  void propagate(std::vector<Sum<S>>& adjoints, std::vector<bool>& reached, std::size_t i,
                 const S& adjoint) const {
    const bool last = i + 1 == values_.size();
    const std::size_t slope_end = last ? slopes_.size() : first_slope_[i + 1];
    for (std::size_t k = first_slope_[i]; k < slope_end; ++k)
      add(adjoints, reached, slopes_[k].parent, adjoint * slopes_[k].slope);
    const std::size_t term_end = last ? terms_.size() : first_term_[i + 1];
    for (std::size_t k = first_term_[i]; k < term_end; ++k) {
      const auto [a, b] = terms_[k];
      add(adjoints, reached, a, b == kConstant ? adjoint : adjoint * values_[b]);
      if (b != kConstant) add(adjoints, reached, b, adjoint * values_[a]);
    }
  }

  std::vector<S> values_;
  std::vector<Id> first_slope_, first_term_;
  std::vector<Slope> slopes_;
  std::vector<Term> terms_;
};

// A scalar on a tape, or a constant (no tape).
template <class S>
class Var {
 public:
  using Base = S;
  static constexpr bool kDifferentiates = true;
  using Id = typename Tape<S>::Id;

  Var() : value_(0) {}
  explicit Var(const S& value) : value_(value) {}
  template <Number T>
  requires(!std::same_as<T, S>) explicit Var(T value) : value_(value) {}
  Var(Tape<S>* tape, Id id, const S& value) : tape_(tape), id_(id), value_(value) {}

  const S& value() const { return value_; }
  bool constant() const { return tape_ == nullptr; }
  Tape<S>* tape() const { return tape_; }
  Id id() const { return id_; }

  static Var chain(const Var& a, const S& value, const S& slope) {
    return chain(a, Var(), value, slope, S(0));
  }
  static Var chain(const Var& a, const Var& b, const S& value, const S& slope_a, const S& slope_b) {
    Tape<S>* tape = a.tape_ ? a.tape_ : b.tape_;
    if (!tape) return Var(value);
    return {tape, tape->node(value, a.id_, slope_a, b.id_, slope_b), value};
  }

 private:
  Tape<S>* tape_ = nullptr;
  Id id_ = Tape<S>::kConstant;
  S value_;
};

template <class S>
class Sum<Var<S>> {
 public:
  void add(const Var<S>& x) {
    value_.add(x.value());
    if (x.constant()) return;
    tape_ = x.tape();
    terms_.push_back({x.id(), Tape<S>::kConstant});
  }
  void add_product(const Var<S>& x, const Var<S>& y) {
    value_.add_product(x.value(), y.value());
    if (x.constant() && y.constant()) return;
    tape_ = x.constant() ? y.tape() : x.tape();
    terms_.push_back({on_tape(x), on_tape(y)});
  }
  Var<S> total() const {
    const S value = value_.total();
    return tape_ ? Var<S>(tape_, tape_->sum(value, terms_), value) : Var<S>(value);
  }

 private:
  typename Tape<S>::Id on_tape(const Var<S>& x) {
    return x.constant() ? tape_->leaf(x.value()) : x.id();
  }

  Sum<S> value_;
  Tape<S>* tape_ = nullptr;
  std::vector<typename Tape<S>::Term> terms_;
};

}  // namespace flame::reference
