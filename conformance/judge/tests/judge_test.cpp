// The judge against planted faults: each rule has one fault that it alone must catch.
#include "conformance/judge/judge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace flame::conformance {
namespace {

using reference::Bound;
using reference::BoundTensor;
using reference::HostTensor;
using reference::round_to;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Pair {
  HostTensor got;
  BoundTensor want;
};

// n values of an honest result: the truth rounded to the dtype, with a running error of a few |x|.
Pair honest(std::int64_t n, DType dtype = DType::kFloat32) {
  std::mt19937_64 engine(7);
  std::normal_distribution<double> normal;
  Pair p{{dtype, {n}, {}}, {{n}, {}}};
  for (std::int64_t i = 0; i < n; ++i) {
    const double v = normal(engine);
    p.want.values.push_back({v, 3 * std::fabs(v)});
    p.got.values.push_back(round_to(dtype, v));
  }
  return p;
}

TEST(Judge, HonestRoundingPassesInEveryType) {
  for (DType t : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    const Pair p = honest(1000, t);
    const Judgement j = judge("output", p.got, p.want);
    EXPECT_TRUE(j.pass) << j.reason;
    EXPECT_EQ(j.compared, 1000);
    EXPECT_LE(j.r, 1);
    EXPECT_GE(j.r, 0);
  }
}

TEST(Judge, OneWrongElementInAMillionFails) {
  Pair p = honest(1'000'000);
  p.got.values[765'432] += 1e-5;
  const Judgement j = judge("output", p.got, p.want);
  EXPECT_FALSE(j.pass);
  EXPECT_EQ(j.where, "output[765432]");
  EXPECT_NE(j.reason.find("1 of 1000000"), std::string::npos) << j.reason;
}

TEST(Judge, TheBoundItselfPassesAndALittleMoreFails) {
  for (const double factor : {0.99, 1.01}) {
    Pair p = honest(10, DType::kFloat64);
    Bound& b = p.want.values[3];
    b.error = 1e6;  // far above the spacing of doubles, so that the step can be hit
    p.got.values[3] = double(b.value) + factor * tolerance(DType::kFloat64, b);
    const Judgement j = judge("output", p.got, p.want);
    EXPECT_EQ(j.pass, factor < 1) << j.reason;
    EXPECT_NEAR(j.r, factor, 1e-3);
  }
}

TEST(Judge, NaNNeverPassesForANumberNorANumberForNaN) {
  Pair p = honest(10);
  p.got.values[9] = kNaN;
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
  p.want.values[9] = {kNaN, kNaN};
  EXPECT_TRUE(judge("output", p.got, p.want).pass);
  p.got.values[9] = 0;
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
}

TEST(Judge, ANaNBoundFails) {
  Pair p = honest(10);
  p.want.values[2].error = kNaN;
  p.got.values[2] += 1;
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
}

TEST(Judge, InfinitiesMustAgreeInSign) {
  Pair p = honest(4);
  p.want.values[0] = {kInf, 0};
  p.got.values[0] = kInf;
  EXPECT_TRUE(judge("output", p.got, p.want).pass);
  p.got.values[0] = -kInf;
  const Judgement j = judge("output", p.got, p.want);
  EXPECT_FALSE(j.pass);
  EXPECT_NE(j.reason.find("wrong sign"), std::string::npos);
  p.got.values[0] = 1e38;
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
}

TEST(Judge, OverflowOnlyWhereTheTruthReachesTheTypesEnd) {
  Pair p{{DType::kFloat16, {2}, {kInf, 1}}, {{2}, {{65510.0L, 65510.0}, {1.0L, 1.0}}}};
  EXPECT_TRUE(judge("output", p.got, p.want).pass);
  p.want.values[0].value = 60000.0L;
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
  p.want.values[0].value = -65510.0L;
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
}

TEST(Judge, ZeroElementsComparedIsAFailureUnlessThereAreNone) {
  EXPECT_FALSE(judge("output", {DType::kFloat32, {3}, {}}, {{3}, {}}).pass);
  const Judgement empty = judge("output", {DType::kFloat32, {0, 3}, {}}, {{0, 3}, {}});
  EXPECT_TRUE(empty.pass);
  EXPECT_EQ(empty.compared, 0);
  EXPECT_FALSE(judge("output", {DType::kFloat32, {3, 0}, {}}, {{0, 3}, {}}).pass);
}

TEST(Judge, ShapeAndPresenceMustAgree) {
  const Pair p = honest(6);
  HostTensor reshaped = p.got;
  reshaped.shape = {2, 3};
  EXPECT_FALSE(judge("output", reshaped, p.want).pass);
  HostTensor missing;
  missing.defined = false;
  const Judgement j = judge("grad.input", missing, p.want);
  EXPECT_FALSE(j.pass);
  EXPECT_NE(j.reason.find("missing"), std::string::npos);
}

TEST(Judge, ExactMeansEqual) {
  Pair p{{DType::kFloat32, {2}, {3, 5}}, {{2}, {{3, 100}, {5, 100}}}};
  EXPECT_TRUE(judge("output", p.got, p.want, true).pass);
  p.got.values[1] = std::nextafter(5.0f, 6.0f);
  EXPECT_TRUE(judge("output", p.got, p.want, false).pass);
  EXPECT_FALSE(judge("output", p.got, p.want, true).pass);
}

TEST(Judge, IntegersAreAlwaysExact) {
  Pair p{{DType::kInt64, {2}, {3, 5}}, {{2}, {{3, 100}, {6, 100}}}};
  EXPECT_FALSE(judge("output", p.got, p.want).pass);
}

TEST(Judge, SignsOfZeroAreEqual) {
  const Pair p{{DType::kFloat32, {1}, {-0.0}}, {{1}, {{0.0L, 0}}}};
  EXPECT_TRUE(judge("output", p.got, p.want, true).pass);
}

// Products of inputs cut to TF32's 11 bits, or bfloat16's 8, summed 64 at a time.
Pair cut_products(int bits) {
  std::mt19937_64 engine(3);
  std::normal_distribution<double> normal;
  auto cut = [bits](double v) {
    int exponent = 0;
    const double fraction = std::frexp(v, &exponent);
    return std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
  };
  Pair p{{DType::kFloat32, {500}, {}}, {{500}, {}}};
  for (int i = 0; i < 500; ++i) {
    double truth = 0, got = 0, size = 0;
    for (int k = 0; k < 64; ++k) {
      const double a = float(normal(engine)), b = float(normal(engine));
      truth += a * b;
      size += std::fabs(a * b);
      got += cut(a) * cut(b);
    }
    p.want.values.push_back({truth, 16 * size});
    p.got.values.push_back(float(got));
  }
  return p;
}

TEST(Judge, NamesTheDeliveredPrecision) {
  const Pair tf32 = cut_products(11), bf16 = cut_products(8);
  const Judgement a = judge("output", tf32.got, tf32.want),
                  b = judge("output", bf16.got, bf16.want);
  EXPECT_FALSE(a.pass);
  EXPECT_NE(a.reason.find("TF32"), std::string::npos) << a.reason;
  EXPECT_FALSE(b.pass);
  EXPECT_NE(b.reason.find("bfloat16"), std::string::npos) << b.reason;
  // A wrong formula is not mistaken for a precision.
  Pair wrong = honest(500);
  for (double& v : wrong.got.values) v *= 3;
  const Judgement c = judge("output", wrong.got, wrong.want);
  EXPECT_FALSE(c.pass);
  EXPECT_EQ(c.reason.find("promised"), std::string::npos) << c.reason;
}

TEST(Judge, MergeKeepsTheWorstAndTheSum) {
  Pair good = honest(10), bad = honest(10);
  bad.got.values[4] += 1;
  Judgement all = judge("output", good.got, good.want);
  all.merge(judge("grad.input", bad.got, bad.want));
  all.merge(judge("output", good.got, good.want));
  EXPECT_FALSE(all.pass);
  EXPECT_EQ(all.compared, 30);
  EXPECT_EQ(all.where, "grad.input[4]");
  EXPECT_FALSE(all.reason.empty());
}

TEST(JudgeSame, EveryBitCounts) {
  const HostTensor t{DType::kFloat32, {2, 2}, {1, 2, 3, 4}};
  Bits a{t.dtype, t.shape, encode(t), true}, b = a;
  EXPECT_TRUE(judge_same("output", a, b).pass);
  b.bytes[4] ^= std::byte{1};
  const Judgement j = judge_same("output", a, b);
  EXPECT_FALSE(j.pass);
  EXPECT_EQ(j.where, "output[0, 1]");
  b.defined = false;
  EXPECT_FALSE(judge_same("output", a, b).pass);
}

TEST(Position, CountsRowMajor) {
  EXPECT_EQ(position({}, 0), "");
  EXPECT_EQ(position({3, 8}, 15), "[1, 7]");
}

}  // namespace
}  // namespace flame::conformance
