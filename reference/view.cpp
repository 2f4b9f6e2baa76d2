// Views: the same elements in another arrangement.
#include <algorithm>

#include "reference/case_builder.h"
#include "reference/evaluate.h"

namespace flame::reference {
namespace {

// An arrangement of the elements of a row-major tensor.
struct Layout {
  Shape shape;
  Strides strides;
  std::size_t offset = 0;
};

template <auto Arrange>
struct View {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const Layout to = Arrange(Layout{in[0].shape, contiguous_strides(in[0].shape)}, attrs);
    return {pick(in[0], to.shape, positions(to.shape, to.strides, to.offset))};
  }
};

std::size_t index_of(std::string_view op, std::int64_t dim, std::size_t rank) {
  return static_cast<std::size_t>(normalize_dim(op, dim, rank));
}

// One size may be -1: what is left.
Layout reshape(const Layout& in, const Attrs& attrs) {
  Shape shape = attrs.get_ints("shape");
  std::int64_t known = 1;
  for (std::int64_t s : shape) known *= s == -1 ? 1 : s;
  for (std::int64_t& s : shape)
    if (s == -1) s = known == 0 ? 0 : numel(in.shape) / known;
  return {shape, contiguous_strides(shape)};
}

Layout transpose(Layout in, const Attrs& attrs) {
  if (in.shape.empty()) return in;
  const std::size_t a = index_of("transpose", attrs.get_int("dim0"), in.shape.size());
  const std::size_t b = index_of("transpose", attrs.get_int("dim1"), in.shape.size());
  std::swap(in.shape[a], in.shape[b]);
  std::swap(in.strides[a], in.strides[b]);
  return in;
}

Layout permute(const Layout& in, const Attrs& attrs) {
  Layout out;
  for (std::int64_t dim : attrs.get_ints("dims")) {
    const std::size_t d = index_of("permute", dim, in.shape.size());
    out.shape.push_back(in.shape[d]);
    out.strides.push_back(in.strides[d]);
  }
  return out;
}

Layout expand(const Layout& in, const Attrs& attrs) {
  Layout out{attrs.get_ints("size"), {}};
  out.strides.assign(out.shape.size(), 0);
  const std::size_t lead = out.shape.size() - in.shape.size();
  for (std::size_t d = 0; d < in.shape.size(); ++d) {
    if (out.shape[lead + d] == -1) out.shape[lead + d] = in.shape[d];
    if (in.shape[d] != 1) out.strides[lead + d] = in.strides[d];
  }
  return out;
}

Layout narrow(Layout in, const Attrs& attrs) {
  const std::size_t d = index_of("narrow", attrs.get_int("dim"), in.shape.size());
  std::int64_t start = attrs.get_int("start");
  if (start < 0) start += in.shape[d];
  in.offset = static_cast<std::size_t>(start * in.strides[d]);
  in.shape[d] = attrs.get_int("length");
  return in;
}

Layout select(Layout in, const Attrs& attrs) {
  const std::size_t d = index_of("select", attrs.get_int("dim"), in.shape.size());
  std::int64_t index = attrs.get_int("index");
  if (index < 0) index += in.shape[d];
  in.offset = static_cast<std::size_t>(index * in.strides[d]);
  in.shape.erase(in.shape.begin() + static_cast<std::ptrdiff_t>(d));
  in.strides.erase(in.strides.begin() + static_cast<std::ptrdiff_t>(d));
  return in;
}

Layout squeeze(const Layout& in, const Attrs& attrs) {
  const std::vector<int> dims =
      normalize_dims("squeeze", ints_or(attrs, "dim", {}), in.shape.size());
  Layout out;
  for (std::size_t d = 0; d < in.shape.size(); ++d) {
    const bool named = std::find(dims.begin(), dims.end(), static_cast<int>(d)) != dims.end();
    if (named && in.shape[d] == 1) continue;
    out.shape.push_back(in.shape[d]);
    out.strides.push_back(in.strides[d]);
  }
  return out;
}

Layout unsqueeze(Layout in, const Attrs& attrs) {
  const std::size_t d = index_of("unsqueeze", attrs.get_int("dim"), in.shape.size() + 1);
  in.shape.insert(in.shape.begin() + static_cast<std::ptrdiff_t>(d), 1);
  in.strides.insert(in.strides.begin() + static_cast<std::ptrdiff_t>(d), 0);
  return in;
}

struct Situation {
  const char* name;
  Shape shape;
  Attrs attrs;
};

// Every situation with floats and its gradient; the first one also with every other element type.
std::vector<Case> view_cases(std::vector<Situation> situations) {
  std::vector<Case> cases;
  for (const Situation& s : situations)
    cases.push_back(exactly({s.name, {normal(s.shape)}, s.attrs}));
  const Situation& first = situations.front();
  for (DType t : {DType::kInt64, DType::kInt32, DType::kUInt8})
    cases.push_back(of_dtypes(exactly(forward_only({std::string(name(t)),
                                                    {of_dtype(integers(first.shape, 0, 100), t)},
                                                    first.attrs,
                                                    t == DType::kInt64})),
                              {DType::kFloat32}));
  cases.push_back(of_dtypes(
      exactly(forward_only({"bool", {mask(first.shape)}, first.attrs, false})), {DType::kFloat32}));
  return cases;
}

ErrorCase failing(const char* name, Shape shape, Attrs attrs, const char* error,
                  std::vector<std::string> mentions) {
  return {name, {normal(std::move(shape))}, std::move(attrs), error, std::move(mentions)};
}

AttrValue one(std::int64_t v) { return v; }
AttrValue list(IntList v) { return v; }

// A view moves nothing: there is nothing to time.
std::vector<BenchCase> no_bench_cases() { return {}; }

}  // namespace

