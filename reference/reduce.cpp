// Reductions over any set of dims.
#include "reference/case_builder.h"
#include "reference/evaluate.h"
#include "reference/reductions.h"

namespace flame::reference {
namespace {

// f(the elements of a group) for every element of the output.
template <class S, class F>
Arrays<S> reduce(std::string_view op, const Array<S>& in, const Attrs& attrs, F f) {
  const Groups groups =
      reduce_groups(op, in.shape, ints_or(attrs, "dim", {}), bool_or(attrs, "keepdim", false));
  std::vector<S> terms;
  return {generate<S>(dtype_or(attrs, in.dtype), groups.shape, [&](std::size_t i) {
    terms.clear();
    for (std::size_t at : groups.members[i]) terms.push_back(in.values[at]);
    return f(std::span<const S>(terms));
  })};
}

struct SumOp {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    return reduce("sum", in[0], attrs, sum_of<S>);
  }
};
struct Mean {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    return reduce("mean", in[0], attrs, mean_of<S>);
  }
};
struct Amax {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    return reduce("amax", in[0], attrs, max_of<S>);
  }
};

struct Situation {
  std::string name;
  Shape shape;
  Attrs attrs;
  bool quick = true;
};

// Every choice of dims, and sizes around what a warp and a block reduce at once.
std::vector<Situation> situations() {
  return {
      {"all", {3, 5, 7}, {}},
      {"all_keepdim", {5, 33}, {{"keepdim", true}}},
      {"rows", {9, 257}, {{"dim", IntList{1}}}},
      {"columns", {129, 33}, {{"dim", IntList{0}}, {"keepdim", true}}},
      {"middle", {4, 31, 6}, {{"dim", IntList{-2}}}},
      {"two_dims", {3, 4, 5, 6}, {{"dim", IntList{0, 2}}}},
      {"outer_and_inner_keepdim", {7, 5, 9}, {{"dim", IntList{-1, 0}}, {"keepdim", true}}},
      // Rows of whole vectors, of any type.
      {"vectors_columns", {37, 64}, {{"dim", IntList{0}}}},
      {"vectors_channels", {5, 6, 48}, {{"dim", IntList{0, 2}}}},
      // Of as many vectors as a block's lanes can read at once.
      {"vectors_rows", {5, 1024}, {{"dim", IntList{1}}}},
      {"vectors_long_rows", {3, 2, 4096}, {{"dim", IntList{-1}}}, false},
      {"one_element_rows", {33, 1}, {{"dim", IntList{1}}}},
      {"scalar", {}, {}},
      {"scalar_dim", {}, {{"dim", IntList{0}}}, false},
      {"one", {1}, {{"dim", IntList{0}}}, false},
      {"long_row", {2, 1025}, {{"dim", IntList{1}}}},
      // More dims than two, kept and reduced ones.
      {"three_and_two_dims", {3, 2, 5, 4, 7}, {{"dim", IntList{0, 2, 4}}}},
      {"no_rows", {0, 3}, {{"dim", IntList{1}}}},
      {"no_rows_of_vectors", {0, 16}, {{"dim", IntList{1}}}},
      {"warp", {5, 32}, {{"dim", IntList{1}}}, false},
      {"long_column", {4097, 3}, {{"dim", IntList{0}}}, false},
      {"longer_row", {3, 65537}, {{"dim", IntList{1}}}, false},
      {"large", {262147}, {}, false},
      {"vectors_long_column", {8209, 16}, {{"dim", IntList{0}}}, false},
      {"vectors_long_channels", {33, 2, 2048}, {{"dim", IntList{0, 2}}}, false},
      {"wide", {3, 65537}, {{"dim", IntList{0}}}, false},
  };
}

