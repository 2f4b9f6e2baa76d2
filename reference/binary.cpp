// Elementwise functions of two operands, each a tensor or a number.
#include <cmath>

#include "reference/elementwise.h"

namespace flame::reference {
namespace {

struct Add {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const DType dtype = common_dtype(in[0], in[1]);
    const S alpha = number<S>(number_or(attrs, "alpha", 1), dtype);
    const Array<S> other = operand(in[1], attrs, "other", dtype);
    return {broadcast_map("add", dtype, in[0], other,
                          [&](const S& x, const S& y) { return x + alpha * y; })};
  }
};

struct Mul {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const DType dtype = common_dtype(in[0], in[1]);
    return {broadcast_map("mul", dtype, in[0], operand(in[1], attrs, "other", dtype),
                          [](const S& x, const S& y) { return x * y; })};
  }
};

struct Div {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const DType dtype = common_dtype(in[0], in[1]);
    const std::string mode = string_or(attrs, "rounding_mode", "");
    return {broadcast_map("div", dtype, in[0], operand(in[1], attrs, "other", dtype),
                          [&](const S& x, const S& y) { return divide(x, y, mode); })};
  }

  template <class S>
  static S divide(const S& x, const S& y, const std::string& mode) {
    if (mode.empty()) return x / y;
    const long double q = value_of(x) / value_of(y);
    return S(mode == "floor" ? std::floor(q) : std::trunc(q));  // piecewise constant
  }
};

struct Pow {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const DType dtype = common_dtype(in[0], in[1]);
    return {broadcast_map("pow", dtype, in[0], operand(in[1], attrs, "exponent", dtype),
                          [](const S& x, const S& y) { return pow(x, y); })};
  }
};

// Both operands drawn by `a` and `b` over every broadcast pattern.
template <class A, class B>
std::vector<Case> over_shapes(A a, B b, const Attrs& attrs = {}) {
  std::vector<Case> cases;
  for (const ShapePair& p : broadcast_shapes())
    cases.push_back({p.name, {a(p.a), b(p.b)}, attrs, p.quick});
  return cases;
}

std::vector<ErrorCase> binary_error_cases(std::string_view other) {
  const std::string name(other);
  return {
      {"no_broadcast", {normal({2, 3}), normal({2, 4})}, {}, "ShapeError", {"(2, 3)", "(2, 4)"}},
      {"no_broadcast_lead",
       {normal({3, 1, 5}), normal({2, 1, 5})},
       {},
       "ShapeError",
       {"(3, 1, 5)", "(2, 1, 5)"}},
      {"integer_other",
       {normal({3}), of_dtype(integers({3}, 1, 4), DType::kInt64)},
       {},
       "DTypeError",
       {"int64"}},
      {"missing_number", {normal({3}), absent()}, {}, "DeviceError", {name}}};
}

std::vector<BenchCase> binary_bench_cases() {
  return {{"16777216", {normal({16777216}), normal({16777216})}, {}},
          {"8192x4096_row", {normal({8192, 4096}), normal({4096})}, {}}};
}

const std::vector<double> kSpecialLeft = {0,    -0.0, kInf,  -kInf, kNaN, 1,    kInf,   -1,
                                          3e38, 6e-8, 1e-40, 65504, 2,    kInf, 1e-310, 1.5};
const std::vector<double> kSpecialRight = {-0.0, -0.0, 1,     kInf,  1,    kNaN, -kInf,  kInf,
                                           3e38, 6e-8, 1e-40, 65504, -0.5, 2,    1e-310, 0.25};

std::vector<Case> add_cases() {
  const auto draw = [](Shape s) { return normal(std::move(s)); };
  std::vector<Case> cases = over_shapes(draw, draw);
  cases += std::vector<Case>{
      {"alpha", {normal({129}), normal({129})}, {{"alpha", 2.5}}},
      {"alpha_inexact", {normal({33, 1}), normal({5})}, {{"alpha", -0.3}}},
      {"number", {normal({127}), absent()}, {{"other", 0.1}}},
      {"number_alpha", {normal({3, 5}), absent()}, {{"other", 3.0}, {"alpha", -1.0}}, false},
      exactly({"integers", {integers({7, 31}, -100, 100), integers({31}, -100, 100)}, {}}),
      forward_only({"special_values", {listed(kSpecialLeft), listed(kSpecialRight)}, {}}),
      forward_only({"cancellation",
                    {listed({1, 1.0009765625, 4097, 1.0000001}), listed({-1, -1, -4096, -1})},
                    {}})};
  return cases;
}