const Contract& reshape_contract() {
  static const Contract c = make_contract<View<reshape>>(
      "reshape",
      {[] {
         return view_cases({{"two_to_three", {6, 35}, {{"shape", list({2, 3, 35})}}},
                            {"flatten", {3, 5, 7}, {{"shape", list({-1})}}},
                            {"infer_middle", {8, 9}, {{"shape", list({3, -1, 4})}}},
                            {"to_scalar", {1, 1}, {{"shape", list({})}}},
                            {"from_scalar", {}, {{"shape", list({1, 1})}}},
                            {"empty", {0, 3}, {{"shape", list({3, 0})}}},
                            {"same", {5, 33}, {{"shape", list({5, 33})}}}});
       },
       [] {
         return std::vector<ErrorCase>{
             failing("size", {2, 3}, {{"shape", list({4})}}, "ShapeError", {"(2, 3)", "(4)"}),
             failing("two_inferred", {2, 3}, {{"shape", list({-1, -1})}}, "ShapeError", {"-1"}),
             failing("not_divisible", {2, 3}, {{"shape", list({4, -1})}}, "ShapeError",
                     {"(2, 3)", "(4, -1)"}),
             failing("ambiguous", {0, 3}, {{"shape", list({0, -1})}}, "ShapeError",
                     {"(0, 3)", "(0, -1)"}),
             failing("negative", {2, 3}, {{"shape", list({-2, -3})}}, "ShapeError", {"-2"}),
             failing("no_shape", {2, 3}, {}, "ValueError", {"shape"})};
       },
       no_bench_cases,
       {Law::kLinear}});
  return c;
}

