// Elementwise functions of one input: one row each.
#include <cmath>
#include <type_traits>

#include "reference/elementwise.h"

namespace flame::reference {
namespace {

// x * Phi(x). By erfc, which keeps its relative accuracy where Phi is small.
constexpr auto kGelu = [](const auto& x, const Attrs& attrs) {
  using S = std::remove_cvref_t<decltype(x)>;
  if (string_or(attrs, "approximate", "none") == "none")
    return S(0.5) * x * erfc(-x * S(std::sqrt(0.5L)));
  // Hendrycks & Gimpel 2016, section 2.
  const S inner = S(std::sqrt(2 / kPi)) * (x + S(0.044715L) * x * x * x);
  return S(0.5) * x * (S(1) + tanh(inner));
};

}  // namespace

// A unary op is one row: name, formula, where it is smooth and what happens at its edges.
#define UNARY(op, formula, ...)                                                                  \
  const Contract& op##_contract() {                                                              \
    static const Contract contract =                                                             \
        make_contract<Unary<formula>>(#op, {[] { return unary_cases(UnaryDomain __VA_ARGS__); }, \
                                            unary_error_cases,                                   \
                                            unary_bench_cases,                                   \
                                            {Law::kElementwise}});                               \
    return contract;                                                                             \
  }

UNARY(exp, ([](const auto& x, const Attrs&) { return exp(x); }),
      {.a = -8,
       .b = 8,
       .special = {0, -0.0, 1, kInf, -kInf, kNaN, 1e-40, -6e-8, 11, 88.5, -87, -100, 1000, -1000}})

UNARY(relu, ([](const auto& x, const Attrs&) {
        using S = std::remove_cvref_t<decltype(x)>;
        return value_of(x) <= 0 ? S(0) : x;
      }),
      {.kink_at_zero = true,
       .kinks = {0, -0.0, 1, -1, 6e-8, -6e-8, 1e-40, -1e-40},
       .special = {kInf, -kInf, kNaN, 65504, -65504, 3e38, -3e38, 0, -0.0}})

UNARY(sigmoid, ([](const auto& x, const Attrs&) {
        using S = std::remove_cvref_t<decltype(x)>;
        return value_of(x) < 0 ? exp(x) / (S(1) + exp(x)) : S(1) / (S(1) + exp(-x));
      }),
      {.a = -8, .b = 8, .special = {0, -0.0, kInf, -kInf, kNaN, 1e-40, 20, -20, -88, -100, 1000}})

UNARY(gelu, kGelu,
      {.a = -3,
       .b = 3,
       .special = {0, -0.0, kInf, kNaN, 6e-8, 1e-40, 20, 1000, -5, -10, -13.25, -13.5, 1.5e-39,
                   -3e-39, 1e-37, -2e-38},
       .variants = {{}, {{"approximate", "tanh"}}}})

#undef UNARY

}  // namespace flame::reference
