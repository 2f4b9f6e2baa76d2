// softmax along one dim.
#include "reference/case_builder.h"
#include "reference/evaluate.h"
#include "reference/reductions.h"

namespace flame::reference {
namespace {

struct Softmax {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const Rows rows = rows_along("softmax", in[0].shape, attrs.get_int("dim"));
    Array<S> out = in[0];
    out.dtype = dtype_or(attrs, in[0].dtype);
    std::vector<S> terms(rows.length);
    for (std::size_t start : rows.starts) {
      for (std::size_t j = 0; j < rows.length; ++j) terms[j] = in[0].values[start + j * rows.step];
      // The shift cancels, so that it has no derivative.
      const S shift = detach(terms[first_max<S>(terms)]);
      for (S& x : terms) x = exp(x - shift);
      const S total = sum_of<S>(terms);
      for (std::size_t j = 0; j < rows.length; ++j)
        out.values[start + j * rows.step] = terms[j] / total;
    }
    return {std::move(out)};
  }
};

// Rows of 0, -1 and values from `below` on whose exp is small enough to be subnormal in bfloat16
// and float32. (Of 0 alone, nearly all of its gradient would cancel.)
InputSpec far_below_the_largest(std::int64_t length, double below = -84) {
  std::vector<double> row = {0};
  for (std::int64_t j = 1; j < length; ++j) row.push_back(below - 8.0 * double(j) / double(length));
  row[static_cast<std::size_t>(length / 2)] = -1;
  return explicit_values({3, length}, std::move(row));
}

// Rows of which all but a few elements are masked, in places that blocks may share out among them.
InputSpec mostly_masked(std::int64_t length) {
  std::vector<double> row(static_cast<std::size_t>(length), -kInf);
  for (std::int64_t j = 0; j < 5; ++j)
    row[static_cast<std::size_t>(length / 2 + 7 * j)] = 0.25 - 4.5 * double(j);
  row.back() = 0.5;
  return explicit_values({2, length}, std::move(row));
}

// Rows of nothing but -inf, of a NaN, of an infinity and of finite numbers.
InputSpec special_rows(std::int64_t length) {
  const auto n = static_cast<std::size_t>(length);
  std::vector<double> rows(4 * n, -kInf);
  for (std::size_t j = n; j < 4 * n; ++j) rows[j] = double(j % 17) / 8;
  rows[n + n / 3] = kNaN;
  rows[2 * n + n - 1] = kInf;
  return explicit_values({4, length}, std::move(rows));
}

std::vector<Case> softmax_cases() {
  const auto last = [](const char* name, InputSpec in, bool quick = true) {
    return Case{name, {std::move(in)}, {{"dim", std::int64_t{-1}}}, quick};
  };
  return {
      last("row_of_one", normal({5, 1})),
      last("warp_tail", normal({9, 31})),
      last("warp_plus_one", normal({7, 33})),
      last("block", normal({3, 1024})),
      last("longer_than_block", normal({1, 4097})),
      {"first_dim", {normal({129, 9})}, {{"dim", std::int64_t{0}}}},
      {"middle_dim", {normal({3, 17, 5})}, {{"dim", std::int64_t{1}}}},
      {"scalar", {normal({})}, {{"dim", std::int64_t{0}}}},
      {"no_rows", {normal({0, 4})}, {{"dim", std::int64_t{1}}}},
      {"empty_rows", {normal({3, 0})}, {{"dim", std::int64_t{1}}}},
      last("large_values", normal({5, 65}, 30, 1000)),
      last("peaked", normal({4, 33}, 20)),
      last("subnormal_probabilities", far_below_the_largest(64)),
      of_dtypes({"wider_dtype",
                 {normal({5, 33})},
                 {{"dim", std::int64_t{1}}, {"dtype", std::string("float32")}}},
                {DType::kFloat32, DType::kFloat16, DType::kBFloat16}),
      // A masked row: exp(-inf) is exactly 0. A row of nothing but -inf has no softmax.
      forward_only(
          last("special_values",
               explicit_values({5, 4}, {0, -kInf, 1,     2,     kInf,  1,     2,      3, kNaN, 1, 2,
                                        3, -kInf, -kInf, -kInf, -kInf, 65504, -65504, 0, 1}))),
      last("masked", explicit_values({3, 5}, {0.5, -kInf, 1.25, -0.75, -kInf, 2, 1, 0.25})),
      last("eight", normal({33, 8}), false),
      last("vector", normal({127}), false),
      last("many_rows", normal({2049, 31}), false),
      last("longest", normal({2, 65537}), false),
      last("long_vectors", normal({3, 20488}), false),
      last("long_masked", mostly_masked(20488), false),
      last("long_subnormal", far_below_the_largest(20488), false),
      // All of them so small that float32 has few bits for them.
      last("deep_subnormal", far_below_the_largest(64, -92)),
      last("long_deep_subnormal", far_below_the_largest(20488, -92), false),
      forward_only(last("long_special", special_rows(20488), false)),
      {"columns_of_blocks", {normal({2, 515, 72})}, {{"dim", std::int64_t{1}}}, false},
      {"columns_of_many", {normal({8200, 64})}, {{"dim", std::int64_t{0}}}, false},
      {"wide_columns", {normal({33, 1025})}, {{"dim", std::int64_t{0}}}, false},
      {"four_dims", {normal({3, 5, 7, 9})}, {{"dim", std::int64_t{-3}}}, false},
  };
}

std::vector<ErrorCase> softmax_error_cases() {
  return {{"dim_too_large", {normal({2, 3})}, {{"dim", std::int64_t{2}}}, "IndexError", {"2"}},
          {"dim_too_small", {normal({2, 3})}, {{"dim", std::int64_t{-3}}}, "IndexError", {"-3"}},
          {"no_dim", {normal({2, 3})}, {}, "ValueError", {"dim"}},
          {"integer_input",
           {of_dtype(integers({3}, 0, 5), DType::kInt64)},
           {{"dim", std::int64_t{0}}},
           "DTypeError",
           {"int64"}}};
}

std::vector<BenchCase> softmax_bench_cases() {
  return {{"8192x8192", {normal({8192, 8192})}, {{"dim", std::int64_t{1}}}},
          {"98304x1024", {normal({98304, 1024})}, {{"dim", std::int64_t{1}}}},
          {"1024x50304", {normal({1024, 50304})}, {{"dim", std::int64_t{1}}}},
          {"256x262144", {normal({256, 262144})}, {{"dim", std::int64_t{1}}}},
          {"8192x8192_columns", {normal({8192, 8192})}, {{"dim", std::int64_t{0}}}}};
}

}  // namespace

const Contract& softmax_contract() {
  static const Contract c =
      make_contract<Softmax>("softmax", {softmax_cases,
                                         softmax_error_cases,
                                         softmax_bench_cases,
                                         {Law::kShiftInvariant, Law::kPermutationEquivariant}});
  return c;
}

}  // namespace flame::reference
