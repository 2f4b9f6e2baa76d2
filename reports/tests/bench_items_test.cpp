// Which rows stand beside each other, and which are worth comparing.
#include "reports/bench_items.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reports/tests/performance_runs.h"

namespace flame::reports {
namespace {

TEST(BenchItems, PairsRowsWithTheFastestWayOfEachPeer) {
  const BenchRun run = a_run();
  const BenchItems items = collect_items(run);
  ASSERT_EQ(items.items.size(), 3u);
  EXPECT_EQ(items.ops, (std::vector<std::string>{"alpha", "beta"}));
  EXPECT_EQ(items.peers, (std::vector<std::string>{"cublaslt", "pytorch"}));
  const BenchItem& alpha = items.items[0];
  ASSERT_EQ(alpha.peers.size(), 1u);
  EXPECT_EQ(alpha.peers[0].best->implementation, "pytorch_compile");
  EXPECT_EQ(alpha.peers[0].ways.size(), 2u);
  EXPECT_EQ(items.families.at("alpha"), "unary");
}

TEST(BenchItems, TheFastestRowOfARoofIsTheRoof) {
  const BenchRun run = a_run();
  const BenchItems items = collect_items(run);
  EXPECT_EQ(items.roof("copy")->row->implementation, "driver");
  EXPECT_EQ(items.probes.size(), 4u);
  const Share alpha = items.share_of(*items.items[0].flame);
  EXPECT_EQ(alpha.roof, "copy");
  EXPECT_NEAR(alpha.value, 125 / 131.25, 1e-12);
  const Share beta = items.share_of(*items.items[2].flame);
  EXPECT_EQ(beta.roof, "gemm_tf32");
  EXPECT_NEAR(beta.value, 2800.0 / 2900, 1e-12);
}

TEST(BenchItems, APeerThatDidNotDoTheWorkIsNotComparedWith) {
  BenchRun run = a_run();
  run.rows[6].share_datasheet_bandwidth = 30;  // pytorch's backward: a view
  run.rows[4].samples = 0;                     // pytorch_compile: not measured
  const BenchItems items = collect_items(run);
  const BenchItem& back = items.items[1];
  EXPECT_TRUE(back.peers[0].other_work);
  EXPECT_EQ(back.fastest(), nullptr);
  EXPECT_EQ(items.items[0].fastest()->best->implementation, "pytorch_eager");
  EXPECT_EQ(ratios_of(items, "alpha", "backward").count, 0);
  EXPECT_TRUE(has(pages_of(run).html, "a view"));
}

TEST(BenchItems, AViewDoesNotHideAWayThatDidTheWork) {
  BenchRun run = a_run();
  run.rows[4].share_datasheet_bandwidth = 1.5;
  const BenchItems items = collect_items(run);
  EXPECT_EQ(items.items[0].peers[0].best->implementation, "pytorch_eager");
}

TEST(BenchItems, AViewIsComparedWithAViewOnly) {
  BenchRun run = a_run();
  BenchRow &ours = run.rows[5], &theirs = run.rows[6];
  theirs.view = true;
  theirs.bytes = 0;
  EXPECT_TRUE(collect_items(run).items[1].peers[0].other_work);
  EXPECT_TRUE(has(pages_of(run).markdown, "eager a view"));
  ours.view = true;
  ours.bytes = 0;
  ours.flops = -1;
  // Nothing moved, and yet it is a measurement of the device.
  const BenchItems both = collect_items(run);
  EXPECT_TRUE(both.host.empty());
  EXPECT_FALSE(both.items[1].peers[0].other_work);
  EXPECT_EQ(both.items[1].fastest(), &both.items[1].peers[0]);
  EXPECT_EQ(both.share_of(*both.items[1].flame).value, -1);
  theirs.view = false;
  EXPECT_TRUE(collect_items(run).items[1].peers[0].other_work);
  EXPECT_TRUE(has(pages_of(run).markdown, "eager writes"));
}

TEST(BenchItems, WhatIsOnlyReadIsHeldToTheReadRoof) {
  BenchRun run = a_run();
  BenchRow read = bench_row("roof", 100);
  read.case_name = "read";
  run.rows.push_back(read);
  BenchRow& row = run.rows[2];
  const auto share = [&](double written) {
    row.written = written;
    return collect_items(run).share_of(row);
  };
  EXPECT_EQ(share(-1).roof, "copy");
  EXPECT_NEAR(share(row.bytes / 2).value, 125 / 131.25, 1e-12);
  EXPECT_NEAR(share(row.bytes).value, 125 / 131.25, 1e-12);
  EXPECT_EQ(share(0).roof, "read");
  EXPECT_NEAR(share(0).value, 100 / 131.25, 1e-12);
  EXPECT_NEAR(share(row.bytes / 4).value, (0.5 * 125 + 0.5 * 100) / 131.25, 1e-12);
}

TEST(BenchItems, APeerOutsideOfTheBoundIsLessExact) {
  for (const double r : {1.5, std::nan(""), std::numeric_limits<double>::infinity()}) {
    BenchRun run = a_run();
    run.rows[4].r = r;
    const BenchItems items = collect_items(run);
    EXPECT_TRUE(items.items[0].peers[0].less_exact) << r;
    // Where FLAME's own type misses float32's bound, as TF32 must, nobody is blamed.
    EXPECT_FALSE(items.items[2].peers[0].less_exact);
    EXPECT_TRUE(has(pages_of(run).html, "≠ less exact"));
  }
}

TEST(BenchItems, ARoundOnTheOtherSideIsNeitherFasterNorSlower) {
  BenchRun run = a_run();
  const auto standing = [&](double least, double ratio, double most) {
    run.rows[4].ratio_min = least;
    run.rows[4].ratio = ratio;
    run.rows[4].ratio_max = most;
    return std::string(collect_items(run).items[0].peers[0].standing());
  };
  EXPECT_EQ(standing(1.01, 1.1, 1.2), "faster");
  EXPECT_EQ(standing(0.99, 1.1, 1.2), "even");
  EXPECT_EQ(standing(0.9, 0.95, 1.01), "even");
  EXPECT_EQ(standing(0.9, 0.95, 0.99), "slower");
  run.rows[4].r = 2;
  EXPECT_EQ(standing(0.9, 0.95, 0.99), "doubtful");
}

TEST(BenchItems, GeometricMeanAndRange) {
  Ratios r;
  EXPECT_EQ(r.count, 0);
  for (const double v : {0.5, 2.0, 4.0}) r.add(v);
  EXPECT_NEAR(r.mean, std::cbrt(4.0), 1e-12);
  EXPECT_EQ(r.least, 0.5);
  EXPECT_EQ(r.most, 4);
}

}  // namespace
}  // namespace flame::reports
