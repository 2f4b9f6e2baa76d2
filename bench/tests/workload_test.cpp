// The bytes that are claimed are those that were written: seen in the results, not in a model.
#include "bench/workload.h"

#include <gtest/gtest.h>

#include "conformance/sim/sim.h"

namespace flame::bench {
namespace {

constexpr double kBytes = 64 * 32 * 4;

Item item_of(std::string_view op, Attrs attrs, Direction direction) {
  Item item{.contract = &reference::find_contract(op), .op = &find_op(op), .bench_case = {}};
  item.bench_case.name = "small";
  item.bench_case.inputs.push_back({.shape = {64, 32}});
  item.attrs = complete_attrs(*item.op, attrs);
  item.direction = direction;
  item.inputs = {{DType::kFloat32, {64, 32}}};
  item.outputs = item.op->infer(item.inputs, item.attrs);
  return item;
}

class WorkloadTest : public ::testing::Test {
 protected:
  Device device_{sim::open()};
};

TEST_F(WorkloadTest, AViewMovesNothing) {
  const Attrs attrs{{"shape", IntList{32, 64}}};
  const Workload w(device_, item_of("reshape", attrs, Direction::kForward));
  EXPECT_EQ(w.traffic().bytes(), 0);
  EXPECT_EQ(w.traffic().flops, 0);
  EXPECT_TRUE(w.traffic().view);
  // Whether its gradient is one is the library's affair: the claim follows the result.
  const Workload backward(device_, item_of("reshape", attrs, Direction::kBackward));
  EXPECT_EQ(backward.traffic().view, backward.traffic().bytes() == 0);
}

TEST_F(WorkloadTest, WhatIsComputedIsReadAndWrittenOnce) {
  const Workload forward(device_, item_of("exp", {}, Direction::kForward));
  EXPECT_EQ(forward.traffic().read, kBytes);
  EXPECT_EQ(forward.traffic().written, kBytes);
  EXPECT_FALSE(forward.traffic().view);
  const Workload backward(device_, item_of("exp", {}, Direction::kBackward));
  EXPECT_EQ(backward.traffic().read, 2 * kBytes) << "the gradient and what exp keeps";
  EXPECT_EQ(backward.traffic().kept, kBytes) << "what exp keeps";
  EXPECT_EQ(backward.traffic().written, kBytes);
  const Workload both(device_, item_of("exp", {}, Direction::kForwardBackward));
  EXPECT_EQ(both.traffic().bytes(), 5 * kBytes);
  EXPECT_EQ(both.traffic().passes, 2);
}

TEST_F(WorkloadTest, WhatIsOnlyReadInPartsIsNotClaimed) {
  const Workload w(device_, item_of("amax", {{"dim", IntList{1}}}, Direction::kBackward));
  EXPECT_EQ(w.traffic().read, kBytes / 32) << "the gradient";
  EXPECT_EQ(w.traffic().written, kBytes);
}

TEST_F(WorkloadTest, APeersViewsAreNotWrittenEither) {
  const Workload w(device_, item_of("exp", {}, Direction::kBackward));
  EXPECT_EQ(w.traffic_of({}).bytes(), 3 * kBytes) << "who says nothing has written everything";
  const Traffic passed_on = w.traffic_of({{.written = 0, .view = true}});
  EXPECT_EQ(passed_on.bytes(), 0);
  EXPECT_EQ(passed_on.flops, 0);
  EXPECT_TRUE(passed_on.view);
  const Traffic spread = w.traffic_of({{.written = 4, .view = true}});
  EXPECT_EQ(spread.written, 4);
  EXPECT_TRUE(spread.view);
  // Its forward was written all the same.
  const Workload both(device_, item_of("exp", {}, Direction::kForwardBackward));
  const Traffic t = both.traffic_of({{.written = 0, .view = true}});
  EXPECT_EQ(t.bytes(), 2 * kBytes);
  EXPECT_TRUE(t.view);
}

}  // namespace
}  // namespace flame::bench
