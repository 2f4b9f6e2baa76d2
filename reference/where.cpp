// Choosing between two operands by a mask.
#include "reference/elementwise.h"

namespace flame::reference {
namespace {

struct Where {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const DType dtype = result_dtype(in);
    const Array<S> a = operand(in[1], attrs, "input", dtype);
    const Array<S> b = operand(in[2], attrs, "other", dtype);
    const Shape shape = broadcast("where", in[0].shape, broadcast("where", a.shape, b.shape));
    const auto from_condition = broadcast_positions(in[0].shape, shape);
    const auto from_a = broadcast_positions(a.shape, shape);
    const auto from_b = broadcast_positions(b.shape, shape);
    return {generate<S>(dtype, shape, [&](std::size_t i) {
      return value_of(in[0].values[from_condition[i]]) != 0 ? a.values[from_a[i]]
                                                            : b.values[from_b[i]];
    })};
  }

  // Two numbers make PyTorch's default dtype.
  template <class S>
  static DType result_dtype(ArraySpan<S> in) {
    return in[1].defined || in[2].defined ? common_dtype(in[1], in[2]) : DType::kFloat32;
  }
};

std::vector<Case> where_cases() {
  std::vector<Case> cases;
  for (const ShapePair& p : broadcast_shapes())
    cases.push_back(
        {p.name, {mask(broadcast("where", p.a, p.b)), normal(p.a), normal(p.b)}, {}, p.quick});
  cases += std::vector<Case>{
      {"condition_broadcasts", {mask({5, 1}), normal({5, 33}), normal({33})}, {}},
      {"condition_widens", {mask({3, 5}), normal({5}), normal({})}, {}},
      {"uint8", {mask({127}, DType::kUInt8), normal({127}), normal({127})}, {}},
      {"uint8_not_one",
       {of_dtype(explicit_values({129}, {0, 1, 2, 255, 0, 128}), DType::kUInt8), normal({129}),
        normal({129})},
       {}},
      {"number_other", {mask({31}), normal({31}), absent()}, {{"other", -1.5}}},
      {"number_input", {mask({4, 8}), absent(), normal({8})}, {{"input", 0.0}}},
      of_dtypes({"numbers", {mask({9}), absent(), absent()}, {{"input", 1.0}, {"other", 2.0}}},
                {DType::kFloat32}),
      exactly({"unselected_nan",
               {of_dtype(explicit_values({8}, {1, 0}), DType::kBool),
                explicit_values({8}, {1, kNaN}), explicit_values({8}, {kInf, 2})},
               {}}),
      exactly(forward_only({"special_values",
                            {mask({16}), explicit_values({16}, {kNaN, kInf, -kInf, -0.0, 6e-8}),
                             explicit_values({16}, {1, 2, kNaN})},
                            {}}))};
  return cases;
}

std::vector<ErrorCase> where_error_cases() {
  return {
      {"float_condition", {normal({3}), normal({3}), normal({3})}, {}, "DTypeError", {"float32"}},
      {"no_broadcast",
       {mask({2, 3}), normal({2, 3}), normal({2, 4})},
       {},
       "ShapeError",
       {"(2, 4)"}},
      {"condition_shape", {mask({2}), normal({3}), normal({3})}, {}, "ShapeError", {"(2)"}},
      {"missing_number", {mask({3}), normal({3}), absent()}, {}, "DeviceError", {"other"}}};
}

std::vector<BenchCase> where_bench_cases() {
  return {{"16777216", {mask({16777216}), normal({16777216}), normal({16777216})}, {}}};
}

}  // namespace

const Contract& where_contract() {
  static const Contract c =
      make_contract<Where>("where", {where_cases, where_error_cases, where_bench_cases, {}});
  return c;
}

}  // namespace flame::reference
