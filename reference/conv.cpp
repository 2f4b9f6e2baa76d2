// Convolution (cross-correlation) over two spatial dims.
#include "reference/case_builder.h"
#include "reference/evaluate.h"
#include "reference/window.h"

namespace flame::reference {
namespace {

struct Conv2d {
  template <class S>
  static Arrays<S> forward(ArraySpan<S> in, const Attrs& attrs) {
    const Array<S>& weight = in[1];
    const Planes planes(in[0].shape);
    const IntList kernel = {weight.shape[2], weight.shape[3]};
    const Window window = window_of(planes, kernel, attrs, {1});
    const std::int64_t groups = int_or(attrs, "groups", 1);
    const std::int64_t outputs = weight.shape[0], depth = weight.shape[1];

    const Shape shape = planes.with(outputs, window.out_height, window.out_width);
    const std::int64_t area = window.out_height * window.out_width;
    return {generate<S>(in[0].dtype, shape, [&](std::size_t index) {
      const auto at = static_cast<std::int64_t>(index);
      const std::int64_t pixel = at % area, o = at / area % outputs, n = at / area / outputs;
      const std::int64_t first = o / (outputs / groups) * depth;  // first channel of the group
      Sum<S> sum;
      for (std::int64_t c = 0; c < depth; ++c)
        for_each_tap(window, planes, pixel, [&](std::int64_t y, std::int64_t x, std::int64_t tap) {
          sum.add_product(
              in[0].values[planes.at(n, first + c, y, x)],
              weight
                  .values[static_cast<std::size_t>((o * depth + c) * kernel[0] * kernel[1] + tap)]);
        });
      const S product = sum.total();
      return in[2].defined ? product + in[2].values[static_cast<std::size_t>(o)] : product;
    })};
  }
};

// A situation: the attributes that differ from the defaults, and three shapes.
Case conv(const char* name, Shape input, Shape weight, Attrs attrs = {}, bool bias = true,
          bool quick = true) {
  const Shape outputs = {weight[0]};
  return {name,
          {normal(std::move(input)), normal(std::move(weight)), bias ? normal(outputs) : absent()},
          std::move(attrs),
          quick};
}

IntList pair(std::int64_t a, std::int64_t b) { return {a, b}; }

Case depthwise(const char* name, Shape input, std::int64_t kernel, std::int64_t stride,
               bool quick = true) {
  const std::int64_t channels = input[1];
  return conv(name, std::move(input), {channels, 1, kernel, kernel},
              {{"groups", channels},
               {"padding", pair(kernel / 2, kernel / 2)},
               {"stride", pair(stride, stride)}},
              true, quick);
}

std::vector<Case> conv_cases() {
  return {
      conv("plain", {2, 3, 7, 9}, {4, 3, 3, 3}),
      conv("no_bias", {1, 2, 6, 5}, {3, 2, 3, 2}, {}, false),
      conv("same_padding", {2, 3, 8, 8}, {5, 3, 3, 3}, {{"padding", pair(1, 1)}}),
      conv("stride", {1, 3, 9, 11}, {4, 3, 3, 3},
           {{"stride", pair(2, 3)}, {"padding", pair(1, 0)}}),
      conv("dilation", {1, 2, 11, 9}, {3, 2, 3, 3},
           {{"dilation", pair(2, 1)}, {"padding", pair(2, 1)}}),
      conv("groups", {2, 4, 5, 5}, {6, 2, 3, 3}, {{"groups", std::int64_t{2}}}),
      conv("depthwise", {1, 5, 6, 7}, {5, 1, 3, 3},
           {{"groups", std::int64_t{5}}, {"padding", pair(1, 1)}}),
      // Whole pieces of rows, several strips of them: the kernels for common networks.
      depthwise("depthwise_rows", {3, 5, 9, 12}, 3, 1),
      depthwise("depthwise_rows_stride", {2, 3, 9, 12}, 3, 2),
      depthwise("depthwise_rows_of_pairs", {2, 4, 8, 14}, 3, 1),
      depthwise("depthwise_rows_5", {2, 3, 6, 8}, 5, 1),
      depthwise("depthwise_rows_pairs_stride", {2, 3, 7, 6}, 3, 2, false),
      depthwise("depthwise_rows_5_stride", {2, 3, 9, 8}, 5, 2, false),
      depthwise("depthwise_rows_long", {3, 2, 36, 132}, 3, 1, false),
      depthwise("depthwise_rows_7", {2, 2, 9, 8}, 7, 1),
      depthwise("depthwise_rows_7_stride", {1, 2, 9, 8}, 7, 2, false),
      depthwise("depthwise_rows_many", {20, 3, 7, 4}, 3, 1),
      depthwise("depthwise_rows_blocks", {5, 11, 28, 28}, 3, 1, false),
      conv("one_by_one", {2, 7, 5, 3}, {9, 7, 1, 1}),
      conv("one_by_one_stride", {1, 3, 5, 5}, {2, 3, 1, 1}, {{"stride", pair(2, 2)}}),
      conv("no_batch", {3, 6, 6}, {2, 3, 3, 3}),
      conv("whole_input", {2, 3, 4, 5}, {4, 3, 4, 5}),
      conv("empty_batch", {0, 2, 5, 5}, {3, 2, 3, 3}),
      conv("int_attributes", {1, 2, 8, 8}, {3, 2, 3, 3},
           {{"stride", std::int64_t{2}}, {"padding", std::int64_t{1}}}, true, false),
      exactly({"integers",
               {integers({2, 3, 6, 6}, -5, 5), integers({4, 3, 3, 3}, -5, 5), integers({4}, -9, 9)},
               {{"padding", pair(1, 1)}}}),
      of_dtypes({"precision",
                 {explicit_values({1, 4, 6, 6}, {1 + 0x1p-11 + 0x1p-12}),
                  explicit_values({2, 4, 3, 3}, {1 + 0x1p-11 + 0x1p-12}), absent()},
                 {}},
                {DType::kFloat32, DType::kFloat64}),
      conv("wide_padding", {1, 1, 3, 3}, {1, 1, 3, 3}, {{"padding", pair(3, 4)}}, true, false),
      conv("more", {2, 8, 17, 19}, {16, 8, 3, 3}, {{"padding", pair(1, 1)}}, true, false),
      conv("many_channels", {1, 64, 9, 7}, {33, 64, 3, 3}, {{"padding", pair(1, 1)}}, false, false),
      conv("many_outputs", {3, 2, 4, 4}, {33, 2, 3, 3}, {{"padding", pair(1, 1)}}),
      conv("rows_of_vectors", {1, 34, 3, 24}, {66, 34, 3, 3}, {{"padding", pair(1, 1)}}, false,
           false),
      conv("stem", {1, 3, 33, 33}, {16, 3, 7, 7}, {{"stride", pair(2, 2)}, {"padding", pair(3, 3)}},
           true, false),
      conv("everything", {2, 6, 13, 11}, {9, 2, 3, 2},
           {{"stride", pair(2, 1)},
            {"padding", pair(1, 2)},
            {"dilation", pair(2, 3)},
            {"groups", std::int64_t{3}}},
           true, false),
      // The bias cancels the product but for a small rest: a product that is rounded before the
      // bias is added to it loses that rest.
      {"cancelling_bias",
       {uniform({1, 2, 8, 8}, 0.9, 1.1), uniform({4, 2, 4, 4}, 0.9, 1.1),
        uniform({4}, -32.5, -31.5)},
       {{"stride", pair(2, 2)}}},
      {"cancelling_bias_one_by_one",
       {uniform({2, 40, 8, 8}, 0.9, 1.1), uniform({8, 40, 1, 1}, 0.9, 1.1),
        uniform({8}, -40.5, -39.5)}},
      conv("many_images", {33, 2, 6, 6}, {4, 2, 3, 3}, {}, true, false),
  };
}

std::vector<ErrorCase> conv_error_cases() {
  const auto call = [](const char* name, Shape input, Shape weight, InputSpec bias, Attrs attrs,
                       const char* error, std::vector<std::string> mentions) {
    return ErrorCase{name,
                     {normal(std::move(input)), normal(std::move(weight)), std::move(bias)},
                     std::move(attrs),
                     error,
                     std::move(mentions)};
  };
  return {
      call("channels", {1, 3, 5, 5}, {2, 4, 3, 3}, absent(), {}, "ShapeError",
           {"(1, 3, 5, 5)", "(2, 4, 3, 3)"}),
      call("input_dims", {5, 5}, {2, 4, 3, 3}, absent(), {}, "ShapeError", {"(5, 5)"}),
      call("weight_dims", {1, 4, 5, 5}, {2, 4, 3}, absent(), {}, "ShapeError", {"(2, 4, 3)"}),
      call("bias_shape", {1, 3, 5, 5}, {2, 3, 3, 3}, normal({3}), {}, "ShapeError", {"(3)"}),
      call("kernel_too_large", {1, 3, 2, 5}, {2, 3, 3, 3}, absent(), {}, "ShapeError",
           {"kernel", "3", "2"}),
      call("stride", {1, 3, 5, 5}, {2, 3, 3, 3}, absent(), {{"stride", pair(0, 1)}}, "ValueError",
           {"stride"}),
      call("padding", {1, 3, 5, 5}, {2, 3, 3, 3}, absent(), {{"padding", pair(-1, 0)}},
           "ValueError", {"padding"}),
      call("dilation", {1, 3, 5, 5}, {2, 3, 3, 3}, absent(), {{"dilation", pair(0, 1)}},
           "ValueError", {"dilation"}),
      call("groups", {1, 3, 5, 5}, {2, 3, 3, 3}, absent(), {{"groups", std::int64_t{0}}},
           "ValueError", {"groups"}),
      call("groups_do_not_divide", {1, 4, 5, 5}, {3, 2, 3, 3}, absent(),
           {{"groups", std::int64_t{2}}}, "ShapeError", {"groups"}),
      call("three_strides", {1, 3, 5, 5}, {2, 3, 3, 3}, absent(), {{"stride", IntList{1, 1, 1}}},
           "ValueError", {"stride"}),
  };
}

std::vector<BenchCase> conv_bench_cases() {
  const auto bench = [](const char* name, Shape input, Shape weight, std::int64_t stride,
                        std::int64_t padding, std::int64_t groups = 1) {
    return BenchCase{name,
                     {normal(std::move(input)), normal(std::move(weight)), absent()},
                     {{"stride", pair(stride, stride)},
                      {"padding", pair(padding, padding)},
                      {"groups", groups}}};
  };
  return {bench("8x320x64x64_k3", {8, 320, 64, 64}, {320, 320, 3, 3}, 1, 1),
          bench("8x640x32x32_k3", {8, 640, 32, 32}, {640, 640, 3, 3}, 1, 1),
          bench("8x1280x16x16_k3", {8, 1280, 16, 16}, {1280, 1280, 3, 3}, 1, 1),
          bench("64x3x224x224_k7_s2", {64, 3, 224, 224}, {64, 3, 7, 7}, 2, 3),
          bench("64x64x56x56_k1", {64, 64, 56, 56}, {256, 64, 1, 1}, 1, 0),
          bench("64x256x28x28_k3_depthwise", {64, 256, 28, 28}, {256, 1, 3, 3}, 1, 1, 256)};
}

}  // namespace

const Contract& conv2d_contract() {
  static const Contract c =
      make_contract<Conv2d>("conv2d", {conv_cases,
                                       conv_error_cases,
                                       conv_bench_cases,
                                       {Law::kBilinear, Law::kBatchIsConcatenation}});
  return c;
}

}  // namespace flame::reference
