#include "bench/measure.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "lib/core/error.h"

namespace flame::bench {
namespace {

// Writes down when it was visited, and gives times from a script that runs on.
class Scripted final : public Contender {
 public:
  Scripted(std::string name, std::string& diary, std::function<double(int)> ms)
      : name_(std::move(name)), diary_(diary), ms_(std::move(ms)) {}
  std::string name() const override { return name_; }
  std::vector<double> time(Temperature, int count) override {
    diary_ += name_;
    std::vector<double> out;
    for (int i = 0; i < count; ++i) out.push_back(ms_(taken_++));
    return out;
  }

 private:
  std::string name_;
  std::string& diary_;
  std::function<double(int)> ms_;
  int taken_ = 0;
};

TEST(InterleaveTest, GoesThereAndBack) {
  std::string diary;
  Scripted a("A", diary, [](int) { return 1.0; });
  Scripted b("B", diary, [](int) { return 2.0; });
  const auto all = interleave({&a, &b}, Temperature::kCold, {.least_rounds = 2});
  EXPECT_EQ(diary, "ABABBAABBA");  // one visit each that is thrown away, then rounds
  EXPECT_EQ(all[0].samples.size(), 12u);
  EXPECT_EQ(all[0].rounds.size(), 2u);
  EXPECT_DOUBLE_EQ(all[1].summary.median, 2.0);
}

TEST(InterleaveTest, AtLeastTenSamplesAndFiveRounds) {
  std::string diary;
  Scripted a("A", diary, [](int) { return 1.0; });
  Scripted b("B", diary, [](int) { return 1.0; });
  EXPECT_GE(interleave({&a}, Temperature::kCold, {})[0].samples.size(), 10u);
  EXPECT_GE(interleave({&a, &b}, Temperature::kCold, {})[0].rounds.size(), 5u);
}

TEST(InterleaveTest, NoisyTimesGoOnUntilTheClockSaysSo) {
  std::string diary;
  Scripted a("A", diary, [](int i) { return 1.0 + 0.2 * (i % 7); });
  double clock = 0;
  const auto all = interleave(
      {&a}, Temperature::kCold,
      {.rule = {.most = 100000, .seconds = 10}, .seconds = [&clock] { return clock += 1; }});
  EXPECT_GT(clock, 10);
  EXPECT_LT(clock, 13);
  EXPECT_GE(all[0].samples.size(), 50u);
}

// A round of three samples a visit says how many fit into the seconds, five rounds long.
TEST(InterleaveTest, VisitsAreAsLongAsTheSecondsAllow) {
  for (const auto& [seconds, samples] :
       {std::pair(0.1, 14), std::pair(45.0, 22), std::pair(1000.0, 30)}) {
    std::string diary;
    double clock = 0;  // each sample takes a second
    Scripted a("A", diary, [&clock](int) { return clock += 1, 1.0; });
    Scripted b("B", diary, [&clock](int) { return clock += 1, 1.0; });
    const auto all =
        interleave({&a, &b}, Temperature::kCold,
                   {.rule = {.seconds = seconds}, .seconds = [&clock] { return clock; }});
    EXPECT_EQ(int(all[0].samples.size()), samples) << seconds;
    EXPECT_EQ(all[1].rounds.size(), 5u);
  }
}

// A machine that drifts slower moves both times of a round alike: the ratio stays.
TEST(InterleaveTest, DriftIsInBothOrNeither) {
  std::string diary;
  int now = 0;
  const auto drifting = [&now](double ms) {
    return [&now, ms](int) { return ms * (1 + 0.001 * now++); };
  };
  Scripted a("A", diary, drifting(1.0));
  Scripted b("B", diary, drifting(1.5));
  const auto all =
      interleave({&a, &b}, Temperature::kCold, {.rule = {.most = 10}, .least_rounds = 20});
  const Ratio ratio = ratio_of(all[0].rounds, all[1].rounds);
  EXPECT_NEAR(ratio.median, 1.5, 0.005);
  const double first = all[0].samples.front(), last = all[0].samples.back();
  EXPECT_GT(last, 1.1 * first);
}

// A second of 637 times as long tells nothing more, and costs everybody's samples.
TEST(InterleaveTest, APeerThatIsHopelessIsAskedNoMore) {
  std::string diary;
  Scripted a("A", diary, [](int) { return 0.2; });
  Scripted hopeless("H", diary, [](int) { return 118.6; });
  Scripted loads("L", diary, [](int i) { return i == 0 ? 300.0 : 0.3; });
  Scripted quick("Q", diary, [](int) { return 19.0; });  // 95 times ours, but quick
  const auto all = interleave({&a, &hopeless, &loads, &quick}, Temperature::kCold, {});
  EXPECT_EQ(all[1].problem, "one run takes 119 ms, 593 times FLAME's: not timed further");
  EXPECT_EQ(std::count(diary.begin(), diary.end(), 'H'), 2);
  EXPECT_GE(all[2].samples.size(), 10u) << "its first run had loaded code";
  EXPECT_GE(all[3].samples.size(), 10u);
}

TEST(InterleaveTest, APeerThatFailsIsLeftOutAndSaidSo) {
  std::string diary;
  Scripted a("A", diary, [](int) { return 1.0; });
  Scripted b("B", diary, [](int i) {
    if (i >= 7) throw Error("it fell over");
    return 1.0;
  });
  const auto all = interleave({&a, &b}, Temperature::kCold, {});
  EXPECT_EQ(all[1].problem, "it fell over");
  EXPECT_TRUE(all[1].samples.empty());
  EXPECT_EQ(all[1].summary.count, 0);
  EXPECT_GE(all[0].samples.size(), 10u);
  // But FLAME itself failing is no row.
  EXPECT_THROW(interleave({&b, &a}, Temperature::kCold, {}), Error);
}

}  // namespace
}  // namespace flame::bench
