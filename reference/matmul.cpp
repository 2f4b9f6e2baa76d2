// Matrix products by torch.matmul's rules.
#include "lib/core/error.h"
#include "reference/case_builder.h"
#include "reference/evaluate.h"

namespace flame::reference {
namespace {

struct Matmul {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs&) {
    // A vector is a row on the left, a column on the right; its dim then goes away again.
    Shape a = in[0].shape, b = in[1].shape;
    check<ShapeError>(!a.empty() && !b.empty(), "matmul: shapes ", to_string(a), " and ",
                      to_string(b), ": both operands need at least one dim");
    const bool row = a.size() == 1, column = b.size() == 1;
    if (row) a.insert(a.begin(), 1);
    if (column) b.push_back(1);
    const auto m = a[a.size() - 2], k = a.back(), n = b.back();
    check<ShapeError>(k == b[b.size() - 2], "matmul: shapes ", to_string(in[0].shape), " and ",
                      to_string(in[1].shape), " disagree on the inner size");

    const Shape batch_a(a.begin(), a.end() - 2), batch_b(b.begin(), b.end() - 2);
    Shape shape = broadcast("matmul", batch_a, batch_b);
    const auto from_a = broadcast_positions(batch_a, shape);
    const auto from_b = broadcast_positions(batch_b, shape);
    if (!row) shape.push_back(m);
    if (!column) shape.push_back(n);