std::vector<Case> sum_like_cases(bool empty_is_zero) {
  std::vector<Case> cases;
  for (const Situation& s : situations())
    cases.push_back({s.name, {normal(s.shape)}, s.attrs, s.quick});
  if (empty_is_zero) {
    cases.push_back({"empty", {normal({0})}, {}});
    cases.push_back({"empty_rows", {normal({3, 0})}, {{"dim", IntList{1}}}});
    cases.push_back(exactly({"integers", {integers({33, 129}, -30, 30)}, {{"dim", IntList{1}}}}));
  } else {
    cases.push_back(forward_only({"empty", {normal({0})}, {}}));
    // A power of two many: dividing is exact as well.
    cases.push_back(exactly({"integers", {integers({33, 128}, -30, 30)}, {{"dim", IntList{1}}}}));
  }
  // A sum may overflow; on the way to a mean that would be an accident.
  const double large = empty_is_zero ? 3e38 : 1e38;
  // Terms of one sign, where losing bits of the inputs adds up instead of averaging out.
  cases.push_back({"one_sign", {uniform({5, 513}, 1, 2)}, {{"dim", IntList{1}}}});
  cases.push_back(of_dtypes(
      {"wider_dtype", {normal({7, 65})}, {{"dim", IntList{1}}, {"dtype", std::string("float32")}}},
      {DType::kFloat32, DType::kFloat16, DType::kBFloat16}));
  cases.push_back(forward_only(
      {"special_values",
       {explicit_values({8, 3}, {1,     kInf,  2, kInf,  -kInf, 1, kNaN, 1, 2, -kInf, 0,    3,
                                 65504, 65504, 1, large, large, 0, -0.0, 0, 0, 6e-8,  6e-8, 0})},
       {{"dim", IntList{1}}}}));
  return cases;
}

// Small values of both signs, and `peak` at these places, row-major.
InputSpec with_peaks(Shape shape, std::vector<std::size_t> places, double peak = 9) {
  std::vector<double> values(static_cast<std::size_t>(numel(shape)));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = double(i * 7 % 13) - 6;
  for (std::size_t at : places) values[at] = peak;
  return explicit_values(std::move(shape), std::move(values));
}
// One peak in even columns and two in odd ones, each at other rows.
InputSpec with_peaks_in_columns(std::size_t rows, std::size_t columns) {
  std::vector<std::size_t> places;
  for (std::size_t c = 0; c < columns; ++c) {
    places.push_back(c * 7 % rows * columns + c);
    if (c % 2 == 1) places.push_back((c * 11 + rows / 2) % rows * columns + c);
  }
  return with_peaks({std::int64_t(rows), std::int64_t(columns)}, places);
}

// Maxima wherever what reduces may lose sight of one: in one vector, lane, warp, split or in two of
// them, in what fills no vector; and values that no comparison finds larger.
std::vector<Case> amax_peaks() {
  const Attrs rows{{"dim", IntList{1}}}, columns{{"dim", IntList{0}}};
  const auto row = [](std::size_t r, std::size_t at) { return r * 1032 + at; };
  return {
      pinned({"peaks_in_rows",
              {with_peaks({7, 1032}, {row(0, 0), row(0, 1031), row(1, 9), row(1, 10), row(2, 5),
                                      row(2, 133), row(2, 261), row(3, 1031), row(4, 77), row(5, 3),
                                      row(5, 8), row(6, 511), row(6, 512)})},
              rows}),
      pinned({"peak_in_the_tail", {with_peaks({1031}, {1030})}, {}}),
      pinned({"peaks_at_both_ends", {with_peaks({1031}, {0, 1030})}, {}}),
      pinned({"peaks_in_the_tail", {with_peaks({1031}, {1028, 1029})}, {}}),
      pinned({"peaks_in_columns", {with_peaks_in_columns(70, 64)}, columns}),
      pinned({"peaks_in_odd_columns", {with_peaks_in_columns(61, 37)}, columns}),
      pinned({"peaks_in_channels",
              {with_peaks({5, 6, 48}, {0, 6 * 48, 60, 70, 100, 4 * 6 * 48 + 5 * 48 + 47})},
              {{"dim", IntList{0, 2}}}}),
      pinned({"peaks_in_three_dims",
              {with_peaks({3, 2, 5, 4, 7}, {3, 30, 31, 100, 700})},
              {{"dim", IntList{0, 2, 4}}}}),
      only_full(pinned({"peaks_in_splits", {with_peaks({70001}, {11, 60007})}, {}})),
      only_full(pinned({"peak_in_a_split", {with_peaks({70001}, {60007})}, {}})),
      only_full(pinned({"peaks_in_split_columns", {with_peaks_in_columns(4100, 16)}, columns})),
      pinned({"only_minus_infinity", {explicit_values({3, 40}, {-kInf})}, rows}),
      pinned({"one_minus_infinity", {explicit_values({9, 1}, {-kInf, 1, 2})}, rows}),
      pinned({"above_minus_infinity", {with_peaks({40}, {17}, kInf)}, {}}),
      pinned({"infinite_ties", {with_peaks({3, 264}, {5, 100, 270, 700}, kInf)}, rows}),
      // NaNs are the maxima where there are any.
      pinned({"not_a_number", {with_peaks({3, 264}, {263, 264 + 8, 264 + 120, 700}, kNaN)}, rows}),
      pinned({"not_a_number_in_columns", {with_peaks({16, 16}, {5, 60, 76, 250}, kNaN)}, columns}),
      pinned({"not_a_number_alone", {explicit_values({2, 2}, {kNaN, kInf, kNaN, kNaN})}, rows})};
}

