// Reductions that formulas share; each goes through Sum, or compares values only.
#pragma once
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "reference/scalar/functions.h"

namespace flame::reference {

template <class S>
S sum_of(std::span<const S> terms) {
  Sum<S> sum;
  for (const S& x : terms) sum.add(x);
  return sum.total();
}

// By the reciprocal: covers both honest ways, dividing and multiplying by 1 / n.
template <class S>
S mean_of(std::span<const S> terms) {
  return sum_of(terms) * (S(1) / S(terms.size()));
}

// The index of the first largest term, of the first NaN if there is one.
template <class S>
std::size_t first_max(std::span<const S> terms) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    if (std::isnan(value_of(terms[i]))) return i;
    if (value_of(terms[i]) > value_of(terms[best])) best = i;
  }
  return best;
}

// The largest term; the gradient is shared evenly among equal ones, NaNs where there are any.
template <class S>
S max_of(std::span<const S> terms) {
  const S& largest = terms[first_max(terms)];
  const bool nan = std::isnan(value_of(largest));
  std::vector<S> equal;
  for (const S& x : terms)
    if (nan ? std::isnan(value_of(x)) : value_of(x) == value_of(largest)) equal.push_back(x);
  if (equal.size() < 2) return largest;
  return with_value(mean_of<S>(equal), value_of(largest));
}

}  // namespace flame::reference
