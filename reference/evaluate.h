// Runs one formula at every scalar: the truths of the design's section 3 from a single template.
// A formula F is a struct with
//   template <class S> static Arrays<S> forward(ArraySpan<S> inputs, const Attrs& attrs);
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "reference/array.h"
#include "reference/contract.h"
#include "reference/scalar/bounded.h"
#include "reference/scalar/dual.h"
#include "reference/scalar/plain.h"
#include "reference/scalar/tape.h"

namespace flame::reference {

// A number argument is exact unless the working precision has to round it.
template <class S>
S number(double value, DType dtype) {
  if constexpr (std::same_as<S, Bounded>) {
    const bool rounds =
        is_floating(dtype) && dtype != DType::kFloat64 && !bounded::fits_float(value);
    return {value, rounds ? bounded::magnitude(value) : 0.0};
  } else if constexpr (Differentiable<S>) {
    return S(number<typename S::Base>(value, dtype));
  } else {
    return S(value);
  }
}

// Whether gradients flow into a tensor: indices and masks have none.
inline bool has_gradient(const HostTensor& t) { return t.defined && is_floating(t.dtype); }

// Values beyond the range of `dtype` are infinities there.
Bound in_range(const Bounded& x, DType dtype);

template <class F>
struct Evaluate {
  // The direction count of jvp.
  using Jet = Dual<long double, 1>;

  // A stored number is exact, whatever the working precision.
  template <class S>
  static S stored(double v) {
    if constexpr (std::same_as<S, Bounded>)
      return {v, 0.0};
    else
      return S(v);
  }

  template <class S>
  static Arrays<S> lift(Inputs inputs) {
    Arrays<S> out;
    for (const HostTensor& t : inputs) {
      Array<S>& a = out.emplace_back(Array<S>{t.dtype, t.shape, {}, t.defined});
      a.values.reserve(t.values.size());
      for (double v : t.values) a.values.push_back(stored<S>(v));
    }
    return out;
  }

  static std::vector<BoundTensor> forward(Inputs inputs, const Attrs& attrs) {
    std::vector<BoundTensor> out;
    for (const auto& a : F::template forward<Bounded>(lift<Bounded>(inputs), attrs)) {
      BoundTensor& t = out.emplace_back(BoundTensor{a.shape, {}});
      for (const Bounded& x : a.values) t.values.push_back(in_range(x, a.dtype));
    }
    return out;
  }

  static std::vector<HostTensor> plain_forward(Inputs inputs, const Attrs& attrs, SumOrder order) {
    Arrays<Plain> in = lift<Plain>(inputs);
    for (auto& a : in)
      for (Plain& x : a.values) x.order = order;
    std::vector<HostTensor> out;
    for (const auto& a : F::template forward<Plain>(in, attrs)) {
      HostTensor& t = out.emplace_back(HostTensor{a.dtype, a.shape, {}});
      for (const Plain& x : a.values) t.values.push_back(x.v);
    }
    return out;
  }

  // The gradient of every element of every differentiable input, in the order of the inputs.
  template <class S>
  static std::vector<S> gradient(const Arrays<S>& in, const std::vector<bool>& wanted,
                                 const Attrs& attrs, const Arrays<S>& grad_outputs) {
    Tape<S> tape;
    Arrays<Var<S>> recorded;
    std::size_t count = 0;
    for (std::size_t k = 0; k < in.size(); ++k) {
      auto& a = recorded.emplace_back(Array<Var<S>>{in[k].dtype, in[k].shape, {}, in[k].defined});
      a.values.reserve(in[k].size());
      for (const S& x : in[k].values) {
        if (wanted[k]) ++count;
        a.values.push_back(wanted[k] ? Var<S>(&tape, tape.leaf(x), x) : Var<S>(x));
      }
    }
    const Arrays<Var<S>> out = F::template forward<Var<S>>(recorded, attrs);
    std::vector<std::pair<typename Tape<S>::Id, S>> seeds;
    for (std::size_t k = 0; k < out.size() && k < grad_outputs.size(); ++k) {
      if (!grad_outputs[k].defined) continue;
      for (std::size_t i = 0; i < out[k].size(); ++i)
        if (const Var<S>& y = out[k].values[i]; !y.constant())
          seeds.push_back({y.id(), grad_outputs[k].values[i]});
    }
    return tape.gradient(seeds, count);
  }

