// Joining tensors.
#include "lib/core/error.h"
#include "reference/case_builder.h"
#include "reference/evaluate.h"

namespace flame::reference {
namespace {

struct Cat {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    check<ValueError>(!in.empty(), "cat: no tensors");
    const auto dim =
        static_cast<std::size_t>(normalize_dim("cat", int_or(attrs, "dim", 0), in[0].shape.size()));
    Shape shape = in[0].shape;
    shape[dim] = 0;
    DType dtype = in[0].dtype;
    for (const Array<S>& a : in) {
      shape[dim] += a.shape[dim];
      if (is_floating(dtype)) dtype = promote(dtype, a.dtype);
    }
    Array<S> out{dtype, shape, std::vector<S>(static_cast<std::size_t>(numel(shape)))};
    const Strides strides = contiguous_strides(shape);
    std::size_t offset = 0;
    for (const Array<S>& a : in) {
      const auto to = positions(a.shape, strides, offset);
      for (std::size_t i = 0; i < a.size(); ++i) out.values[to[i]] = a.values[i];
      offset += static_cast<std::size_t>(a.shape[dim] * strides[dim]);
    }
    return {std::move(out)};
  }
};

std::vector<InputSpec> all(std::vector<Shape> shapes) {
  std::vector<InputSpec> specs;
  for (Shape& s : shapes) specs.push_back(normal(std::move(s)));
  return specs;
}

std::vector<Case> cat_cases() {
  const auto join = [](const char* name, std::vector<Shape> shapes, std::int64_t dim,
                       bool quick = true) {
    return exactly({name, all(std::move(shapes)), {{"dim", dim}}, quick});
  };
  return {
      exactly({"default_dim", all({{3, 5}, {4, 5}}), {}}),
      join("last_dim", {{9, 31}, {9, 2}, {9, 33}}, -1),
      join("middle_dim", {{3, 5, 7}, {3, 1, 7}}, 1),
      join("vectors", {{257}, {1}, {129}}, 0),
      join("one_tensor", {{5, 7}}, 0),
      join("some_empty", {{3, 5}, {0, 5}, {2, 5}}, 0),
      join("all_empty", {{0, 5}, {0, 5}}, 0),
      join("five_tensors", {{2, 3}, {2, 4}, {2, 1}, {2, 8}, {2, 16}}, 1),
      join("four_dims", {{2, 3, 4, 5}, {2, 3, 6, 5}}, 2),
      exactly(forward_only({"special_values",
                            {listed({kNaN, kInf, -0.0}), listed({-kInf, 6e-8, 1e-40, 3e38})},
                            {{"dim", std::int64_t{0}}}})),
      join("many_tensors", std::vector<Shape>(67, Shape{3, 5}), 1, false),
      join("large", {{1025, 65}, {1025, 33}}, 1, false),
      join("long", {{65537}, {65536}}, 0, false),
  };
}

std::vector<ErrorCase> cat_error_cases() {
  return {{"sizes",
           all({{2, 3}, {2, 4}}),
           {{"dim", std::int64_t{0}}},
           "ShapeError",
           {"(2, 3)", "(2, 4)"}},
          {"ranks",
           all({{2, 3}, {2, 3, 1}}),
           {{"dim", std::int64_t{0}}},
           "ShapeError",
           {"(2, 3)", "(2, 3, 1)"}},
          {"dim", all({{2, 3}, {2, 3}}), {{"dim", std::int64_t{2}}}, "IndexError", {"2"}},
          {"scalars", all({{}, {}}), {{"dim", std::int64_t{0}}}, "ShapeError", {"dim"}},
          {"none", {}, {}, "ValueError", {"tensors"}}};
}

std::vector<BenchCase> cat_bench_cases() {
  return {
      {"2_of_4096x4096_rows", all({{4096, 4096}, {4096, 4096}}), {{"dim", std::int64_t{0}}}},
      {"2_of_4096x4096_columns", all({{4096, 4096}, {4096, 4096}}), {{"dim", std::int64_t{1}}}},
      {"64_of_512x512", all(std::vector<Shape>(64, Shape{512, 512})), {{"dim", std::int64_t{0}}}}};
}

}  // namespace

const Contract& cat_contract() {
  static const Contract c =
      make_contract<Cat>("cat", {cat_cases, cat_error_cases, cat_bench_cases, {Law::kLinear}});
  return c;
}

}  // namespace flame::reference
