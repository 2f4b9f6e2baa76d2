// The detector is tested: how often it cries wolf, how soon it sees a wolf.
#include "reports/history/detect.h"

#include <gtest/gtest.h>

#include "lib/core/error.h"
#include "reports/history/tests/nights.h"

namespace flame::history {
namespace {

// 1 % noise, one night in twenty slow by 3 to 30 %.
constexpr int kSeries = 3000;

bool confirmed(const Judgement& j) {
  return j.verdict == Verdict::kSlower || j.verdict == Verdict::kFaster;
}

// Share of series that are called slower or faster at least once in a month without any change.
double false_months(std::size_t history) {
  int alarms = 0;
  for (int s = 0; s < kSeries; ++s) {
    Nights nights(std::uint64_t(s) + 1);
    std::vector<double> times = nights.take(history);
    bool alarm = false;
    for (int night = 0; night < 30 && !alarm; ++night) {
      times.push_back(nights.next());
      alarm = confirmed(judge_series(times));
    }
    alarms += alarm;
  }
  return double(alarms) / kSeries;
}

// Share of series whose step to `level` is confirmed within `within` nights.
double found(std::size_t history, double level, int within, Verdict wanted = Verdict::kSlower) {
  int hits = 0;
  for (int s = 0; s < kSeries; ++s) {
    Nights nights(std::uint64_t(s) + 1000000);
    std::vector<double> times = nights.take(history);
    bool hit = false;
    for (int night = 0; night < within && !hit; ++night) {
      times.push_back(nights.next(level));
      hit = judge_series(times).verdict == wanted;
    }
    hits += hit;
  }
  return double(hits) / kSeries;
}

class DetectorTest : public ::testing::TestWithParam<std::size_t> {};

TEST_P(DetectorTest, FalseAlarmsAreUnderTwoPercentOfSeriesMonths) {
  const double share = false_months(GetParam());
  RecordProperty("share", std::to_string(share));
  EXPECT_LT(share, 0.02);
}
TEST_P(DetectorTest, FivePercentIsConfirmedInThreeNights) {
  const double share = found(GetParam(), 105, 3);
  RecordProperty("share", std::to_string(share));
  EXPECT_GE(share, 0.95);
}
TEST_P(DetectorTest, TenPercentIsConfirmedInThreeNights) {
  const double share = found(GetParam(), 110, 3);
  RecordProperty("share", std::to_string(share));
  EXPECT_GE(share, 0.99);
}
// Nights of history before the month begins. The first verdict of all has twelve.
INSTANTIATE_TEST_SUITE_P(History, DetectorTest, ::testing::Values(20, 40, 100));

// With the fewest nights a verdict is given at all it must not be wilder, only blinder.
TEST(DetectTest, TheFirstVerdictsAreNoWilder) {
  EXPECT_LT(false_months(12), 0.02);
  EXPECT_GE(found(12, 105, 3), 0.90);
  EXPECT_GE(found(12, 110, 3), 0.99);
}

TEST(DetectTest, ATwoPercentDropIsFoundInTime) { EXPECT_GE(found(40, 102, 25), 0.9); }
TEST(DetectTest, FasterIsFoundToo) { EXPECT_GE(found(40, 90, 6, Verdict::kFaster), 0.95); }

// Nothing is twice as slow for three nights by chance.
TEST(DetectTest, ThreeNightsConfirmAndOneIsASuspicion) {
  Nights nights(7, 0.01, 0);
  std::vector<double> times = nights.take(40);
  times.push_back(200);
  Judgement j = judge_series(times);
  EXPECT_EQ(j.stage, Stage::kSuspect);
  EXPECT_EQ(j.verdict, Verdict::kAmbiguous) << "one night alone is not SAME and not SLOWER";
  EXPECT_NEAR(j.shift, 1, 0.02);
  times.push_back(198);
  EXPECT_EQ(judge_series(times).verdict, Verdict::kAmbiguous);
  times.push_back(201);
  j = judge_series(times);
  EXPECT_EQ(j.stage, Stage::kConfirmed);
  EXPECT_EQ(j.verdict, Verdict::kSlower);
  EXPECT_FALSE(j.why.empty());
}

TEST(DetectTest, NoVerdictFromAFewNights) {
  Nights nights(8);
  std::vector<double> times = nights.take(12);
  times.back() = 500;
  const Judgement j = judge_series(times);
  EXPECT_EQ(j.verdict, Verdict::kNoData);
  EXPECT_FALSE(j.why.empty());
  EXPECT_EQ(judge_series({}).verdict, Verdict::kNoData);
  times.push_back(100);
  EXPECT_NE(judge_series(times).verdict, Verdict::kNoData);
}

TEST(DetectTest, AnUnstableSeriesIsNeverSame) {
  Nights nights(9, 0.05, 0);
  std::vector<double> times = nights.take(40);
  times.back() = 100;
  const Judgement j = judge_series(times);
  EXPECT_EQ(j.verdict, Verdict::kAmbiguous);
  EXPECT_NE(j.why.find("unstable"), std::string::npos);
}

TEST(DetectTest, TimesArePositive) {
  EXPECT_THROW(judge_series(std::vector<double>{1, 0}), ValueError);
  EXPECT_THROW(judge_series(std::vector<double>{1, -1}), ValueError);
  EXPECT_THROW(judge_series(std::vector<double>{1, std::nan("")}), ValueError);
}

TEST(DetectTest, ManySeriesMakeSuspicionsCheap) {
  std::vector<Judgement> night(1000);
  for (Judgement& j : night) {
    j.verdict = Verdict::kSame;
    j.p = 0.5;
  }
  night[0].verdict = night[1].verdict = Verdict::kAmbiguous;
  night[0].stage = night[1].stage = Stage::kSuspect;
  night[0].p = 1e-3;  // one in a thousand, among a thousand
  night[1].p = 1e-9;
  EXPECT_EQ(correct_for_many(night), 1u);
  EXPECT_EQ(night[0].stage, Stage::kNone);
  EXPECT_EQ(night[0].verdict, Verdict::kAmbiguous) << "AMBIGUOUS never becomes SAME";
  EXPECT_EQ(night[1].stage, Stage::kSuspect);
}

TEST(DetectTest, DriftOfR) {
  using Values = std::vector<double>;
  EXPECT_EQ(drift_of_r(Values{0.1, 0.1, 0.1, 0.1}), 0);
  EXPECT_DOUBLE_EQ(drift_of_r(Values{0.1, 0.1, 0.1, 0.4}), 4);
  EXPECT_EQ(drift_of_r(Values{0.1, 0.1, 0.1, 0.39}), 0);
  EXPECT_EQ(drift_of_r(Values{1e-4, 1e-4, 1e-4, 1e-3}), 0) << "far inside the bound";
  EXPECT_EQ(drift_of_r(Values{0.1, 0.9}), 0) << "too few";
}

}  // namespace
}  // namespace flame::history
