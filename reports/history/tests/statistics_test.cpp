// The statistics against published values and against each other.
#include "reports/history/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "lib/core/error.h"
#include "reports/history/tests/nights.h"

namespace flame::history {
namespace {

using Values = std::vector<double>;

TEST(StatisticsTest, MedianAndSpread) {
  EXPECT_EQ(median(Values{3, 1, 2}), 2);
  EXPECT_EQ(median(Values{4, 1, 2, 3}), 2.5);
  EXPECT_THROW(median(Values{}), ValueError);
  EXPECT_THROW(median(Values{1, std::nan("")}), ValueError);
  // Distances 2, 1, 0, 1, 95: half of the values agree, one outlier changes nothing.
  EXPECT_DOUBLE_EQ(robust_sigma(Values{1, 2, 3, 4, 98}), 1.4826 * 5 / 4.2);
  EXPECT_DOUBLE_EQ(robust_sigma(Values{1, 2, 3, 4, 1e9}), 1.4826 * 5 / 4.2);
}

TEST(StatisticsTest, RobustSigmaIsTheSpreadOfNoise) {
  Nights nights(1, 0.01, 0);
  Values sigmas;
  for (int i = 0; i < 500; ++i) sigmas.push_back(robust_sigma(nights.take(30)));
  EXPECT_NEAR(median(sigmas), 1.0, 0.05);
}

// SciPy's documentation of mannwhitneyu: U = 17, exact p = 1/9.
TEST(StatisticsTest, MannWhitneyIsSciPys) {
  const Values males{19, 22, 16, 29, 24}, females{20, 11, 17, 12};
  const TestResult t = mann_whitney(males, females);
  EXPECT_EQ(t.statistic, 17);
  EXPECT_NEAR(t.p, 1.0 / 9, 1e-12);
  EXPECT_EQ(mann_whitney(females, males).statistic, 3);
  EXPECT_NEAR(mann_whitney(females, males).p, 1.0 / 9, 1e-12);
}

// The critical values of the published table for a two-sided 0.05: U 2 at 5 and 5, 23 at 10 and 10.
TEST(StatisticsTest, MannWhitneyMeetsTheTable) {
  const auto p_of = [](int n, int wanted) {
    // The first side is 0 ... n-1 but for its largest, raised above `wanted` of the others.
    Values a, b;
    for (int i = 0; i < n; ++i) b.push_back(10 + i);
    int left = wanted;
    for (int i = n - 1; i >= 0; --i) {
      const int above = std::min(left, n);
      a.push_back(above > 0 ? 9.5 + above + i * 0.01 : -double(i) - 1);
      left -= above;
    }
    const TestResult t = mann_whitney(a, b);
    EXPECT_EQ(t.statistic, wanted);
    return t.p;
  };
  EXPECT_LE(p_of(5, 2), 0.05);
  EXPECT_GT(p_of(5, 3), 0.05);
  EXPECT_LE(p_of(10, 23), 0.05);
  EXPECT_GT(p_of(10, 24), 0.05);
}

// With ties there is the normal approximation, which must be near the exact one where both exist.
TEST(StatisticsTest, MannWhitneyWithTies) {
  Nights nights(2, 0.01, 0);
  for (const double shift : {100.0, 100.5, 101.0}) {
    Values a = nights.take(20), b = nights.take(20, shift);
    const double exact = mann_whitney(a, b).p;
    Values more = a;
    a[0] = b[0];  // one tie
    EXPECT_NEAR(mann_whitney(a, b).p, exact, 0.1 * exact + 0.06);
  }
  EXPECT_EQ(mann_whitney(Values{1, 1, 1}, Values{1, 1, 1}).p, 1);
  EXPECT_THROW(mann_whitney(Values{}, Values{1}), ValueError);
}

// Values that are published with the implementations of Welch's test in many languages.
TEST(StatisticsTest, WelchIsThePublished) {
  EXPECT_NEAR(welch(Values{30.02, 29.99, 30.11, 29.97, 30.01, 29.99},
                    Values{29.89, 29.93, 29.72, 29.98, 30.02, 29.98})
                  .p,
              0.0907733242856612, 1e-13);
  EXPECT_NEAR(welch(Values{3, 4, 1, 2.1}, Values{490.2, 340, 433.9}).p, 0.0107515611497845, 1e-13);
  EXPECT_EQ(welch(Values{2, 2}, Values{2, 2}).p, 1);
  EXPECT_EQ(welch(Values{2, 2}, Values{3, 3}).p, 0);
  EXPECT_THROW(welch(Values{2}, Values{3, 3}), ValueError);
  // The table of Student's t: 2.228 at 10 degrees is 0.05, 2.576 at many is 0.01.
  EXPECT_NEAR(student_p(2.228, 10), 0.05, 1e-4);
  EXPECT_NEAR(student_p(-2.576, 1e6), 0.01, 1e-4);
}

TEST(StatisticsTest, TestsOfTheSameAreUniform) {
  Nights nights(3, 0.01, 0);
  int u = 0, w = 0;
  constexpr int kTrials = 2000;
  for (int i = 0; i < kTrials; ++i) {
    const Values a = nights.take(12), b = nights.take(15);
    u += mann_whitney(a, b).p < 0.05;
    w += welch(a, b).p < 0.05;
  }
  EXPECT_NEAR(double(u) / kTrials, 0.05, 0.015);
  EXPECT_NEAR(double(w) / kTrials, 0.05, 0.015);
}

// The example of Benjamini & Hochberg 1995: fifteen p values, four are significant at 0.05, where
// Bonferroni's correction keeps three.
TEST(StatisticsTest, BenjaminiHochbergIsTheirExample) {
  Values p{0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
           0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  const auto kept = benjamini_hochberg(p, 0.05);
  EXPECT_EQ(std::count(kept.begin(), kept.end(), true), 4);
  EXPECT_TRUE(kept[3]);
  std::reverse(p.begin(), p.end());
  EXPECT_TRUE(benjamini_hochberg(p, 0.05)[11]);
  EXPECT_TRUE(benjamini_hochberg(Values{}, 0.05).empty());
}

TEST(StatisticsTest, ChangePointsAreDated) {
  Nights nights(4, 0.005, 0);
  Values v = nights.take(60);
  for (const double t : nights.take(40, 104)) v.push_back(t);
  for (const double t : nights.take(20, 101)) v.push_back(t);
  v[20] *= 1.4;  // one slow night is no change
  const auto found = change_points(v);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NEAR(double(found[0].index), 60, 1);
  EXPECT_NEAR(found[0].shift(), 0.04, 0.005);
  EXPECT_NEAR(double(found[1].index), 100, 1);
  EXPECT_NEAR(found[1].shift(), 101.0 / 104 - 1, 0.005);
  for (const ChangePoint& c : found) EXPECT_LT(c.p, 0.001);
}

TEST(StatisticsTest, ChangesBelowOnePercentAndShortSeriesAreNone) {
  Nights nights(5, 0.0005, 0);
  Values v = nights.take(40);
  for (const double t : nights.take(40, 100.8)) v.push_back(t);
  EXPECT_TRUE(change_points(v).empty());
  EXPECT_TRUE(change_points(Values{}).empty());
  EXPECT_TRUE(change_points(Values{1, 2, 3}).empty());
  EXPECT_TRUE(change_points(Values(100, 7.0)).empty());
}

}  // namespace
}  // namespace flame::history
