// Large products, which a GPU tunes, against the oracle: parts of each result from its corners and
// its middle, whose tiles end in different ways. On the simulator the same with smaller sizes.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "bench/judging.h"
#include "conformance/judge/judge.h"
#include "conformance/runner/device_io.h"
#include "flame/flame.h"
#include "lib/ops/ops.h"
#include "reference/contract.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

// In units of 1 on the simulator, of 8 on a GPU, so that there each is 2^28 operations and more.
struct Size {
  std::int64_t batch, m, k, n;
};
constexpr std::array<Size, 7> kSizes{{{1, 512, 96, 96},
                                      {1, 96, 512, 144},
                                      {1, 40, 360, 512},
                                      {1, 160, 145, 32},
                                      {1, 133, 97, 79},
                                      {96, 32, 8, 12},
                                      {12, 40, 90, 33}}};

const reference::HostTensor kNoBias{.shape = {}, .values = {}, .defined = false};

Tensor part(const Tensor& t, std::int64_t dim, int which, std::int64_t most) {
  const std::int64_t size = t.size(dim), length = std::min(size, most);
  return narrow(t, dim, (size - length) * which / 2, length);
}

void check_product(const Tensor& a, const Tensor& b, const Tensor& c, bool tf32) {
  const reference::Contract& contract = reference::find_contract(matmul_def().name);
  constexpr std::array<std::array<int, 3>, 5> kSpots{
      {{0, 0, 0}, {2, 0, 2}, {1, 1, 1}, {2, 2, 0}, {0, 2, 2}}};
  for (const auto& [batch, row, column] : kSpots) {
    const Tensor left = part(part(a, 0, batch, 1), 1, row, 2);
    const Tensor right = part(part(b, 0, batch, 1), 2, column, 8);
    const Tensor out = part(part(part(c, 0, batch, 1), 1, row, 2), 2, column, 8);
    const auto truth = bench::due(
        contract,
        {conformance::download(left.contiguous()), conformance::download(right.contiguous())}, {},
        {}, tf32);
    const conformance::Judgement j =
        conformance::judge("output", conformance::download(out.contiguous()), truth[0]);
    EXPECT_LE(j.r, 1) << to_string(c.shape()) << " from " << to_string(a.shape()) << ' '
                      << name(c.dtype()) << (tf32 ? " TF32" : "") << ": " << j.reason << " at "
                      << j.where << " of part " << batch << ", " << row << ", " << column;
  }
}

class Products : public testing::TestWithParam<std::tuple<DType, bool>> {};

