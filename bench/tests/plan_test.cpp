#include "bench/plan.h"

#include <gtest/gtest.h>

#include <set>

#include "bench/peers/cub.h"
#include "bench/session.h"
#include "lib/core/error.h"

namespace flame::bench {
namespace {

TEST(PlanTest, EveryBenchCaseOfEveryContractIsThere) {
  std::set<std::string> planned;
  for (const Item& item : plan({}))
    planned.insert(std::string(item.op->name) + "/" + item.bench_case.name);
  int cases = 0;
  for (const reference::Contract* contract : reference::all_contracts()) {
    if (!contract->bench_cases) continue;
    for (const auto& c : contract->bench_cases()) {
      ++cases;
      EXPECT_TRUE(planned.contains(std::string(contract->op) + "/" + c.name))
          << contract->op << " " << c.name;
    }
  }
  EXPECT_GT(cases, 30);
}

TEST(PlanTest, NothingIsPlannedTwice) {
  std::set<std::string> names;
  for (const Item& item : plan({})) EXPECT_TRUE(names.insert(item.name()).second) << item.name();
}

TEST(PlanTest, EveryComputingOpWithBenchCasesHasBothDtypesAndDirections) {
  std::set<std::string> softmax;
  for (const Item& item : plan({.op = "softmax", .case_name = "8192x8192"}))
    softmax.insert(item.compute_mode() + "/" + to_string(item.direction));
  EXPECT_EQ(softmax, (std::set<std::string>{"float32/forward", "float32/backward",
                                            "float32/forward_backward", "bfloat16/forward",
                                            "bfloat16/backward", "bfloat16/forward_backward"}));
}

TEST(PlanTest, ProductsAreAlsoTimedInTf32AndOthersAreNot) {
  EXPECT_FALSE(plan({.op = "matmul", .mode = "tf32"}).empty());
  EXPECT_THROW(plan({.op = "exp", .mode = "tf32"}), ValueError);
}

TEST(PlanTest, ScalesKeepCasesValid) {
  for (const std::int64_t scale : {2, 16, 64, 1024})
    EXPECT_EQ(plan({.scale = scale}).size() > 100, true) << scale;
  EXPECT_EQ(scaled(8192, 64), 128);
  EXPECT_EQ(scaled(7, 64), 7);       // kernels and strides stay
  EXPECT_EQ(scaled(256, 1024), 16);  // and nothing vanishes
  EXPECT_THROW(plan({.scale = 0}), ValueError);
}

// Rows, and the whole; not columns, channels, or another direction.
TEST(PlanTest, WhatCubCanDo) {
  std::set<std::string> can;
  for (const Item& item : plan({.mode = "float32"}))
    if (const auto how = cub_reduction_of(item)) {
      can.insert(std::string(item.op->name) + "/" + item.bench_case.name);
      EXPECT_EQ(item.direction, Direction::kForward);
      EXPECT_EQ(how->rows * how->columns, numel(item.inputs[0].shape)) << item.name();
      EXPECT_EQ(how->rows, numel(item.outputs[0].shape)) << item.name();
    }
  for (const char* op : {"sum", "mean", "amax"}) {
    EXPECT_TRUE(can.contains(std::string(op) + "/16777216"));
    EXPECT_TRUE(can.contains(std::string(op) + "/8192x8192_rows"));
    EXPECT_FALSE(can.contains(std::string(op) + "/8192x8192_columns"));
    EXPECT_FALSE(can.contains(std::string(op) + "/64x256x56x56_channels"));
  }
}

// 10 samples of FLAME and of two ways of one program, cold and hot, of 100 items, a millisecond
// each, and the program's getting ready.
TEST(PlanTest, TheLeastThatARunTakesIsSaidAhead) {
  const StopRule rule{.least = 10};
  EXPECT_NEAR(least_seconds(100, 2, 0, 1e-3, rule), 2, 1e-9);
  EXPECT_NEAR(least_seconds(100, 2, 1, 1e-3, rule), 6 + 8, 1e-9);
}

TEST(PlanTest, UnknownNamesAreErrors) {
  EXPECT_THROW(plan({.op = "no_such_op"}), UnknownOpError);
  EXPECT_THROW(plan({.op = "exp", .case_name = "no_such_case"}), ValueError);
}

}  // namespace
}  // namespace flame::bench