  static std::vector<bool> wanted(Inputs inputs) {
    std::vector<bool> out;
    for (const HostTensor& t : inputs) out.push_back(has_gradient(t));
    return out;
  }

  static std::vector<BoundTensor> backward(Inputs inputs, const Attrs& attrs, Inputs grads) {
    const auto flat =
        gradient<Bounded>(lift<Bounded>(inputs), wanted(inputs), attrs, lift<Bounded>(grads));
    std::vector<BoundTensor> out;
    std::size_t at = 0;
    for (const HostTensor& t : inputs) {
      BoundTensor& g = out.emplace_back(BoundTensor{t.shape, {}, has_gradient(t)});
      if (!g.defined) continue;
      for (std::size_t i = 0; i < t.values.size(); ++i)
        g.values.push_back(in_range(flat[at++], t.dtype));
    }
    return out;
  }

  static std::vector<HostTensor> plain_backward(Inputs inputs, const Attrs& attrs, Inputs grads,
                                                SumOrder order) {
    Arrays<Plain> in = lift<Plain>(inputs);
    for (auto& a : in)
      for (Plain& x : a.values) x.order = order;
    const auto flat = gradient<Plain>(in, wanted(inputs), attrs, lift<Plain>(grads));
    std::vector<HostTensor> out;
    std::size_t at = 0;
    for (const HostTensor& t : inputs) {
      HostTensor& g = out.emplace_back(HostTensor{t.dtype, t.shape, {}, has_gradient(t)});
      if (!g.defined) continue;
      for (std::size_t i = 0; i < t.values.size(); ++i) g.values.push_back(flat[at++].v);
    }
    return out;
  }

  static std::vector<HostTensor> jvp(Inputs inputs, const Attrs& attrs, Inputs tangents) {
    Arrays<Jet> in = lift<Jet>(inputs);
    for (std::size_t k = 0; k < in.size(); ++k) {
      if (!has_gradient(inputs[k]) || k >= tangents.size() || !tangents[k].defined) continue;
      for (std::size_t i = 0; i < in[k].size(); ++i)
        in[k].values[i] = Jet(in[k].values[i].value(), Jet::Lanes::Constant(tangents[k].values[i]));
    }
    std::vector<HostTensor> out;
    for (const auto& a : F::template forward<Jet>(in, attrs)) {
      HostTensor& t = out.emplace_back(HostTensor{DType::kFloat64, a.shape, {}});
      for (const Jet& x : a.values) t.values.push_back(static_cast<double>(x.lanes()[0]));
    }
    return out;
  }
};

// What the makers of contracts state besides the formula.
struct Statement {
  std::vector<Case> (*cases)() = nullptr;
  std::vector<ErrorCase> (*error_cases)() = nullptr;
  std::vector<BenchCase> (*bench_cases)() = nullptr;
  std::vector<Law> laws = {};
};

// The contract of a differentiable op.
template <class F>
Contract make_contract(std::string_view op, const Statement& s) {
  using E = Evaluate<F>;
  return {op,     E::forward,       E::backward,      E::jvp, s.cases, s.error_cases, s.bench_cases,
          s.laws, E::plain_forward, E::plain_backward};
}

// The contract of an op without a gradient.
template <class F>
Contract make_contract_without_gradient(std::string_view op, const Statement& s) {
  using E = Evaluate<F>;
  return {op,     E::forward,       nullptr, nullptr, s.cases, s.error_cases, s.bench_cases,
          s.laws, E::plain_forward, nullptr};
}

}  // namespace flame::reference
