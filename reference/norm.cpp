// Normalisation over trailing dims.
#include "lib/core/error.h"
#include "reference/case_builder.h"
#include "reference/evaluate.h"
#include "reference/reductions.h"

namespace flame::reference {
namespace {

struct LayerNorm {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const Shape normalized = attrs.get_ints("normalized_shape");
    const auto length = static_cast<std::size_t>(numel(normalized));
    const S eps = number<S>(number_or(attrs, "eps", 1e-5), in[0].dtype);
    Array<S> out = in[0];
    for (std::size_t start = 0; start + length <= out.size() && length > 0; start += length) {
      const std::span<S> row(out.values.data() + start, length);
      const S mean = mean_of<S>(row);
      std::vector<S> squares;
      for (S& x : row) {
        x = x - mean;
        squares.push_back(x * x);
      }
      const S scale = rsqrt(mean_of<S>(squares) + eps);
      for (std::size_t j = 0; j < length; ++j) {
        row[j] = row[j] * scale;
        if (in[1].defined) row[j] = row[j] * in[1].values[j];
        if (in[2].defined) row[j] = row[j] + in[2].values[j];
      }
    }
    return {std::move(out)};
  }
};

std::vector<Case> layer_norm_cases() {
  const auto affine = [](const char* name, InputSpec in, Shape s, bool quick = true) {
    return Case{name, {std::move(in), normal(s), normal(s)}, {{"normalized_shape", s}}, quick};
  };
  const auto bare = [](const char* name, InputSpec in, Shape s, bool quick = true) {
    return Case{name, {std::move(in), absent(), absent()}, {{"normalized_shape", s}}, quick};
  };
  return {
      affine("warp_tail", normal({9, 31}), {31}),
      affine("warp_plus_one", normal({7, 33}), {33}),
      affine("block", normal({3, 1024}), {1024}),
      affine("longer_than_block", normal({1, 4097}), {4097}),
      bare("plain", normal({5, 65}), {65}),
      affine("two_dims", normal({3, 4, 5, 6}), {5, 6}),
      bare("all_dims", normal({7, 9}), {7, 9}),
      affine("row_of_one", normal({5, 1}), {1}),
      affine("no_rows", normal({0, 5}), {5}),
      {"weight_only",
       {normal({4, 17}), normal({17}), absent()},
       {{"normalized_shape", IntList{17}}}},
      {"eps",
       {normal({4, 33}, 0.01), normal({33}), normal({33})},
       {{"normalized_shape", IntList{33}}, {"eps", 1e-3}}},
      affine("offset", normal({5, 64}, 1, 10), {64}),
      // Without eps these rows would divide 0 by 0.
      affine("constant_rows", explicit_values({3, 32}, {2}), {32}),
      {"bias_only",
       {normal({4, 17}), absent(), normal({17})},
       {{"normalized_shape", IntList{17}}},
       false},
      affine("eight", normal({33, 8}), {8}, false),
      affine("many_rows", normal({1025, 33}), {33}, false),
      affine("longest", normal({2, 65537}), {65537}, false),
      affine("four_dims", normal({3, 5, 7, 9}), {7, 9}, false),
      forward_only(bare("special_values",
                        explicit_values({3, 4}, {1, kInf, 2, 3, kNaN, 1, 2, 3, -kInf, kInf, 0, 1}),
                        {4})),
  };
}

std::vector<ErrorCase> layer_norm_error_cases() {
  const auto shape = [](Shape s) { return Attrs{{"normalized_shape", std::move(s)}}; };
  return {{"normalized_shape",
           {normal({2, 3}), absent(), absent()},
           shape({4}),
           "ShapeError",
           {"(2, 3)", "(4)"}},
          {"too_many_dims",
           {normal({3}), absent(), absent()},
           shape({2, 3}),
           "ShapeError",
           {"(3)", "(2, 3)"}},
          {"weight_shape",
           {normal({2, 3}), normal({2}), absent()},
           shape({3}),
           "ShapeError",
           {"(2)", "(3)"}},
          {"bias_shape",
           {normal({2, 3}), normal({3}), normal({3, 1})},
           shape({3}),
           "ShapeError",
           {"(3, 1)", "(3)"}},
          {"no_normalized_shape",
           {normal({2, 3}), absent(), absent()},
           {},
           "ValueError",
           {"normalized_shape"}},
          {"empty_normalized_shape",
           {normal({2, 3}), absent(), absent()},
           shape({}),
           "ShapeError",
           {"normalized_shape"}}};
}

std::vector<BenchCase> layer_norm_bench_cases() {
  return {{"16384x4096",
           {normal({16384, 4096}), normal({4096}), normal({4096})},
           {{"normalized_shape", IntList{4096}}}},
          {"65536x768",
           {normal({65536, 768}), normal({768}), normal({768})},
           {{"normalized_shape", IntList{768}}}}};
}

}  // namespace

const Contract& layer_norm_contract() {
  static const Contract c = make_contract<LayerNorm>("layer_norm", {layer_norm_cases,
                                                                    layer_norm_error_cases,
                                                                    layer_norm_bench_cases,
                                                                    {Law::kBatchIsConcatenation}});
  return c;
}

}  // namespace flame::reference
