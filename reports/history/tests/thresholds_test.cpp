// What a floor says of a row that misses it.
#include "reports/history/thresholds.h"

#include <gtest/gtest.h>

#include <fstream>

#include "reports/history/tests/bench_runs.h"
#include "reports/history/tonight.h"

namespace flame::history {
namespace {

TEST(ThresholdsTest, AMissSaysWhatACopyOfAsManyBytesReaches) {
  const Floor floor{.op = "exp", .min_share_copy = 0.97, .because = "x"};
  records::BenchRow row = bench_row("exp", 210);
  EXPECT_EQ(floor.missed_by(row, -1), "share of copy is 0.95, at least 0.97") << "an old record";
  row.share_same_size = 0.99;
  row.written = row.bytes / 2;
  EXPECT_EQ(floor.missed_by(row, -1),
            "share of copy is 0.95, at least 0.97; 0.99 of a copy of as many bytes");
  row.written = 0;
  EXPECT_EQ(floor.missed_by(row, -1),
            "share of copy is 0.95, at least 0.97; 0.99 of a read of as many bytes");
  row.share_copy = 0.98;
  EXPECT_EQ(floor.missed_by(row, -1), "");
}

// What is suggested can be read back, holds the night it was made from, and nothing a tenth slower.
TEST(ThresholdsTest, SuggestedFloorsAreTheNightsOwnLessATenth) {
  const auto series_of = [](const records::BenchRow& row) {
    return Series{key_of(row), {Sample{night(3), "abc", row}}};
  };
  records::BenchRow exp = bench_row("exp", 210), log = bench_row("log", 220);
  log.share_copy = 0.873;
  records::BenchRow peer = exp;
  peer.implementation = "pytorch_eager";
  peer.ratio = peer.ratio_min = peer.ratio_max = 1.5;
  Thresholds old;
  old.floors = {
      {.op = "@(exp|log)", .least_bytes = 1e6, .min_share_copy = 0.1, .because = "a guess"},
      {.op = "exp", .max_us = 1e6, .because = "a guess"},
      {.op = "exp", .peer = "pytorch*", .min_ratio = 0.1, .min_mean_ratio = 0.1, .because = "a"},
      {.op = "softmax", .min_gbps = 12, .because = "nothing of tonight's"},
      {.op = "exp", .min_gbps = 1, .because = "aimed at", .target = true}};
  const std::string path = ::testing::TempDir() + "suggested.toml";
  std::ofstream(path) << suggest_floors({series_of(exp), series_of(log), series_of(peer)}, old);
  const Thresholds got = read_thresholds(path);
  ASSERT_EQ(got.floors.size(), 4u) << "targets are no floors";
  EXPECT_EQ(got.floors[0].op, "@(exp|log)");
  EXPECT_DOUBLE_EQ(got.floors[0].least_bytes, 1e6);
  EXPECT_DOUBLE_EQ(got.floors[0].min_share_copy, 0.78);
  EXPECT_EQ(got.floors[0].because, "at the least 0.87 on " + night(3).substr(0, 10) +
                                       " (log large forward float32 cold), less a tenth");
  EXPECT_DOUBLE_EQ(got.floors[1].max_us, 234);
  EXPECT_DOUBLE_EQ(got.floors[2].min_ratio, 1.35);
  EXPECT_DOUBLE_EQ(got.floors[2].min_mean_ratio, 1.35);
  EXPECT_DOUBLE_EQ(got.floors[3].min_gbps, 12);
  EXPECT_EQ(got.floors[3].because, "nothing of tonight's");
  EXPECT_EQ(got.floors[0].missed_by(log, -1), "");
  log.share_copy *= 0.88;
  EXPECT_NE(got.floors[0].missed_by(log, -1), "");
}

TEST(ThresholdsTest, TheFirstExplanationThatNamesARowIsIts) {
  const std::string path = ::testing::TempDir() + "explained.toml";
  std::ofstream(path)
      << "[[explanation]]\nop = \"e*\"\ndirection = \"backward\"\nbecause = \"first\"\n"
         "[[explanation]]\nop = \"@(exp|log)\"\nbecause = \"second\"\n";
  const Thresholds t = read_thresholds(path);
  records::BenchRow row = bench_row("exp", 1);
  ASSERT_NE(t.explanation_of(row), nullptr);
  EXPECT_EQ(t.explanation_of(row)->because, "second");
  row.direction = "backward";
  EXPECT_EQ(t.explanation_of(row)->because, "first");
  EXPECT_EQ(t.explanation_of(bench_row("sum", 1)), nullptr);
}

}  // namespace
}  // namespace flame::history