const Contract& transpose_contract() {
  static const Contract c = make_contract<View<transpose>>(
      "transpose",
      {[] {
         return view_cases({{"matrix", {9, 33}, {{"dim0", one(0)}, {"dim1", one(1)}}},
                            {"outer", {3, 5, 7}, {{"dim0", one(0)}, {"dim1", one(-1)}}},
                            {"same_dim", {3, 5}, {{"dim0", one(1)}, {"dim1", one(1)}}},
                            {"vector", {31}, {{"dim0", one(0)}, {"dim1", one(0)}}},
                            {"scalar", {}, {{"dim0", one(0)}, {"dim1", one(-1)}}},
                            {"empty", {0, 3}, {{"dim0", one(0)}, {"dim1", one(1)}}}});
       },
       [] {
         return std::vector<ErrorCase>{
             failing("dim0", {2, 3}, {{"dim0", one(2)}, {"dim1", one(0)}}, "IndexError", {"2"}),
             failing("dim1", {2, 3}, {{"dim0", one(0)}, {"dim1", one(-3)}}, "IndexError", {"-3"})};
       },
       no_bench_cases,
       {Law::kLinear}});
  return c;
}

const Contract& permute_contract() {
  static const Contract c = make_contract<View<permute>>(
      "permute",
      {[] {
         return view_cases({{"rotate", {3, 5, 7}, {{"dims", list({2, 0, 1})}}},
                            {"reverse", {2, 3, 4, 5}, {{"dims", list({3, 2, 1, 0})}}},
                            {"negative", {4, 9}, {{"dims", list({-1, -2})}}},
                            {"identity", {4, 9}, {{"dims", list({0, 1})}}},
                            {"scalar", {}, {{"dims", list({})}}},
                            {"empty", {2, 0, 3}, {{"dims", list({1, 2, 0})}}}});
       },
       [] {
         return std::vector<ErrorCase>{
             failing("too_few", {2, 3, 4}, {{"dims", list({0, 1})}}, "ValueError", {"(0, 1)"}),
             failing("twice", {2, 3}, {{"dims", list({0, 0})}}, "ValueError", {"(0, 0)"}),
             failing("range", {2, 3}, {{"dims", list({0, 2})}}, "IndexError", {"2"})};
       },
       no_bench_cases,
       {Law::kLinear}});
  return c;
}

const Contract& expand_contract() {
  static const Contract c = make_contract<View<expand>>(
      "expand",
      {[] {
         return view_cases({{"column", {9, 1}, {{"size", list({9, 33})}}},
                            {"new_dims", {5}, {{"size", list({3, 2, 5})}}},
                            {"keep", {7, 1, 3}, {{"size", list({-1, 4, -1})}}},
                            {"scalar", {}, {{"size", list({3, 4})}}},
                            {"both", {1, 1}, {{"size", list({31, 17})}}},
                            {"to_nothing", {1, 3}, {{"size", list({0, 3})}}},
                            {"unchanged", {2, 3}, {{"size", list({2, 3})}}}});
       },
       [] {
         return std::vector<ErrorCase>{
             failing("size", {2, 3}, {{"size", list({2, 4})}}, "ShapeError", {"(2, 3)", "(2, 4)"}),
             failing("too_few", {2, 3}, {{"size", list({3})}}, "ShapeError", {"(2, 3)", "(3)"}),
             failing("new_minus_one", {3}, {{"size", list({-1, 3})}}, "ShapeError", {"(-1, 3)"})};
       },
       no_bench_cases,
       {Law::kLinear}});
  return c;
}

const Contract& narrow_contract() {
  const static auto attrs = [](std::int64_t dim, std::int64_t start, std::int64_t length) {
    return Attrs{{"dim", dim}, {"start", start}, {"length", length}};
  };
  static const Contract c = make_contract<View<narrow>>(
      "narrow", {[] {
                   return view_cases({{"rows", {9, 31}, attrs(0, 2, 5)},
                                      {"columns", {9, 31}, attrs(-1, 7, 11)},
                                      {"middle", {3, 8, 5}, attrs(1, 3, 5)},
                                      {"from_the_end", {33}, attrs(0, -3, 2)},
                                      {"nothing", {4, 5}, attrs(1, 5, 0)},
                                      {"all", {4, 5}, attrs(0, 0, 4)}});
                 },
                 [] {
                   return std::vector<ErrorCase>{
                       failing("dim", {2, 3}, attrs(2, 0, 1), "IndexError", {"2"}),
                       failing("start", {2, 3}, attrs(1, 4, 0), "IndexError", {"4"}),
                       failing("length", {2, 3}, attrs(1, 1, 3), "IndexError", {"3"}),
                       failing("negative_length", {2, 3}, attrs(1, 1, -1), "ValueError", {"-1"})};
                 },
                 // Forward moves nothing; backward writes zeros around the slice.
                 [] {
                   return std::vector<BenchCase>{
                       {"8192x4096_rows", {normal({8192, 4096})}, attrs(0, 0, 4096)},
                       {"8192x4096_columns", {normal({8192, 4096})}, attrs(1, 0, 2048)}};
                 },
                 {Law::kLinear}});
  return c;
}

