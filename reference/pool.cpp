// Max pooling over two spatial dims.
#include "reference/case_builder.h"
#include "reference/evaluate.h"
#include "reference/reductions.h"
#include "reference/window.h"

namespace flame::reference {
namespace {

struct MaxPool2d {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const Planes planes(in[0].shape);
    const IntList kernel = attrs.get_ints("kernel_size", 2);
    const Window window = window_of(planes, kernel, attrs, kernel);
    const Shape shape = planes.with(planes.channels, window.out_height, window.out_width);
    const std::int64_t area = window.out_height * window.out_width;
    std::vector<S> terms;
    return {generate<S>(in[0].dtype, shape, [&](std::size_t index) {
      const auto at = static_cast<std::int64_t>(index);
      const std::int64_t c = at / area % planes.channels, n = at / area / planes.channels;
      // Padding counts as -inf: it is never chosen, and every window touches the input.
      terms.clear();
      for_each_tap(window, planes, at % area, [&](std::int64_t y, std::int64_t x, std::int64_t) {
        terms.push_back(in[0].values[planes.at(n, c, y, x)]);
      });
      return terms.empty() ? S(-std::numeric_limits<double>::infinity())
                           : terms[first_max<S>(terms)];
    })};
  }
};

IntList pair(std::int64_t a, std::int64_t b) { return {a, b}; }

Case pool(const char* name, Shape input, Attrs attrs, bool quick = true) {
  return exactly({name, {distinct(std::move(input), -4, 4)}, std::move(attrs), quick});
}

std::vector<Case> pool_cases() {
  const AttrValue two = std::int64_t{2}, three = std::int64_t{3}, one = std::int64_t{1};
  return {
      pool("plain", {2, 3, 8, 10}, {{"kernel_size", two}}),
      pool("tails", {1, 3, 9, 11}, {{"kernel_size", two}}),
      pool("overlapping", {2, 2, 9, 7}, {{"kernel_size", three}, {"stride", one}}),
      pool("resnet_stem", {1, 4, 11, 9},
           {{"kernel_size", three}, {"stride", two}, {"padding", one}}),
      pool("rectangular", {1, 2, 9, 13},
           {{"kernel_size", pair(3, 2)}, {"stride", pair(2, 3)}, {"padding", pair(1, 0)}}),
      pool("dilation", {1, 2, 11, 9},
           {{"kernel_size", pair(3, 2)}, {"stride", one}, {"dilation", pair(2, 3)}}),
      pool("ceil_mode", {1, 3, 8, 7},
           {{"kernel_size", three}, {"stride", two}, {"ceil_mode", true}}),
      pool("ceil_mode_padding", {1, 2, 6, 9},
           {{"kernel_size", two}, {"stride", three}, {"padding", one}, {"ceil_mode", true}}),
      pool("gaps", {1, 2, 9, 9}, {{"kernel_size", two}, {"stride", three}}),
      pool("no_batch", {3, 7, 6}, {{"kernel_size", two}}),
      pool("one_by_one", {2, 3, 5, 5}, {{"kernel_size", one}}),
      pool("whole_input", {2, 3, 5, 7}, {{"kernel_size", pair(5, 7)}}),
      pool("empty_batch", {0, 3, 5, 5}, {{"kernel_size", two}}),
      pinned(exactly({"ties",
                      {integers({2, 3, 9, 8}, 0, 2)},
                      {{"kernel_size", three}, {"stride", two}, {"padding", one}}})),
      pinned(exactly({"all_equal",
                      {explicit_values({1, 2, 6, 6}, {-1})},
                      {{"kernel_size", three}, {"stride", one}, {"padding", one}}})),
      exactly(
          forward_only({"special_values",
                        {explicit_values({1, 1, 4, 8}, {1, kNaN, 2, 3, -kInf, -kInf, kInf, 0, kNaN,
                                                        1, 0, 6e-8, -kInf, -kInf, 1, -0.0})},
                        {{"kernel_size", two}}})),
      // The gradient goes to the first NaN, and to the first of equals though one be -0.
      pinned(exactly(
          {"nan_and_zeros",
           {explicit_values({2, 1, 8, 16}, {-0.0, kNaN, 0, -1, 0, -0.0, kNaN, -2, -0.0, 0, -kInf})},
           {{"kernel_size", three}, {"stride", two}, {"padding", one}}})),
      pool("negative_borders", {1, 1, 33, 31},
           {{"kernel_size", three}, {"stride", two}, {"padding", one}}, false),
      pool("many_planes", {5, 67, 6, 6}, {{"kernel_size", two}}, false),
      pool("large", {1, 3, 97, 101}, {{"kernel_size", three}, {"stride", two}, {"padding", one}},
           false),
      // Rows of whole vectors and several strips of them: the kernels for common networks.
      pool("strips", {3, 5, 18, 40}, {{"kernel_size", three}, {"stride", two}, {"padding", one}}),
      pool("strips_odd", {2, 3, 19, 24},
           {{"kernel_size", three}, {"stride", two}, {"padding", one}}, false),
      pool("strips_of_two", {3, 5, 19, 40}, {{"kernel_size", two}}),
      pool("strips_ceil", {2, 2, 19, 24}, {{"kernel_size", two}, {"ceil_mode", true}}, false),
      pool("everything", {2, 3, 23, 29},
           {{"kernel_size", pair(4, 3)},
            {"stride", pair(3, 2)},
            {"padding", pair(2, 1)},
            {"dilation", pair(2, 2)},
            {"ceil_mode", true}},
           false),
  };
}

std::vector<ErrorCase> pool_error_cases() {
  const AttrValue two = std::int64_t{2};
  const InputSpec image = normal({1, 2, 5, 5});
  return {
      {"dims", {normal({5, 5})}, {{"kernel_size", two}}, "ShapeError", {"(5, 5)"}},
      {"no_kernel_size", {image}, {}, "ValueError", {"kernel_size"}},
      {"kernel_size", {image}, {{"kernel_size", pair(0, 2)}}, "ValueError", {"kernel_size"}},
      {"stride",
       {image},
       {{"kernel_size", two}, {"stride", pair(-1, 1)}},
       "ValueError",
       {"stride"}},
      {"padding_negative",
       {image},
       {{"kernel_size", two}, {"padding", pair(-1, 0)}},
       "ValueError",
       {"padding"}},
      // More than half a window of padding would make windows without any input.
      {"padding_too_large",
       {image},
       {{"kernel_size", two}, {"padding", pair(2, 0)}},
       "ValueError",
       {"padding", "2"}},
      {"dilation",
       {image},
       {{"kernel_size", two}, {"dilation", pair(0, 1)}},
       "ValueError",
       {"dilation"}},
      {"window_too_large", {image}, {{"kernel_size", pair(7, 2)}}, "ShapeError", {"(1, 2, 5, 5)"}},
      {"integer_input",
       {of_dtype(integers({1, 1, 4, 4}, 0, 9), DType::kInt64)},
       {{"kernel_size", two}},
       "DTypeError",
       {"int64"}},
  };
}

std::vector<BenchCase> pool_bench_cases() {
  return {{"64x256x56x56_k3_s2",
           {normal({64, 256, 56, 56})},
           {{"kernel_size", pair(3, 3)}, {"stride", pair(2, 2)}, {"padding", pair(1, 1)}}},
          {"64x256x56x56_k2",
           {normal({64, 256, 56, 56})},
           {{"kernel_size", pair(2, 2)}, {"stride", pair(2, 2)}}}};
}

}  // namespace

const Contract& max_pool2d_contract() {
  static const Contract c = make_contract<MaxPool2d>(
      "max_pool2d", {pool_cases, pool_error_cases, pool_bench_cases, {Law::kBatchIsConcatenation}});
  return c;
}

}  // namespace flame::reference
