// Graphs that hung, overflowed the stack or exploded in other frameworks. On the simulator they run
// on an unguarded device: what is tested is the tape.
#include <gtest/gtest.h>

#include "lib/autograd/apply.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using Floats = std::vector<float>;

const Device& device() {
  static const Device shared = [] {
    if (test::on_gpu()) return test::new_device();
    return Device(sim::open({.protect = false, .threads = 1, .ledger_capacity = 0}));
  }();
  return shared;
}

Tensor leaf(float value) { return tensor({value}, {1}, device()).set_requires_grad(); }

TEST(GraphShapesTest, AChainOf100000Ops) {
  const Tensor x = leaf(1);
  const auto before = device().memory_stats().live_blocks;
  {
    Tensor y = x;
    for (int i = 0; i < 100'000; ++i) y = add(y, 1);
    EXPECT_EQ(y.item(), 100'001);
    y.backward();
    EXPECT_EQ(x.grad().item(), 1);
  }
  EXPECT_EQ(device().memory_stats().live_blocks, before + 1) << "the chain is gone";
}

TEST(GraphShapesTest, AChainOf100000OpsDiesWithoutBackward) {
  const Tensor x = leaf(1);
  Tensor y = x;
  for (int i = 0; i < 100'000; ++i) y = i % 2 ? y.squeeze({0}) : y.unsqueeze(0);
  Tensor kept = y;
  y = {};
  kept.backward(ones({1}, device()), true);
  EXPECT_EQ(x.grad().item(), 1);
  kept = {};  // a recursive destructor would overflow the stack here
}

// y_{k+1} = y_k + y_k: 2^64 paths through 64 nodes.
TEST(GraphShapesTest, ADiamondLadderOf64Levels) {
  const Tensor x = leaf(1);
  Tensor y = x;
  for (int i = 0; i < 64; ++i) y = y + y;
  y.backward();
  EXPECT_EQ(x.grad().item(), 0x1p64);
}

// The same with two different ops on each level, so that no operand is shared within a node.
TEST(GraphShapesTest, ADiamondLadderOfDifferentOps) {
  const Tensor x = leaf(1);
  Tensor y = x;
  for (int i = 0; i < 64; ++i) y = y * 0.5 + y * 0.5;
  y.backward();
  EXPECT_EQ(x.grad().item(), 1);
}

TEST(GraphShapesTest, AFanOutOf10000) {
  const Tensor x = leaf(2);
  std::vector<Tensor> branches;
  for (int i = 0; i < 10'000; ++i) branches.push_back(mul(x, i % 3));
  Tensor total = cat(branches);
  sum(total).backward();
  EXPECT_EQ(x.grad().item(), 9999) << "3333 * 0 + 3333 * 1 + 3333 * 2, and one 0 more";
}

TEST(GraphShapesTest, AFanInOf2000Leaves) {
  std::vector<Tensor> leaves;
  for (int i = 0; i < 2000; ++i) leaves.push_back(leaf(static_cast<float>(i)));
  Tensor total = leaves[0];
  for (std::size_t i = 1; i < leaves.size(); ++i) total = total + leaves[i] * 2;
  total.backward();
  EXPECT_EQ(leaves[0].grad().item(), 1);
  for (std::size_t i = 1; i < leaves.size(); ++i) EXPECT_EQ(leaves[i].grad().item(), 2);
}

// Short cuts of every length: a node is ready only when its deepest consumer was.
TEST(GraphShapesTest, EveryNodeUsesAllBeforeIt) {
  const Tensor x = leaf(1);
  std::vector<Tensor> nodes{x};
  for (int i = 0; i < 20; ++i) {
    Tensor next = nodes[0];
    for (std::size_t k = 1; k < nodes.size(); ++k) next = next + nodes[k];
    nodes.push_back(next * 1);
  }
  nodes.back().backward();
  EXPECT_EQ(x.grad().item(), 0x1p19);
}

TEST(GraphShapesTest, TwoBackwardCallsThroughOneTrunk) {
  const Tensor x = leaf(3);
  const Tensor trunk = x * x;
  const Tensor a = trunk * 2, b = trunk * 5;
  a.backward({}, true);
  b.backward();
  EXPECT_EQ(x.grad().item(), 42);
}

TEST(GraphShapesTest, TheOrderIsAlwaysTheSame) {
  // Summing in another order would round differently.
  Floats first;
  for (int run = 0; run < 5; ++run) {
    Tensor x = tensor({0.1f, 0.7f, -0.3f}, {3}, device()).set_requires_grad();
    Tensor total = exp(x);
    for (int i = 1; i < 12; ++i) total = total + exp(x * (0.37 * i)) * (1.0 / i);
    sum(total).backward();
    const Floats g = x.grad().to_vector<float>();
    if (run == 0) first = g;
    EXPECT_EQ(g, first);
  }
}

}  // namespace
}  // namespace flame