std::vector<Case> mul_cases() {
  const auto draw = [](Shape s) { return normal(std::move(s)); };
  std::vector<Case> cases = over_shapes(draw, draw);
  cases += std::vector<Case>{
      {"number", {normal({127}), absent()}, {{"other", 0.1}}},
      {"number_minus_one", {normal({3, 5}), absent()}, {{"other", -1.0}}, false},
      exactly({"integers", {integers({7, 31}, -11, 11), integers({31}, -11, 11)}, {}}),
      forward_only({"special_values", {listed(kSpecialLeft), listed(kSpecialRight)}, {}})};
  return cases;
}

std::vector<Case> div_cases() {
  const auto numerator = [](Shape s) { return normal(std::move(s)); };
  const auto denominator = [](Shape s) { return away_from_zero(std::move(s), 0.5, 3); };
  std::vector<Case> cases = over_shapes(numerator, denominator);
  cases += std::vector<Case>{
      {"number", {normal({127}), absent()}, {{"other", 3.0}}},
      forward_only({"special_values", {listed(kSpecialLeft), listed(kSpecialRight)}, {}}),
      // Quotients of small integers are integers, or 1/16 and more away from one.
      pinned(exactly({"trunc",
                      {integers({9, 33}, -60, 60), integers({9, 1}, 1, 16)},
                      {{"rounding_mode", "trunc"}}})),
      pinned(exactly({"floor",
                      {integers({9, 33}, -60, 60), integers({33}, -16, -1)},
                      {{"rounding_mode", "floor"}}})),
      pinned(exactly({"floor_number",
                      {integers({31}, -60, 60), absent()},
                      {{"other", 7.0}, {"rounding_mode", "floor"}}}))};
  return cases;
}

std::vector<Case> pow_cases() {
  const auto base = [](Shape s) { return uniform(std::move(s), 0.25, 4); };
  const auto exponent = [](Shape s) { return uniform(std::move(s), -2, 2); };
  std::vector<Case> cases = over_shapes(base, exponent);
  for (double e : {2.0, 3.0, 0.5, -1.0, 1.0, 0.0, -0.5, 2.7})
    cases.push_back({"number_" + to_string(AttrValue(e)),
                     {uniform({33}, 0.25, 4), absent()},
                     {{"exponent", e}},
                     e == 2 || e == 0.5 || e == 2.7});
  cases += std::vector<Case>{
      {"negative_base", {away_from_zero({31}, 0.5, 3), absent()}, {{"exponent", 3.0}}},
      {"large_exponents",
       {listed({1.0078125, 0.99609375, 1.25, 0.75, 2, 0.5, 1, 1.015625, 0.984375}),
        listed({1000, -2000, 40, -33, 60, -60, 500, -1000, 31.5})},
       {}},
      pinned({"zero_base", {listed({0, 0, 0, 0, 2, 0.5, 3}), listed({0, 1, 2, 3, 0, 0, 1})}, {}}),
      pinned({"zero_exponent_number", {listed({0, 1, -1, 2.5}), absent()}, {{"exponent", 0.0}}}),
      forward_only({"special_values",
                    {listed({0, 0, -0.0, kInf, kInf, -kInf, -kInf, kNaN, kNaN, 1, 1, 2, 0.5, -8, -1,
                             2, 0.5, 2}),
                     listed({-1, kInf, -1, 2, -2, 3, 2, 0, 1, kNaN, kInf, kInf, kInf, 0.5, kInf,
                             -kInf, -kInf, 1000})},
                    {}})};
  return cases;
}

}  // namespace

const Contract& add_contract() {
  static const Contract c = make_contract<Add>("add", {add_cases,
                                                       [] { return binary_error_cases("other"); },
                                                       binary_bench_cases,
                                                       {Law::kElementwise, Law::kLinear}});
  return c;
}

const Contract& mul_contract() {
  static const Contract c = make_contract<Mul>("mul", {mul_cases,
                                                       [] { return binary_error_cases("other"); },
                                                       binary_bench_cases,
                                                       {Law::kElementwise, Law::kBilinear}});
  return c;
}

const Contract& div_contract() {
  static const Contract c = make_contract<Div>(
      "div", {div_cases,
              [] {
                std::vector<ErrorCase> errors = binary_error_cases("other");
                errors.push_back({"rounding_mode",
                                  {normal({3}), normal({3})},
                                  {{"rounding_mode", "ceil"}},
                                  "ValueError",
                                  {"rounding_mode", "ceil"}});
                return errors;
              },
              [] {
                return std::vector<BenchCase>{
                    {"16777216", {normal({16777216}), away_from_zero({16777216}, 0.5, 3)}, {}}};
              },
              {Law::kElementwise}});
  return c;
}

const Contract& pow_contract() {
  static const Contract c = make_contract<Pow>(
      "pow", {pow_cases,
              [] { return binary_error_cases("exponent"); },
              [] {
                return std::vector<BenchCase>{
                    {"16777216", {uniform({16777216}, 0.25, 4), uniform({16777216}, -2, 2)}, {}}};
              },
              {Law::kElementwise}});
  return c;
}

}  // namespace flame::reference
