// Reading by index.
#include "lib/core/error.h"
#include "reference/case_builder.h"
#include "reference/evaluate.h"

namespace flame::reference {
namespace {

struct Gather {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const Array<S>& index = in[1];
    const auto dim =
        static_cast<std::size_t>(normalize_dim("gather", attrs.get_int("dim"), in[0].shape.size()));
    const bool scalar = in[0].shape.empty();
    const std::int64_t size = scalar ? 1 : in[0].shape[dim];
    Strides strides = contiguous_strides(in[0].shape);
    const auto step = scalar ? 0 : static_cast<std::size_t>(strides[dim]);
    // The walk over index leaves `dim` alone: the index says where to go there.
    if (!scalar) strides[dim] = 0;
    strides.resize(index.shape.size(), 0);
    const auto base = positions(index.shape, strides);
    return {generate<S>(in[0].dtype, index.shape, [&](std::size_t i) {
      const auto at = static_cast<std::int64_t>(value_of(index.values[i]));
      if (at < 0 || at >= size) return S(std::numeric_limits<double>::quiet_NaN());
      return in[0].values[base[i] + static_cast<std::size_t>(at) * step];
    })};
  }
};

Attrs along(std::int64_t dim) { return {{"dim", dim}}; }

std::vector<Case> gather_cases() {
  return {
      exactly({"rows", {normal({9, 33}), indices({9, 7}, 33)}, along(1)}),
      exactly({"columns", {normal({31, 8}), indices({5, 8}, 31)}, along(0)}),
      exactly({"middle_dim", {normal({3, 17, 5}), indices({3, 4, 5}, 17)}, along(1)}),
      exactly({"index_narrower", {normal({7, 9}), indices({4, 20}, 9)}, along(-1)}),
      exactly({"vector", {normal({257}), indices({129}, 257)}, along(0)}),
      exactly({"int32", {normal({5, 65}), indices({5, 33}, 65, DType::kInt32)}, along(1)}),
      exactly({"scalar", {normal({}), indices({}, 1)}, along(0)}),
      exactly({"empty_index", {normal({5, 3}), indices({0, 3}, 5)}, along(0)}),
      exactly({"last_and_first",
               {normal({4, 33}), of_dtype(explicit_values({4, 4}, {32, 0, 31, 1}), DType::kInt64)},
               along(1)}),
      // The gradient of an element that is read often is a sum: judged by its bound.
      {"repeated", {normal({3, 5}), indices({3, 129}, 5)}, along(1)},
      {"all_the_same",
       {normal({4, 9}), of_dtype(explicit_values({65, 9}, {3}), DType::kInt64)},
       along(0)},
      exactly(forward_only(
          {"special_values",
           {listed({kNaN, kInf, -kInf, -0.0, 6e-8, 1e-40, 65504, 3e38}), indices({31}, 8)},
           along(0)})),
      only_full({"large", {normal({65537}), indices({131101}, 65537)}, along(0)}),
      only_full({"one_bin", {normal({2}), indices({8191}, 2)}, along(0)}),
      only_full({"many_rows", {normal({1025, 33}), indices({1025, 65}, 33)}, along(1)}),
      only_full({"four_dims", {normal({3, 4, 5, 6}), indices({2, 4, 5, 3}, 3)}, along(0)}),
  };
}

std::vector<ErrorCase> gather_error_cases() {
  const auto index = [](Shape s, std::vector<double> v) {
    return of_dtype(explicit_values(std::move(s), std::move(v)), DType::kInt64);
  };
  return {
      {"rank", {normal({2, 3}), indices({2}, 2)}, along(0), "ShapeError", {"(2, 3)", "(2)"}},
      {"index_too_wide",
       {normal({2, 3}), indices({3, 3}, 2)},
       along(1),
       "ShapeError",
       {"(2, 3)", "(3, 3)"}},
      {"dim", {normal({2, 3}), indices({2, 3}, 2)}, along(2), "IndexError", {"2"}},
      {"float_index", {normal({2, 3}), normal({2, 3})}, along(0), "DTypeError", {"float32"}},
      {"too_large",
       {normal({2, 3}), index({1, 2}, {1, 2})},
       along(0),
       "IndexError",
       {"2"},
       DType::kFloat32,
       true},
      {"negative",
       {normal({2, 3}), index({2, 1}, {0, -1})},
       along(1),
       "IndexError",
       {"-1"},
       DType::kFloat32,
       true},
      {"no_dim", {normal({2, 3}), indices({2, 3}, 2)}, {}, "ValueError", {"dim"}},
  };
}

std::vector<BenchCase> gather_bench_cases() {
  return {{"8192x8192_rows", {normal({8192, 8192}), indices({8192, 8192}, 8192)}, along(1)},
          {"8192x8192_columns", {normal({8192, 8192}), indices({8192, 8192}, 8192)}, along(0)}};
}

}  // namespace

const Contract& gather_contract() {
  static const Contract c = make_contract<Gather>(
      "gather", {gather_cases, gather_error_cases, gather_bench_cases, {Law::kLinear}});
  return c;
}

}  // namespace flame::reference
