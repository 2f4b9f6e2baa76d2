// The page's figures to reach: counted from the rows, each miss with its explanation.
#include <gtest/gtest.h>

#include "reports/tests/performance_runs.h"

namespace flame::reports {
namespace {

history::Floor target(const std::string& op, const std::string& because = "a wish") {
  history::Floor floor;
  floor.op = op;
  floor.because = because;
  floor.target = true;
  return floor;
}

// a_run()'s alpha: forward and backward, PyTorch at 1.25 and 1.5 forward, 0.75 backward.
PerformancePages pages_with(const std::vector<history::Floor>& floors,
                            const std::vector<history::Explanation>& explanations = {}) {
  PerformanceInput input{a_run(), {}, ""};
  input.thresholds = {floors, explanations};
  return make_performance_pages(input, kNow);
}

TEST(Targets, AreCountedAndMissesNamed) {
  history::Floor ratio = target("alpha");
  ratio.peer = "pytorch*";
  ratio.min_ratio = 1.2;
  const PerformancePages pages = pages_with({ratio});
  EXPECT_TRUE(has(pages.markdown, "| alpha | 1.20× pytorch | 1 of 2 | 0.75× to 1.25× |"))
      << pages.markdown;
  EXPECT_TRUE(has(pages.markdown,
                  "1 of 2 figures reach what is aimed at, 1 does not, without an explanation."));
  EXPECT_TRUE(
      has(pages.markdown, "| alpha large bwd float32 | 1.20× pytorch | 0.75× | not explained |"));
  EXPECT_TRUE(has(pages.html, "1 of 2"));
  EXPECT_FALSE(has(pages.markdown, "| alpha large fwd float32 | 1.20×"));
}

TEST(Targets, AMissHasItsOwnExplanation) {
  history::Floor time = target("@(alpha|beta)");
  time.max_us = 200;
  history::Explanation other, why;
  other.rows.op = "alpha", other.rows.direction = "forward", other.because = "of another row";
  why.rows.op = "alpha", why.rows.direction = "backward", why.because = "reads <twice>";
  const PerformancePages pages = pages_with({time}, {other, why});
  EXPECT_TRUE(has(pages.markdown, "| alpha, beta | at most 200.0 us | 1 of 3 |")) << pages.markdown;
  EXPECT_TRUE(has(pages.markdown, "| 260.5 | reads &lt;twice> |")) << pages.markdown;
  EXPECT_TRUE(has(pages.html, "reads &lt;twice&gt;"));
  EXPECT_FALSE(has(pages.html, "of another row"));
}

TEST(Targets, AMeanIsOneFigure) {
  history::Floor mean = target("alpha");
  mean.peer = "pytorch*";
  mean.min_mean_ratio = 1.03;
  EXPECT_TRUE(
      has(pages_with({mean}).markdown, "| alpha | 1.03× pytorch in the mean | missed | 0.97× |"))
      << pages_with({mean}).markdown;
  mean.min_mean_ratio = 0.96;
  EXPECT_TRUE(has(pages_with({mean}).markdown, "| reached | 0.97× |"));
}

TEST(Targets, FloorsAreNone) {
  history::Floor floor = target("alpha");
  floor.max_us = 1;
  floor.target = false;
  EXPECT_FALSE(has(pages_with({floor}).html, "aimed at"));
  EXPECT_FALSE(has(pages_of(a_run()).html, "aimed at"));
}

TEST(Targets, WhatWasNotMeasuredIsMissed) {
  BenchRun run = a_run();
  for (BenchRow& row : run.rows)
    if (row.op == "alpha" && row.direction == "backward" && row.implementation == "flame") {
      row.samples = 0;
      row.times_us.clear();
      row.reason = "out of memory";
    }
  history::Floor time = target("alpha");
  time.max_us = 200;
  PerformanceInput input{run, {}, ""};
  input.thresholds.floors = {time};
  EXPECT_TRUE(
      has(make_performance_pages(input, kNow).markdown, "| not measured | out of memory |"));
}

}  // namespace
}  // namespace flame::reports
