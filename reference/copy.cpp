// Copies: into row-major order, and into another element type.
#include "reference/case_builder.h"
#include "reference/evaluate.h"

namespace flame::reference {
namespace {

struct Contiguous {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs&) {
    return {in[0]};
  }
};

// Rounds to nearest even; floating to integer truncates; anything nonzero is true. The gradient
// passes as if nothing had been rounded.
struct To {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const DType dtype = dtype_or(attrs, in[0].dtype);
    return {generate<S>(dtype, in[0].shape, [&](std::size_t i) {
      const S& x = in[0].values[i];
      return with_value(x, round_to(dtype, static_cast<double>(value_of(x))));
    })};
  }
};

std::vector<Case> contiguous_cases() {
  std::vector<Case> cases;
  for (const Shape& s : std::vector<Shape>{{9, 33}, {}, {0, 3}, {3, 5, 7}, {2, 3, 4, 5}, {1025}})
    cases.push_back(exactly({"shape_" + to_string(s), {normal(s)}, {}}));
  for (DType t : {DType::kInt64, DType::kInt32, DType::kUInt8})
    cases.push_back(of_dtypes(
        exactly(forward_only({std::string(name(t)), {of_dtype(integers({9, 33}, 0, 100), t)}, {}})),
        {DType::kFloat32}));
  cases.push_back(
      of_dtypes(exactly(forward_only({"bool", {mask({7, 9})}, {}})), {DType::kFloat32}));
  cases.push_back(only_full(exactly({"large", {normal({513, 511})}, {}})));
  return cases;
}

Attrs target(DType dtype) { return {{"dtype", std::string(name(dtype))}}; }

std::vector<Case> to_cases() {
  std::vector<Case> cases;
  // Ties, both neighbours of ties, overflow, subnormals: of every source to every target.
  const std::vector<double> hard = {0,
                                    -0.0,
                                    1,
                                    1 + 0x1p-8,
                                    1 + 0x1p-9,
                                    1 + 3 * 0x1p-9,
                                    1 + 0x1p-11,
                                    1 + 3 * 0x1p-11,
                                    1 + 0x1p-11 + 0x1p-20,
                                    1 + 0x1p-24,
                                    1 + 0x1p-24 + 0x1p-40,
                                    65504,
                                    65519,
                                    65520,
                                    65536,
                                    3.3895e38,
                                    3.4e38,
                                    3.5e38,
                                    -65520,
                                    0x1p-24,
                                    0x1p-25,
                                    1.5 * 0x1p-25,
                                    6e-8,
                                    1e-40,
                                    1e-45,
                                    kInf,
                                    -kInf,
                                    kNaN};
  for (DType t : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    const std::string to(name(t));
    cases.push_back(exactly({"to_" + to, {normal({9, 33})}, target(t)}));
    cases.push_back(exactly(forward_only({"hard_to_" + to, {listed(hard)}, target(t)})));
  }
  for (DType t : {DType::kInt64, DType::kInt32, DType::kUInt8}) {
    const bool is_signed = t != DType::kUInt8;
    cases.push_back(exactly(forward_only(
        {"to_" + std::string(name(t)), {uniform({129}, is_signed ? -100 : 0, 100)}, target(t)})));
  }
  cases.push_back(
      exactly(forward_only({"to_bool",
                            {listed({0, -0.0, 1, -1, 0.25, 6e-8, 1e-40, kNaN, kInf, 65504})},
                            target(DType::kBool)})));
  for (DType t : {DType::kInt64, DType::kInt32, DType::kUInt8})
    cases.push_back(exactly(forward_only({"from_" + std::string(name(t)),
                                          {of_dtype(integers({65}, 0, 255), t)},
                                          target(DType::kFloat32)})));
  cases.push_back(
      of_dtypes(exactly(forward_only({"from_bool", {mask({33})}, target(DType::kFloat16)})),
                {DType::kFloat32}));
  cases.push_back(
      of_dtypes(exactly(forward_only({"int64_to_int32",
                                      {of_dtype(integers({65}, -100000, 100000), DType::kInt64)},
                                      target(DType::kInt32)})),
                {DType::kFloat32}));
  cases.push_back(exactly({"empty", {normal({0, 3})}, target(DType::kFloat64)}));
  cases.push_back(exactly({"scalar", {normal({})}, target(DType::kFloat32)}));
  cases.push_back(only_full(exactly({"large", {normal({262147})}, target(DType::kBFloat16)})));
  for (Case& c : cases)
    if (c.name.starts_with("from_")) c.dtypes = {DType::kFloat32};
  return cases;
}

}  // namespace

const Contract& contiguous_contract() {
  static const Contract c = make_contract<Contiguous>(
      "contiguous",
      {contiguous_cases,
       [] {
         return std::vector<ErrorCase>{{"undefined", {absent()}, {}, "DeviceError", {"input"}}};
       },
       [] {
         return std::vector<BenchCase>{
             {"8192x8192_transposed", {normal({8192, 8192})}, {}, {{1, 0}}},
             {"64x256x56x56_from_nhwc", {normal({64, 256, 56, 56})}, {}, {{0, 2, 3, 1}}}};
       },
       {Law::kElementwise, Law::kLinear}});
  return c;
}

const Contract& to_contract() {
  static const Contract c = make_contract<To>(
      "to", {to_cases,
             [] {
               return std::vector<ErrorCase>{
                   {"unknown",
                    {normal({3})},
                    {{"dtype", std::string("float8")}},
                    "ValueError",
                    {"float8"}},
                   {"no_dtype", {normal({3})}, {}, "ValueError", {"dtype"}}};
             },
             [] {
               return std::vector<BenchCase>{
                   {"16777216_to_bfloat16", {normal({16777216})}, target(DType::kBFloat16)},
                   {"16777216_to_float32", {normal({16777216})}, target(DType::kFloat32)}};
             },
             {Law::kElementwise}});
  return c;
}

}  // namespace flame::reference
