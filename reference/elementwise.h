// Elementwise formulas from one-line lambdas, and the cases that every elementwise op needs.
#pragma once
#include "reference/case_builder.h"
#include "reference/evaluate.h"

namespace flame::reference {

// Formula(x, attrs) at every element.
template <auto Formula>
struct Unary {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    return {generate<S>(in[0].dtype, in[0].shape,
                        [&](std::size_t i) { return Formula(in[0].values[i], attrs); })};
  }
};

// The type of a result of two operands; a number adapts to the tensor.
template <class S>
DType common_dtype(const Array<S>& a, const Array<S>& b) {
  if (!a.defined) return b.dtype;
  return b.defined ? promote(a.dtype, b.dtype) : a.dtype;
}

template <class S, class F>
Array<S> broadcast_map(std::string_view op, DType dtype, const Array<S>& a, const Array<S>& b,
                       F f) {
  const Shape shape = broadcast(op, a.shape, b.shape);
  const auto from_a = broadcast_positions(a.shape, shape);
  const auto from_b = broadcast_positions(b.shape, shape);
  return generate<S>(dtype, shape,
                     [&](std::size_t i) { return f(a.values[from_a[i]], b.values[from_b[i]]); });
}

// What the rows of unary.cpp state.
struct UnaryDomain {
  double a = -4, b = 4;              // where the function is smooth, and interesting
  bool kink_at_zero = false;         // then inputs keep clear of 0 by 1/16
  std::vector<double> kinks = {};    // pinned: judged with the documented gradient
  std::vector<double> special = {};  // judged forward only: NaN, infinities, subnormals, limits
  std::vector<Attrs> variants = {};  // attribute values to go through; none: no attributes
};
std::vector<Case> unary_cases(const UnaryDomain& domain);
std::vector<ErrorCase> unary_error_cases();
std::vector<BenchCase> unary_bench_cases();

// Shapes that broadcast in every way, for both operands.
struct ShapePair {
  std::string name;
  Shape a, b;
  bool quick = true;
};
std::vector<ShapePair> broadcast_shapes();

}  // namespace flame::reference
