// Tensors from numbers.
#include <cmath>

#include "lib/core/error.h"
#include "reference/case_builder.h"
#include "reference/evaluate.h"

namespace flame::reference {
namespace {

struct Full {
  template <class S>
  static Arrays<S> forward(ArraySpan<S>, const Attrs& attrs) {
    const DType dtype = dtype_or(attrs, DType::kFloat32);
    const double value = round_to(dtype, attrs.get_double("fill_value"));
    return {generate<S>(dtype, attrs.get_ints("size"),
                        [&](std::size_t) { return number<S>(value, DType::kFloat64); })};
  }
};

struct Arange {
  template <class S>
  static Arrays<S> forward(ArraySpan<S>, const Attrs& attrs) {
    const DType dtype = dtype_or(attrs, DType::kFloat32);
    const double start = number_or(attrs, "start", 0), end = attrs.get_double("end"),
                 step = number_or(attrs, "step", 1);
    const auto n = static_cast<std::int64_t>(std::ceil((end - start) / step));
    // Whole numbers are counted, and rounded once.
    const bool whole = start == std::trunc(start) && step == std::trunc(step);
    return {generate<S>(dtype, {n}, [&](std::size_t i) {
      if (whole && is_floating(dtype))
        return number<S>(round_to(dtype, start + double(i) * step), DType::kFloat64);
      return number<S>(start, dtype) + S(i) * number<S>(step, dtype);
    })};
  }
};

Case created(std::string name, Attrs attrs, bool exact, std::optional<DType> dtype = std::nullopt) {
  if (dtype) attrs.set("dtype", std::string(flame::name(*dtype)));
  Case c{std::move(name), {}, std::move(attrs), true, exact, false};
  if (dtype) c.dtypes = {DType::kFloat32};
  return c;
}

std::vector<Case> full_cases() {
  const auto fill = [](const char* name, Shape size, AttrValue value,
                       std::optional<DType> dtype = std::nullopt) {
    return created(name, {{"size", std::move(size)}, {"fill_value", std::move(value)}}, true,
                   dtype);
  };
  const auto whole = [](std::int64_t v) { return AttrValue(v); };
  return {fill("matrix", {9, 33}, 1.5),
          fill("rounded", {129}, 0.1),
          fill("zero", {1025}, 0.0),
          fill("whole_number", {31}, whole(3)),
          fill("scalar", {}, -2.5),
          fill("empty", {0, 3}, 1.0),
          fill("nan", {33}, kNaN),
          fill("infinity", {33}, -kInf),
          fill("overflow", {33}, 1e39),
          fill("subnormal", {33}, 1e-40),
          fill("int64", {65}, whole(-7), DType::kInt64),
          fill("int32", {65}, whole(123456), DType::kInt32),
          fill("uint8", {67}, whole(200), DType::kUInt8),
          fill("bool", {67}, AttrValue(true), DType::kBool),
          only_full(fill("large", {262147}, 0.3))};
}

std::vector<Case> arange_cases() {
  const auto range = [](const char* name, double start, double end, double step, bool exact,
                        std::optional<DType> dtype = std::nullopt) {
    return created(name, {{"start", start}, {"end", end}, {"step", step}}, exact, dtype);
  };
  const auto whole = [](const char* name, std::int64_t start, std::int64_t end, std::int64_t step,
                        DType dtype) {
    return created(name, {{"start", start}, {"end", end}, {"step", step}}, true, dtype);
  };
  return {range("integers", 0, 257, 1, true),
          range("quarters", -4, 4, 0.25, true),
          range("downwards", 10, -10, -3, true),
          range("partial_step", 0, 10, 3, true),
          range("tenths", 0, 3.05, 0.1, false),
          range("thirds", -1, 0.9, 1.0 / 3, false),
          range("one", 5, 6, 1, true),
          range("empty", 3, 3, 1, true),
          range("beyond_float", 16777201, 16777259, 1, true),
          range("beside_ties_of_bfloat16", 118226913, 118227073, 2, true),
          whole("int64", -5, 128, 1, DType::kInt64),
          whole("int64_large", 1000000000000, 1000000000200, 7, DType::kInt64),
          whole("int32_downwards", 100, 0, -9, DType::kInt32),
          only_full(range("large", 0, 65537, 1, true))};
}

}  // namespace

const Contract& full_contract() {
  static const Contract c = make_contract_without_gradient<Full>(
      "full", {full_cases,
               [] {
                 return std::vector<ErrorCase>{
                     {"negative_size",
                      {},
                      {{"size", IntList{2, -1}}, {"fill_value", 1.0}},
                      "ShapeError",
                      {"(2, -1)"}},
                     {"no_value", {}, {{"size", IntList{2}}}, "ValueError", {"fill_value"}},
                     {"overflow",
                      {},
                      {{"size", IntList{std::int64_t{1} << 40, std::int64_t{1} << 40}},
                       {"fill_value", 1.0}},
                      "ShapeError",
                      {"(1099511627776, 1099511627776)"}}};
               },
               [] {
                 return std::vector<BenchCase>{
                     {"16777216", {}, {{"size", IntList{16777216}}, {"fill_value", 1.0}}}};
               },
               {}});
  return c;
}

const Contract& arange_contract() {
  static const Contract c = make_contract_without_gradient<Arange>(
      "arange",
      {arange_cases,
       [] {
         return std::vector<ErrorCase>{
             {"zero_step",
              {},
              {{"start", 0.0}, {"end", 3.0}, {"step", 0.0}},
              "ValueError",
              {"step"}},
             {"wrong_way",
              {},
              {{"start", 0.0}, {"end", -3.0}, {"step", 1.0}},
              "ValueError",
              {"-3"}},
             {"nan", {}, {{"start", 0.0}, {"end", kNaN}, {"step", 1.0}}, "ValueError", {"nan"}}};
       },
       [] {
         return std::vector<BenchCase>{
             {"16777216", {}, {{"start", 0.0}, {"end", 16777216.0}, {"step", 1.0}}}};
       },
       {}});
  return c;
}

}  // namespace flame::reference