const Contract& select_contract() {
  const static auto attrs = [](std::int64_t dim, std::int64_t index) {
    return Attrs{{"dim", dim}, {"index", index}};
  };
  static const Contract c = make_contract<View<select>>(
      "select", {[] {
                   return view_cases({{"row", {9, 31}, attrs(0, 4)},
                                      {"column", {9, 31}, attrs(1, -1)},
                                      {"middle", {3, 8, 5}, attrs(-2, 7)},
                                      {"vector", {33}, attrs(0, 32)},
                                      {"of_empty", {3, 0}, attrs(0, 1)}});
                 },
                 [] {
                   return std::vector<ErrorCase>{
                       failing("dim", {2, 3}, attrs(2, 0), "IndexError", {"2"}),
                       failing("index", {2, 3}, attrs(1, 3), "IndexError", {"3"}),
                       failing("negative", {2, 3}, attrs(0, -3), "IndexError", {"-3"}),
                       failing("scalar", {}, attrs(0, 0), "IndexError", {"0"})};
                 },
                 no_bench_cases,
                 {Law::kLinear}});
  return c;
}

const Contract& squeeze_contract() {
  static const Contract c = make_contract<View<squeeze>>(
      "squeeze",
      {[] {
         return view_cases({{"all", {1, 9, 1, 31}, {}},
                            {"one_dim", {1, 9, 1}, {{"dim", list({0})}}},
                            {"two_dims", {1, 9, 1, 1}, {{"dim", list({-1, 0})}}},
                            {"not_one", {3, 1}, {{"dim", list({0})}}},
                            {"to_scalar", {1, 1}, {}},
                            {"scalar", {}, {{"dim", list({0})}}},
                            {"empty", {0, 1}, {}}});
       },
       [] {
         return std::vector<ErrorCase>{
             failing("dim", {2, 1}, {{"dim", list({2})}}, "IndexError", {"2"}),
             failing("twice", {2, 1}, {{"dim", list({1, -1})}}, "ValueError", {"(1, -1)"})};
       },
       no_bench_cases,
       {Law::kLinear}});
  return c;
}

const Contract& unsqueeze_contract() {
  static const Contract c = make_contract<View<unsqueeze>>(
      "unsqueeze", {[] {
                      return view_cases({{"front", {9, 31}, {{"dim", one(0)}}},
                                         {"middle", {9, 31}, {{"dim", one(1)}}},
                                         {"back", {9, 31}, {{"dim", one(-1)}}},
                                         {"scalar", {}, {{"dim", one(0)}}},
                                         {"empty", {0, 3}, {{"dim", one(-3)}}}});
                    },
                    [] {
                      return std::vector<ErrorCase>{
                          failing("too_large", {2, 3}, {{"dim", one(3)}}, "IndexError", {"3"}),
                          failing("too_small", {2, 3}, {{"dim", one(-4)}}, "IndexError", {"-4"}),
                          failing("nine_dims", {1, 1, 1, 1, 1, 1, 1, 1}, {{"dim", one(0)}},
                                  "ShapeError", {"9"})};
                    },
                    no_bench_cases,
                    {Law::kLinear}});
  return c;
}

}  // namespace flame::reference
