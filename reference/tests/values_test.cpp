// Values against published tables and hand calculations, and the functions' rounding model.
#include <gtest/gtest.h>

#include "reference/philox.h"
#include "reference/scalar/bounded.h"
#include "reference/tests/support.h"

namespace flame::reference {
namespace {

std::vector<double> forward(const char* op, const std::vector<HostTensor>& in, const Attrs& attrs) {
  std::vector<double> out;
  const std::vector<BoundTensor> tensors = find_contract(op).forward(in, attrs);
  for (const Bound& b : tensors[0].values) out.push_back(static_cast<double>(b.value));
  return out;
}

HostTensor vec(std::vector<double> v) {
  const auto n = static_cast<std::int64_t>(v.size());
  return {DType::kFloat64, {n}, std::move(v)};
}

// Abramowitz & Stegun 1964, table 7.1.
TEST(Values, ErrorFunction) {
  const std::pair<double, double> table[] = {{0.1, 0.1124629160},
                                             {0.5, 0.5204998778},
                                             {1.0, 0.8427007929},
                                             {1.5, 0.9661051465},
                                             {2.0, 0.9953222650}};
  for (const auto& [x, y] : table) {
    EXPECT_NEAR(static_cast<double>(erf(Bounded(x, 0.0)).v), y, 5e-11);
    EXPECT_NEAR(static_cast<double>(erfc(Bounded(x, 0.0)).v), 1 - y, 5e-11);
  }
}

// x Phi(x) with Phi from Abramowitz & Stegun, table 26.1.
TEST(Values, Gelu) {
  const auto y = forward("gelu", {vec({-3, -2, -1, 0, 0.5, 1, 2})}, {});
  const double want[] = {-3 * 0.0013498980,  -2 * 0.0227501319, -0.1586552539,   0,
                         0.5 * 0.6914624613, 0.8413447461,      2 * 0.9772498681};
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], want[i], 1e-9);
  // The tanh form is within the 5e-4 of its paper, and not the same function.
  const auto t =
      forward("gelu", {vec({-3, -2, -1, 0, 0.5, 1, 2})}, {{"approximate", std::string("tanh")}});
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(t[i], y[i], 5e-4);
  EXPECT_NE(t[1], y[1]);
}

TEST(Values, Exp) {
  const auto y = forward("exp", {vec({1, -1, 0, 1000, -1000})}, {});
  EXPECT_DOUBLE_EQ(y[0], 2.718281828459045);
  EXPECT_DOUBLE_EQ(y[1], 0.36787944117144233);
  EXPECT_EQ(y[2], 1);
  EXPECT_EQ(y[3], INFINITY);
  EXPECT_EQ(y[4], 0);
}

TEST(Values, SoftmaxOfKnownRows) {
  const double log2 = std::log(2.0), log3 = std::log(3.0);
  const auto y = forward("softmax", {vec({0, log2, log3})}, {{"dim", std::int64_t{0}}});
  for (std::size_t i = 0; i < 3; ++i) EXPECT_DOUBLE_EQ(y[i], double(i + 1) / 6);
  const auto shifted =
      forward("softmax", {vec({10000, 10000, 10000, 10000})}, {{"dim", std::int64_t{-1}}});
  for (double v : shifted) EXPECT_EQ(v, 0.25);
}

// By hand: mean 2.5, variance 1.25.
TEST(Values, LayerNormByHand) {
  HostTensor x{DType::kFloat64, {1, 4}, {1, 2, 3, 4}};
  const auto y = forward("layer_norm", {x, vec({1, 2, 1, 1}), vec({0, 0, 0.5, 0})},
                         {{"normalized_shape", IntList{4}}, {"eps", 0.0}});
  const double s = 1 / std::sqrt(1.25);
  EXPECT_DOUBLE_EQ(y[0], -1.5 * s);
  EXPECT_DOUBLE_EQ(y[1], -1.0 * s);
  EXPECT_DOUBLE_EQ(y[2], 0.5 * s + 0.5);
  EXPECT_DOUBLE_EQ(y[3], 1.5 * s);
}

TEST(Values, ConvolutionByHand) {
  HostTensor x{DType::kFloat64, {1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9}};
  HostTensor w{DType::kFloat64, {1, 1, 2, 2}, {1, 0, 0, -1}};
  HostTensor none;
  none.defined = false;
  EXPECT_EQ(forward("conv2d", {x, w, none}, {}), (std::vector<double>{-4, -4, -4, -4}));
  EXPECT_EQ(forward("conv2d", {x, w, vec({10})},
                    {{"stride", std::int64_t{2}}, {"padding", std::int64_t{1}}}),
            (std::vector<double>{9, 7, 3, 6}));
}

