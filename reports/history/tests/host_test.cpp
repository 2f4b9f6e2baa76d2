// A host that moved is told from code that moved: recorded runs of one build in three processes.
#include <gtest/gtest.h>

#include <algorithm>

#include "lib/core/error.h"
#include "reports/history/compare.h"
#include "reports/history/regress.h"
#include "reports/history/statistics.h"
#include "reports/history/tests/bench_runs.h"
#include "reports/history/tests/nights.h"

namespace flame::history {
namespace {

using records::BenchRow;

// One host row with samples about its median.
BenchRow host_row(const std::string& by, const std::string& direction, double us) {
  BenchRow row = bench_row(records::kHostOp, us);
  row.case_name = "add_of_one_element";
  row.direction = direction;
  row.temperature = "hot";
  row.implementation = by;
  row.bytes = row.share_copy = -1;
  Nights noise(std::uint64_t(us * 1000), 0.02, 0);
  row.times_us = noise.take(201, us);
  row.samples = 201;
  const double off = us / median(row.times_us);
  for (double& t : row.times_us) t *= off;
  std::vector<double> sorted = row.times_us;
  std::sort(sorted.begin(), sorted.end());
  row.min_us = sorted[0];
  row.q1_us = sorted[50];
  row.median_us = sorted[100];
  row.q3_us = sorted[150];
  return row;
}

records::BenchRun run_of(double flame, double raw, double both, double raw_both) {
  records::BenchRun run;
  run.rows = {host_row("flame", "forward", flame), host_row(records::kRawLaunch, "forward", raw),
              host_row("flame", "forward_backward", both),
              host_row(records::kRawLaunch, "forward_backward", raw_both)};
  return run;
}

// Medians of three processes of one build, one after the other on one H200's host
// (reports/published/ h200_night/canary_slow.txt).
const records::BenchRun& first() {
  static const records::BenchRun run = run_of(5.778, 4.130, 12.32, 4.046);
  return run;
}
const records::BenchRun& second() {
  static const records::BenchRun run = run_of(4.275, 3.350, 9.581, 3.389);
  return run;
}
const records::BenchRun& third() {
  static const records::BenchRun run = run_of(5.254, 3.718, 12.51, 4.194);
  return run;
}

const Compared& of(const Comparison& c, const std::string& by, const std::string& direction) {
  for (const Compared& row : c.rows)
    if (row.a.implementation == by && row.a.direction == direction) return row;
  throw ValueError("no such row");
}

TEST(HostMovesTest, OneBuildIsCalledNeitherSlowerNorFaster) {
  for (const auto& [a, b] : {std::pair(&first(), &second()), std::pair(&second(), &first()),
                             std::pair(&first(), &third()), std::pair(&third(), &first()),
                             std::pair(&second(), &third()), std::pair(&third(), &second())}) {
    const Comparison c = compare_runs(*a, *b);
    for (const char* direction : {"forward", "forward_backward"}) {
      const Compared& row = of(c, "flame", direction);
      EXPECT_NE(row.verdict, Verdict::kSlower) << direction << " " << row.why;
      EXPECT_NE(row.verdict, Verdict::kFaster) << direction << " " << row.why;
    }
  }
}

TEST(HostMovesTest, TheLaunchItselfIsShownAsItMoved) {
  const Comparison c = compare_runs(second(), first());
  EXPECT_EQ(of(c, records::kRawLaunch, "forward").verdict, Verdict::kSlower);
  EXPECT_NE(of(c, "flame", "forward").why.find("the host moved (cuLaunchKernel by 2"),
            std::string::npos)
      << of(c, "flame", "forward").why;
}

// Half as long again, on a host that is a quarter slower: most of that is the code.
TEST(HostMovesTest, CodeThatGotSlowerOnAMovedHostIsStillSeen) {
  const Comparison c = compare_runs(second(), run_of(4.275 * 1.23 * 1.5, 4.130, 9.581, 3.389));
  EXPECT_EQ(of(c, "flame", "forward").verdict, Verdict::kSlower);
  EXPECT_NEAR(of(c, "flame", "forward").shift, 0.5, 0.05);
}

TEST(HostMovesTest, OnAHostThatStoodStillTimesAreJudged) {
  const Comparison c = compare_runs(second(), run_of(4.275 * 1.1, 3.350, 9.581, 3.389));
  EXPECT_EQ(of(c, "flame", "forward").verdict, Verdict::kSlower);
  EXPECT_EQ(of(c, "flame", "forward").why.find("moved"), std::string::npos);
}

// ---- nights ----

std::vector<Series> host_nights(int count, double host, double code) {
  Series flame, raw;
  Nights noise(11, 0.004, 0);
  for (int n = 0; n < count; ++n) {
    const bool late = n >= count - 3;
    const auto sample = [&](const char* by, double us) {
      return Sample{night(n), "abc", host_row(by, "forward", us)};
    };
    flame.samples.push_back(sample("flame", noise.next(4.3) * (late ? host * code : 1)));
    raw.samples.push_back(sample(records::kRawLaunch, noise.next(3.3) * (late ? host : 1)));
  }
  flame.key = key_of(flame.samples[0].row);
  raw.key = key_of(raw.samples[0].row);
  return {raw, flame};
}

TEST(HostMovesTest, ThreeNightsOfASlowHostAreNotTheCode) {
  const NightReport report = judge_night(host_nights(30, 1.2, 1), {}, {});
  ASSERT_EQ(report.series.size(), 1u) << "the bare launch is a probe";
  EXPECT_EQ(report.series[0].judgement.verdict, Verdict::kSame) << report.series[0].judgement.why;
  EXPECT_TRUE(report.series[0].machine_moved);
  EXPECT_TRUE(report.machine_moved());
}

// Every night another host, FLAME with it: times say nothing, ratios do.
TEST(HostMovesTest, ARestlessHostIsNoneOfTheCodesFault) {
  std::vector<Series> nights = host_nights(30, 1, 1);
  for (std::size_t n = 0; n < 30; ++n)
    for (Series& s : nights) {
      BenchRow& row = s.samples[n].row;
      const double host = 1 + 0.05 * double(n * 7 % 5);
      for (double* t : {&row.median_us, &row.q1_us, &row.q3_us, &row.min_us}) *t *= host;
    }
  const NightReport report = judge_night(nights, {}, {});
  EXPECT_EQ(report.series[0].judgement.verdict, Verdict::kSame) << report.series[0].judgement.why;
}

TEST(HostMovesTest, SlowerCodeOnASlowHostIsTheCode) {
  const NightReport report = judge_night(host_nights(30, 1.2, 1.2), {}, {});
  EXPECT_EQ(report.series[0].judgement.verdict, Verdict::kSlower);
  EXPECT_NEAR(report.series[0].judgement.shift, 0.2, 0.02);
}

// Two ways of reading, one of which is slow on tonight's machine: the other is the roof, and stood
// still. Then slower code is slower code.
TEST(ProbesTest, TheFastestWayStandsForTheDevice) {
  const auto series = [](const char* op, const char* by, double us, double late) {
    Series s;
    Nights noise(std::uint64_t(us), 0.003, 0);
    for (int n = 0; n < 30; ++n) {
      BenchRow row = bench_row(op, noise.next(us) * (n >= 27 ? late : 1));
      row.implementation = by;
      if (std::string(op) == records::kRoofOp) row.case_name = records::kRoofRead;
      if (std::string(op) != records::kRoofOp) row.share_read = 0.99;
      s.samples.push_back({night(n), "abc", row});
    }
    s.key = key_of(s.samples[0].row);
    return s;
  };
  const auto judged = [&](double roof, double other) {
    return judge_night({series(records::kRoofOp, "kernel", 240, other),
                        series(records::kRoofOp, "kernel_tile4", 235, roof),
                        series("sum", "flame", 260, 1.14)},
                       {}, {})
        .series[0];
  };
  EXPECT_EQ(judged(1, 1.14).judgement.verdict, Verdict::kSlower) << judged(1, 1.14).judgement.why;
  EXPECT_FALSE(judged(1, 1.14).machine_moved);
  EXPECT_EQ(judged(1.14, 1.14).judgement.verdict, Verdict::kSame);
}

TEST(HostMovesTest, AFloorAgainstTheLaunchStillHolds) {
  std::vector<Series> nights = host_nights(1, 1, 1);
  BenchRow& raw = nights[0].samples[0].row;
  raw.ratio = raw.ratio_min = raw.ratio_max = 0.7;
  Thresholds thresholds;
  thresholds.floors.push_back(
      {.op = "host_cost", .peer = "cuLaunchKernel", .min_ratio = 0.8, .because = "x"});
  EXPECT_EQ(judge_night(nights, {}, thresholds).missed.size(), 1u);
}

}  // namespace
}  // namespace flame::history
