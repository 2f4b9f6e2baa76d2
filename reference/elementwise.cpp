#include "reference/elementwise.h"

namespace flame::reference {

std::vector<Case> unary_cases(const UnaryDomain& d) {
  const auto input = [&](Shape shape) {
    return d.kink_at_zero ? away_from_zero(std::move(shape), 0.0625, d.b)
                          : uniform(std::move(shape), d.a, d.b);
  };
  const std::vector<Attrs> variants = d.variants.empty() ? std::vector<Attrs>{{}} : d.variants;
  std::vector<Case> cases;
  for (std::size_t v = 0; v < variants.size(); ++v) {
    const std::string suffix = v == 0 ? "" : "_" + std::to_string(v);
    const auto add = [&](const char* name, InputSpec in) -> Case& {
      return cases.emplace_back(Case{name + suffix, {std::move(in)}, variants[v]});
    };
    add("block_tail", input({1025}));
    add("matrix", input({7, 33}));
    if (!d.special.empty()) add("special_values", listed(d.special)).differentiable = false;
    if (!d.kinks.empty()) {
      Case& c = add("kinks", listed(d.kinks));
      c.differentiable = false;
      c.pinned_gradient = true;
    }
    add("large", input({262147})).quick = false;
    if (v > 0) continue;
    add("scalar", input({}));
    add("one", input({1}));
    add("empty", input({0}));
    add("empty_3d", input({2, 0, 3}));
    add("vector_tail", input({9}));
    add("warp_tail", input({31}));
    add("four_dims", input({2, 3, 5, 7}));
    add("block", input({256})).quick = false;
    add("prime", input({8191})).quick = false;
  }
  return cases;
}

std::vector<ErrorCase> unary_error_cases() {
  return {{"integer_input",
           {of_dtype(integers({3}, 0, 5), DType::kInt64)},
           {},
           "DTypeError",
           {"int64"}},
          {"bool_input", {mask({3})}, {}, "DTypeError", {"bool"}}};
}

std::vector<BenchCase> unary_bench_cases() {
  return {{"16777216", {normal({16777216})}, {}}, {"8192x8192", {normal({8192, 8192})}, {}}};
}

std::vector<ShapePair> broadcast_shapes() {
  return {
      {"same", {1025}, {1025}},
      {"matrix_row", {9, 33}, {33}},
      {"matrix_column", {33, 31}, {33, 1}},
      {"rows_of_vectors", {24, 264}, {264}},
      {"columns_of_vectors", {24, 264}, {24, 1}},
      {"vectors_left", {48}, {2, 5, 48}},
      {"vectors_middle", {3, 5, 32}, {5, 1}},
      {"outer", {7, 1}, {1, 129}},
      {"inner_ones", {3, 1, 5}, {4, 1}},
      {"scalar_right", {257}, {}},
      {"scalar_left", {}, {2, 3, 4}},
      {"scalars", {}, {}},
      {"empty", {0, 3}, {1, 3}},
      {"four_dims", {2, 3, 1, 5}, {3, 7, 1}, false},
      {"eight_dims", {2, 1, 2, 1, 2, 1, 2, 1}, {1, 2, 1, 2, 1, 2, 1, 3}, false},
      {"long_reduction", {1}, {65537}, false},
      {"vectors_long_column", {8209, 16}, {16}, false},
      {"large", {512, 257}, {512, 257}, false},
  };
}

}  // namespace flame::reference