TEST(Values, MaxPoolCeilMode) {
  HostTensor x{DType::kFloat64, {1, 1, 5}, {1, 5, 2, 4, 3}};
  EXPECT_EQ(forward("max_pool2d", {x}, {{"kernel_size", IntList{1, 2}}}),
            (std::vector<double>{5, 4}));
  EXPECT_EQ(forward("max_pool2d", {x}, {{"kernel_size", IntList{1, 2}}, {"ceil_mode", true}}),
            (std::vector<double>{5, 4, 3}));
}

TEST(Values, MatmulShapes) {
  const auto& matmul = find_contract("matmul");
  const auto shape = [&](Shape a, Shape b) {
    const auto in = draw_inputs({{a}, {b}}, DType::kFloat64, 1);
    return matmul.forward(in, {})[0].shape;
  };
  EXPECT_EQ(shape({3}, {3}), Shape{});
  EXPECT_EQ(shape({2, 3}, {3}), Shape{2});
  EXPECT_EQ(shape({3}, {3, 4}), Shape{4});
  EXPECT_EQ(shape({5, 1, 2, 3}, {7, 3, 4}), (Shape{5, 7, 2, 4}));
  EXPECT_EQ(shape({3}, {7, 3, 4}), (Shape{7, 4}));
}

TEST(Values, RoundingModesOfDiv) {
  const auto q = [](const char* mode) {
    return forward("div", {vec({7, -7, 6}), vec({2, 2, -3})},
                   {{"rounding_mode", std::string(mode)}});
  };
  EXPECT_EQ(q("floor"), (std::vector<double>{3, -4, -2}));
  EXPECT_EQ(q("trunc"), (std::vector<double>{3, -3, -2}));
}

// The known answers that the authors publish with Random123.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (PhiloxWords{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t f = 0xffffffff;
  EXPECT_EQ(philox4x32_10({f, f, f, f}, {f, f}),
            (PhiloxWords{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (PhiloxWords{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, UniformAndNormalHaveTheirMoments) {
  const Attrs attrs = {
      {"size", IntList{40000}}, {"seed", std::int64_t{3}}, {"offset", std::int64_t{0}}};
  for (const char* op : {"rand", "randn"}) {
    double sum = 0, squares = 0;
    for (double x : forward(op, {}, attrs)) {
      sum += x;
      squares += x * x;
    }
    const double mean = sum / 40000, variance = squares / 40000 - mean * mean;
    const bool normal = std::string(op) == "randn";
    EXPECT_NEAR(mean, normal ? 0 : 0.5, 5 * std::sqrt((normal ? 1 : 1.0 / 12) / 40000)) << op;
    EXPECT_NEAR(variance, normal ? 1 : 1.0 / 12, (normal ? 1 : 1.0 / 12) * 0.05) << op;
  }
}

TEST(Bounded, ExactWhereArithmeticIs) {
  const Bounded x(1.5, 0.0), y(0.25, 0.0), third(1.0 / 3, 0.0);
  EXPECT_EQ((x + y).e, 0);
  EXPECT_EQ((x * y).e, 0);
  EXPECT_EQ((third * Bounded(2)).e, 0);
  EXPECT_EQ((third / Bounded(8)).e, 0);
  EXPECT_EQ((third * Bounded(0)).e, 0);
  EXPECT_GT((third * Bounded(3)).e, 0);
  EXPECT_GT((third + x).e, 0);
  EXPECT_GT(Bounded(0.1L).e, 0);  // a constant has to be rounded
  EXPECT_EQ((third - third).v, 0);
}

TEST(Bounded, NonFiniteCarriesNoError) {
  const Bounded inf(INFINITY, 0.0), third(1.0 / 3, 0.0);
  for (const Bounded& b : {inf + third, inf * third, exp(Bounded(20000.0, 3.0)), inf - inf,
                           Bounded(0.0, 0.0) * inf, third / Bounded(0)})
    EXPECT_EQ(b.e, 0) << double(b.v);
  EXPECT_TRUE(std::isnan((inf - inf).v));
  EXPECT_TRUE(std::isnan((Bounded(0.0, 0.0) * inf).v));
  EXPECT_EQ(exp(-inf + third).e, 0);
}

TEST(Bounded, SumsGrowWithTheRootOfTheirLength) {
  Sum<Bounded> sum, integers;
  for (int i = 0; i < 10000; ++i) {
    sum.add(Bounded(1.0 / 3, 0.0));
    integers.add(Bounded(i % 7, 0.0));
  }
  EXPECT_NEAR(sum.total().e, 2 * 100 * 10000 / 3.0, 1);
  EXPECT_EQ(integers.total().e, 0);
  Sum<Bounded> one;
  one.add(Bounded(1.0 / 3, 0.0));
  one.add(Bounded(0.0, 0.0));
  EXPECT_EQ(one.total().e, 0);
}

}  // namespace
}  // namespace flame::reference