    const auto um = static_cast<std::size_t>(m), un = static_cast<std::size_t>(n),
               uk = static_cast<std::size_t>(k);
    return {generate<S>(promote(in[0].dtype, in[1].dtype), shape, [&](std::size_t at) {
      const std::size_t j = at % un, i = at / un % um, batch = at / un / um;
      const S* x = in[0].values.data() + (from_a[batch] * um + i) * uk;
      const S* y = in[1].values.data() + from_b[batch] * uk * un + j;
      Sum<S> sum;
      for (std::size_t l = 0; l < uk; ++l) sum.add_product(x[l], y[l * un]);
      return sum.total();
    })};
  }
};

std::vector<Case> matmul_cases() {
  // Halves of the elements just above a power of two: TF32 and bf16 cut the same way every time.
  const double long_bits = 1 + 0x1p-11 + 0x1p-12;
  return {
      {"square", {normal({33, 33}), normal({33, 33})}, {}},
      {"tile_tails", {normal({65, 33}), normal({33, 129})}, {}},
      {"one", {normal({1, 1}), normal({1, 1})}, {}},
      {"thin_k1", {normal({31, 1}), normal({1, 17})}, {}},
      {"vector_vector", {normal({257}), normal({257})}, {}},
      {"matrix_vector", {normal({33, 31}), normal({31})}, {}},
      {"vector_matrix", {normal({31}), normal({31, 33})}, {}},
      {"batch", {normal({3, 7, 9}), normal({3, 9, 8})}, {}},
      {"batch_broadcast", {normal({2, 1, 5, 7}), normal({3, 7, 4})}, {}},
      {"batch_vector", {normal({4, 5, 7}), normal({7})}, {}},
      {"matrix_batch", {normal({5, 7}), normal({3, 7, 4})}, {}},
      {"no_rows", {normal({0, 5}), normal({5, 3})}, {}},
      {"empty_inner", {normal({4, 0}), normal({0, 3})}, {}},
      {"empty_batch", {normal({0, 2, 3}), normal({0, 3, 4})}, {}},
      exactly({"integers", {integers({17, 33}, -9, 9), integers({33, 9}, -9, 9)}, {}}),
      exactly(of_dtypes({"integers_beyond_tf32",
                         {integers({9, 5}, -4095, 4095), integers({5, 8}, -700, 700)},
                         {}},
                        {DType::kFloat32, DType::kFloat64})),
      of_dtypes({"precision",
                 {explicit_values({8, 129}, {long_bits}), explicit_values({129, 8}, {long_bits})},
                 {}},
                {DType::kFloat32, DType::kFloat64}),
      {"one_sign", {uniform({9, 257}, 1, 2), uniform({257, 8}, 1, 2)}, {}},
      only_full({"vector_batch", {normal({7}), normal({3, 7, 4})}, {}}),
      only_full({"scales", {normal({33, 65}, 1000), normal({65, 31}, 0.001)}, {}}),
      only_full({"larger", {normal({127, 65}), normal({65, 119})}, {}}),
      only_full({"long_k", {normal({3, 65537}), normal({65537, 5})}, {}}),
      only_full({"wide", {normal({2, 64}), normal({64, 4097})}, {}}),
      only_full({"many_batches", {normal({255, 8, 16}), normal({255, 16, 8})}, {}}),
      only_full(forward_only({"special_values",
                              {explicit_values({3, 4}, {1, kInf, 2, 3, kNaN, 1, 1, 1, 1, 1, 1, 1}),
                               explicit_values({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8})},
                              {}})),
  };
}

std::vector<ErrorCase> matmul_error_cases() {
  return {{"inner_size", {normal({2, 3}), normal({4, 5})}, {}, "ShapeError", {"(2, 3)", "(4, 5)"}},
          {"vectors", {normal({3}), normal({4})}, {}, "ShapeError", {"(3)", "(4)"}},
          {"batches",
           {normal({2, 3, 4}), normal({3, 4, 5})},
           {},
           "ShapeError",
           {"(2, 3, 4)", "(3, 4, 5)"}},
          {"scalar", {normal({}), normal({3})}, {}, "ShapeError", {"()", "(3)"}},
          {"integer_input",
           {of_dtype(integers({2, 2}, 0, 5), DType::kInt64), normal({2, 2})},
           {},
           "DTypeError",
           {"int64"}}};
}

// Two large ones, and the layers of GPT-2 (8 texts of 1024 tokens, 12 heads) and of DiT-XL/2 (16
// images of 256 tokens, 16 heads of 72; the modulation of 32 images): 16 cases, each three products
// with its gradients.
std::vector<BenchCase> matmul_bench_cases() {
  const auto layer = [](const char* name, std::int64_t rows, std::int64_t inner,
                        std::int64_t columns) {
    return BenchCase{name, {normal({rows, inner}), normal({inner, columns})}, {}};
  };
  const auto batch = [](const char* name, std::int64_t count, std::int64_t rows, std::int64_t inner,
                        std::int64_t columns) {
    return BenchCase{name, {normal({count, rows, inner}), normal({count, inner, columns})}, {}};
  };
  BenchCase transposed = layer("4096x4096x4096_second_transposed", 4096, 4096, 4096);
  transposed.order = {{}, {1, 0}};
  BenchCase keys_transposed = batch("dit_scores", 256, 256, 72, 256);
  keys_transposed.order = {{}, {0, 2, 1}};
  return {layer("4096x4096x4096", 4096, 4096, 4096), transposed,
          layer("gpt2_qkv", 8192, 768, 2304),        layer("gpt2_projection", 8192, 768, 768),
          layer("gpt2_mlp_up", 8192, 768, 3072),     layer("gpt2_mlp_down", 8192, 3072, 768),
          batch("gpt2_scores", 96, 1024, 64, 1024),  batch("gpt2_context", 96, 1024, 1024, 64),
          layer("gpt2_head", 1024, 768, 50304),      layer("dit_qkv", 4096, 1152, 3456),
          layer("dit_projection", 4096, 1152, 1152), layer("dit_mlp_up", 4096, 1152, 4608),
          layer("dit_mlp_down", 4096, 4608, 1152),   keys_transposed,
          batch("dit_context", 256, 256, 256, 72),   layer("dit_modulation", 32, 1152, 6912)};
}

}  // namespace

const Contract& matmul_contract() {
  static const Contract c = make_contract<Matmul>(
      "matmul", {matmul_cases, matmul_error_cases, matmul_bench_cases, {Law::kBilinear}});
  return c;
}

}  // namespace flame::reference