TEST_P(Products, AreRightInEveryLayout) {
  const auto [dtype, tf32] = GetParam();
  const Device device = test::new_device();
  device.set_allow_tf32(tf32);
  const NoGradGuard no_grad;
  const std::int64_t unit = test::on_gpu() ? 8 : 1;
  int number = 0;
  for (const auto& [batch, m, k, n] : kSizes) {
    ++number;
    for (int layout = 0; layout < 4; ++layout) {
      if (number > 3 && layout != number % 4) continue;  // tuning takes its time
      const auto drawn = [&](std::int64_t rows, std::int64_t cols, bool transposed) {
        const Shape shape = transposed ? Shape{batch, cols * unit, rows * unit}
                                       : Shape{batch, rows * unit, cols * unit};
        const Tensor t = randn(shape, {device, dtype});
        return transposed ? transpose(t, 1, 2) : t;
      };
      const Tensor a = drawn(m, k, layout & 1), b = drawn(k, n, layout & 2);
      check_product(a, b, matmul(a, b), tf32);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Products,
                         testing::Values(std::tuple{DType::kFloat32, false},
                                         std::tuple{DType::kFloat32, true},
                                         std::tuple{DType::kBFloat16, false}));

// One with groups, one so large that a GPU tunes its product.
struct Geometry {
  Shape input, weight;
  std::int64_t stride, padding, dilation, groups;
};

TEST(Convolutions, InTf32AreRight) {
  const Device device = test::new_device();
  device.set_allow_tf32(true);
  const NoGradGuard no_grad;
  const reference::Contract& contract = reference::find_contract(conv2d_def().name);
  for (const Geometry& g : {Geometry{{2, 32, 16, 16}, {256, 32, 3, 3}, 1, 1, 1, 1},
                            Geometry{{1, 37, 33, 35}, {257, 37, 3, 3}, 2, 1, 1, 1},
                            Geometry{{1, 33, 4, 70}, {256, 33, 3, 3}, 1, 1, 1, 1},
                            Geometry{{2, 66, 17, 19}, {512, 33, 3, 3}, 1, 2, 2, 2},
                            Geometry{{1, 13, 20, 20}, {256, 13, 5, 5}, 1, 2, 1, 1},
                            Geometry{{2, 64, 32, 32}, {320, 64, 3, 3}, 1, 1, 1, 1}}) {
    if (g.weight[0] == 320 && !test::on_gpu()) continue;  // too large
    const Tensor x = randn(g.input, {device, DType::kFloat32});
    const Tensor w = randn(g.weight, {device, DType::kFloat32});
    const Tensor y = conv2d(x, w, {}, {g.stride}, {g.padding}, {g.dilation}, g.groups);
    // A few outputs of each group; they see nothing of the others' weights.
    const std::int64_t each = g.weight[0] / g.groups, channels = g.weight[1];
    for (std::int64_t group = 0; group < g.groups; ++group) {
      const Attrs attrs{{"stride", IntList{g.stride}},
                        {"padding", IntList{g.padding}},
                        {"dilation", IntList{g.dilation}},
                        {"groups", std::int64_t{1}}};
      const Tensor seen = narrow(x, 1, group * channels, channels).contiguous();
      const Tensor rows = narrow(w, 0, (group + 1) * each - 3, 3).contiguous();
      const Tensor out = narrow(y, 1, (group + 1) * each - 3, 3).contiguous();
      const auto truth =
          bench::due(contract, {conformance::download(seen), conformance::download(rows), kNoBias},
                     attrs, {}, true);
      const conformance::Judgement j =
          conformance::judge("output", conformance::download(out), truth[0]);
      EXPECT_LE(j.r, 1) << to_string(g.input) << ' ' << to_string(g.weight) << ": " << j.reason
                        << " at " << j.where;
    }
  }
}

TEST(Convolutions, InTf32HaveRightGradients) {
  const Device device = test::new_device();
  device.set_allow_tf32(true);
  Tensor x = randn({1, 256, 16, 16}, {device, DType::kFloat32});
  const Tensor w = randn({32, 256, 3, 3}, {device, DType::kFloat32});
  x.set_requires_grad();
  const Tensor y = conv2d(x, w, {}, {1}, {1}, {1}, 1);
  const Tensor g = randn(y.shape(), {device, DType::kFloat32});
  y.backward(g);
  // The gradient of some input channels is that of a convolution with no others.
  const NoGradGuard no_grad;
  const Attrs attrs{{"stride", IntList{1}},
                    {"padding", IntList{1}},
                    {"dilation", IntList{1}},
                    {"groups", std::int64_t{1}}};
  for (std::int64_t first : {0, 100, 253}) {
    const auto some = [&](const Tensor& t) {
      return conformance::download(narrow(t, 1, first, 3).contiguous());
    };
    const auto truth =
        bench::due(reference::find_contract(conv2d_def().name),
                   {some(x.detach()), some(w), kNoBias}, attrs, {conformance::download(g)}, true);
    const conformance::Judgement j = conformance::judge("grad", some(x.grad()), truth[0]);
    EXPECT_LE(j.r, 1) << j.reason << " at " << j.where << " of channels from " << first;
  }
}

}  // namespace
}  // namespace flame
