#include "bench/samples.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lib/core/error.h"

namespace flame::bench {
namespace {

TEST(SamplesTest, QuantilesAreNumpys) {
  // numpy.quantile([1, 2, 4, 8, 16, 100], [0.25, 0.5, 0.75]) = [2.5, 6, 14]
  const Summary s = summarise({100, 1, 16, 2, 8, 4});
  EXPECT_EQ(s.count, 6);
  EXPECT_DOUBLE_EQ(s.q1, 2.5);
  EXPECT_DOUBLE_EQ(s.median, 6);
  EXPECT_DOUBLE_EQ(s.q3, 14);
  EXPECT_DOUBLE_EQ(s.min, 1);
  EXPECT_DOUBLE_EQ(s.max, 100);
  EXPECT_DOUBLE_EQ(s.spread, 1.57 * 11.5 / std::sqrt(6.0) / 6);
}

TEST(SamplesTest, OneDisturbedSampleDoesNotMoveTheMedian) {
  std::vector<double> quiet(20, 1.0);
  quiet[3] = 50;
  EXPECT_DOUBLE_EQ(summarise(quiet).median, 1.0);
}

TEST(SamplesTest, NoTimesAreRefused) {
  EXPECT_THROW(summarise({}), ValueError);
  EXPECT_THROW(summarise({1, 0}), ValueError);
  EXPECT_THROW(summarise({1, -2}), ValueError);
  EXPECT_THROW(summarise({1, std::numeric_limits<double>::quiet_NaN()}), ValueError);
  EXPECT_THROW(summarise({1, std::numeric_limits<double>::infinity()}), ValueError);
}

TEST(StopRuleTest, StopsEarlyOnlyWhereTheMedianIsKnown) {
  const StopRule rule{.least = 10, .most = 100, .spread = 0.005, .seconds = 2};
  EXPECT_FALSE(rule.enough(std::vector<double>(9, 1.0), 100));  // too few, however long it took
  EXPECT_TRUE(rule.enough(std::vector<double>(10, 1.0), 0));
  std::vector<double> wide;
  for (int i = 0; i < 20; ++i) wide.push_back(1 + 0.1 * i);
  EXPECT_FALSE(rule.enough(wide, 1.9));
  EXPECT_TRUE(rule.enough(wide, 2.0));
  while (wide.size() < 100) wide.insert(wide.end(), {1.0, 2.0});
  EXPECT_TRUE(rule.enough(wide, 0));
}

TEST(RatioTest, IsTakenRoundByRound) {
  // The machine slowed down by half in the last round: the ratio does not see it.
  const Ratio r = ratio_of({1, 1, 1.5}, {2, 2.2, 3});
  EXPECT_EQ(r.rounds, 3);
  EXPECT_DOUBLE_EQ(r.median, 2);
  EXPECT_DOUBLE_EQ(r.min, 2);
  EXPECT_DOUBLE_EQ(r.max, 2.2);
  EXPECT_THROW(ratio_of({1}, {1, 2}), ValueError);
}

}  // namespace
}  // namespace flame::bench