std::vector<Case> amax_cases() {
  std::vector<Case> cases;
  for (const Situation& s : situations()) {
    if (numel(s.shape) == 0) continue;
    Case c = exactly({s.name, {distinct(s.shape, -4, 4)}, s.attrs, s.quick});
    // Half types have about 30000 values in [-4, 4].
    if (numel(s.shape) > 30000) c.dtypes = {DType::kFloat32, DType::kFloat64};
    cases.push_back(std::move(c));
  }
  cases += std::vector<Case>{
      exactly({"no_rows_kept", {distinct({0, 3}, -4, 4)}, {{"dim", IntList{1}}}}),
      pinned({"ties",
              {explicit_values({4, 6}, {1, 3, 3, 2, 0, 3, -1, -1,   -1, -1, -2, -3,
                                        5, 4, 5, 4, 5, 5, 0,  -0.0, 0,  -1, -1, -1})},
              {{"dim", IntList{1}}}}),
      pinned({"all_equal", {explicit_values({3, 33}, {2})}, {{"dim", IntList{1}}}}),
      pinned({"ties_across_dims", {integers({3, 9, 5}, 0, 2)}, {{"dim", IntList{0, 2}}}}),
      exactly(forward_only(
          {"special_values",
           {explicit_values({6, 4},
                            {1,     kNaN, 2, 3, kInf, kNaN, -kInf, 0,  -kInf, -kInf, -kInf, -kInf,
                             -kInf, kInf, 1, 2, 6e-8, 0,    -6e-8, -1, kNaN,  kNaN,  kInf,  1})},
           {{"dim", IntList{1}}}})),
      exactly({"negative", {distinct({9, 33}, -8, -1)}, {{"dim", IntList{1}}}})};
  cases += amax_peaks();
  return cases;
}

std::vector<ErrorCase> reduce_error_cases() {
  return {
      {"dim_too_large", {normal({2, 3})}, {{"dim", IntList{2}}}, "IndexError", {"2", "[-2, 1]"}},
      {"dim_too_small", {normal({2, 3})}, {{"dim", IntList{-3}}}, "IndexError", {"-3"}},
      {"dim_twice", {normal({2, 3})}, {{"dim", IntList{1, -1}}}, "ValueError", {"twice"}},
      {"integer_input",
       {of_dtype(integers({3}, 0, 5), DType::kInt64)},
       {},
       "DTypeError",
       {"int64"}}};
}

std::vector<ErrorCase> amax_error_cases() {
  std::vector<ErrorCase> errors = reduce_error_cases();
  errors.push_back(
      {"nothing_to_compare", {normal({3, 0})}, {{"dim", IntList{1}}}, "ShapeError", {"(3, 0)"}});
  return errors;
}

std::vector<BenchCase> reduce_bench_cases() {
  return {{"16777216", {normal({16777216})}, {}},
          {"8192x8192_rows", {normal({8192, 8192})}, {{"dim", IntList{1}}}},
          {"8192x8192_columns", {normal({8192, 8192})}, {{"dim", IntList{0}}}},
          {"64x256x56x56_channels", {normal({64, 256, 56, 56})}, {{"dim", IntList{0, 2, 3}}}}};
}

}  // namespace

const Contract& sum_contract() {
  static const Contract c = make_contract<SumOp>("sum", {[] { return sum_like_cases(true); },
                                                         reduce_error_cases,
                                                         reduce_bench_cases,
                                                         {Law::kLinear}});
  return c;
}

const Contract& mean_contract() {
  static const Contract c = make_contract<Mean>("mean", {[] { return sum_like_cases(false); },
                                                         reduce_error_cases,
                                                         reduce_bench_cases,
                                                         {Law::kLinear}});
  return c;
}

const Contract& amax_contract() {
  static const Contract c =
      make_contract<Amax>("amax", {amax_cases, amax_error_cases, reduce_bench_cases, {}});
  return c;
}

}  // namespace flame::reference
