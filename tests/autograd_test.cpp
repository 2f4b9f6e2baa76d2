// lib/autograd: what a gradient is, where it goes, and when there is none.
#include <gtest/gtest.h>

#include <thread>

#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/tensor_impl.h"
#include "tests/support/expect_error.h"
#include "tests/support/limited_driver.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using test::device;
using test::expect_error;
using Floats = std::vector<float>;

Tensor leaf(std::initializer_list<float> values) {
  return tensor(values, {std::ssize(values)}, device()).set_requires_grad();
}
Tensor constant(std::initializer_list<float> values) {
  return tensor(values, {std::ssize(values)}, device());
}
Floats values(const Tensor& t) { return t.to_vector<float>(); }

TEST(AutogradTest, TheSameTensorAsBothOperands) {
  const Tensor x = leaf({2, 3});
  mul(x, x).backward(constant({1, 10}));
  EXPECT_EQ(values(x.grad()), (Floats{4, 60}));
  const Tensor y = leaf({2, 3});
  add(y, y, -1).backward(constant({1, 1}));
  EXPECT_EQ(values(y.grad()), (Floats{0, 0}));
  const Tensor z = leaf({2, 4});
  div(z, z).backward(constant({1, 1}));
  EXPECT_EQ(values(z.grad()), (Floats{0, 0}));
  Tensor m = tensor({1, 2, 3, 4}, {2, 2}, device()).set_requires_grad();
  sum(matmul(m, m)).backward();
  EXPECT_EQ(values(m.grad()), (Floats{7, 11, 9, 13}));
}

TEST(AutogradTest, PathsThatMeetAreAdded) {
  const Tensor x = leaf({1, 2});
  const Tensor a = x * 2, b = x * 3;
  (a + b + x).backward(constant({1, 1}));
  EXPECT_EQ(values(x.grad()), (Floats{6, 6}));
}

TEST(AutogradTest, TwoBackwardCallsAccumulate) {
  const Tensor x = leaf({2, 3});
  const Tensor y = x * x;
  y.backward(constant({1, 1}), true);
  y.backward(constant({1, 1}));
  EXPECT_EQ(values(x.grad()), (Floats{8, 12}));
  expect_error<AutogradError>(
      [&] {
        y.backward(constant({1, 1}));
      },
      {"mul", "freed", "retain_graph"});
  EXPECT_EQ(values(x.grad()), (Floats{8, 12})) << "a backward that failed left something behind";
}

TEST(AutogradTest, ZeroGradStartsAfresh) {
  Tensor x = leaf({2});
  EXPECT_FALSE(x.grad().defined());
  (x * 3).backward();
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
  (x * 5).backward();
  EXPECT_EQ(values(x.grad()), Floats{5});
}

TEST(AutogradTest, ANonScalarNeedsAGradient) {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 2;
  expect_error<AutogradError>([&] { y.backward(); }, {"(2)", "gradient"});
  y.backward(constant({1, 2}));
  EXPECT_EQ(values(x.grad()), (Floats{2, 4}));
}

TEST(AutogradTest, TheGivenGradientMustFit) {
  const Tensor y = leaf({1, 2}) * 2;
  expect_error<ShapeError>([&] { y.backward(constant({1})); }, {"(1)", "(2)"});
  expect_error<DTypeError>(
      [&] {
        y.backward(constant({1, 2}).to(DType::kFloat64));
      },
      {"float64", "float32"});
  const Device other = test::new_device();
  expect_error<DeviceError>([&] { y.backward(ones({2}, other)); }, {"device"});
  y.backward(constant({1, 2}));
}

TEST(AutogradTest, WithoutAGraphThereIsNothingToDo) {
  expect_error<AutogradError>([] { constant({1}).backward(); }, {"backward", "graph"});
  expect_error<AutogradError>([] { (constant({1}) * 2).backward(); }, {"backward", "graph"});
}

TEST(AutogradTest, ALeafIsItsOwnGraph) {
  const Tensor x = leaf({3});
  x.backward();
  EXPECT_EQ(values(x.grad()), Floats{1});
}

TEST(AutogradTest, ASavedTensorMustNotChange) {
  const Tensor x = leaf({1, 2});
  Tensor w = constant({3, 4});
  const Tensor y = x * w;
  w.add_(constant({1, 1}));
  expect_error<VersionError>([&] { y.backward(constant({1, 1})); }, {"mul", "(2)", "in place"});
  EXPECT_FALSE(x.grad().defined());
  (x * w).backward(constant({1, 1}));
  EXPECT_EQ(values(x.grad()), (Floats{4, 5})) << "the next graph is not affected";
}

TEST(AutogradTest, ASavedTensorMustNotChangeThroughAViewEither) {
  const Tensor x = leaf({1, 2});
  const Tensor w = constant({3, 4});
  const Tensor y = x * w;
  w.narrow(0, 0, 1).fill_(0);
  expect_error<VersionError>([&] { y.backward(constant({1, 1})); }, {"mul"});
  Tensor z = leaf({1, 2});
  const Tensor e = relu(z);
  e.detach().fill_(0);
  expect_error<VersionError>([&] { e.backward(constant({1, 1})); }, {"relu"});
}

TEST(AutogradTest, WhatWasNotSavedMayChange) {
  const Tensor x = leaf({1, 2});
  Tensor w = constant({3, 4});
  const Tensor y = x + w;
  w.fill_(0);
  y.backward(constant({1, 1}));
  EXPECT_EQ(values(x.grad()), (Floats{1, 1}));
}

TEST(AutogradTest, InPlaceOnALeafNeedsNoGrad) {
  Tensor x = leaf({1, 2});
  expect_error<AutogradError>([&] { x.fill_(0); }, {"fill_", "leaf"});
  expect_error<AutogradError>([&] { x.add_(constant({1, 1})); }, {"add_", "leaf"});
  EXPECT_EQ(values(x), (Floats{1, 2}));
  {
    const NoGradGuard guard;
    x.add_(constant({1, 1}), -0.5);
  }
  EXPECT_EQ(values(x), (Floats{0.5f, 1.5f}));
  EXPECT_TRUE(x.requires_grad());
  Tensor y = x * 2;
  expect_error<AutogradError>([&] { y.zero_(); }, {"fill_"});
}

TEST(AutogradTest, DetachCutsAndShares) {
  const Tensor x = leaf({2});
  const Tensor d = x.detach();
  EXPECT_FALSE(d.requires_grad());
  EXPECT_EQ(d.data(), x.data());
  (x * d).backward();
  EXPECT_EQ(values(x.grad()), Floats{2});
}

TEST(AutogradTest, NoGradIsNestedAndOfItsThread) {
  const Tensor x = leaf({2});
  EXPECT_TRUE(grad_enabled());
  {
    const NoGradGuard outer;
    { const NoGradGuard inner; }
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE((x * 2).requires_grad());
    bool other = false;
    std::thread([&] { other = grad_enabled() && (x * 2).requires_grad(); }).join();
    EXPECT_TRUE(other) << "the guard reached into another thread";
  }
  EXPECT_TRUE((x * 2).requires_grad());
}

TEST(AutogradTest, BackwardWorksUnderNoGrad) {
  const Tensor x = leaf({2});
  const Tensor y = x * x;
  const NoGradGuard guard;
  y.backward();
  EXPECT_EQ(values(x.grad()), Floats{4});
  EXPECT_FALSE(x.grad().requires_grad());
}

TEST(AutogradTest, OnlyFloatingLeavesRequireGrad) {
  Tensor i = constant({1}).to(DType::kInt64);
  expect_error<AutogradError>([&] { i.set_requires_grad(); }, {"int64"});
  Tensor y = leaf({1}) * 2;
  expect_error<AutogradError>([&] { y.set_requires_grad(false); }, {"leaf"});
  EXPECT_FALSE(y.is_leaf());
}

TEST(AutogradTest, GradLeavesTheLeavesAlone) {
  const Tensor x = leaf({1, 2}), unused = leaf({5});
  const Tensor y = x * x, z = sum(y);
  const std::vector<Tensor> g = grad(std::vector{z}, std::vector{x, unused, y, z}, {}, true);
  EXPECT_EQ(values(g[0]), (Floats{2, 4}));
  EXPECT_FALSE(g[1].defined()) << "an input that was not used";
  EXPECT_EQ(values(g[2]), (Floats{1, 1})) << "of an intermediate";
  EXPECT_EQ(values(g[3]), Floats{1}) << "of the output itself";
  EXPECT_FALSE(x.grad().defined());
  z.backward();
  EXPECT_EQ(values(x.grad()), (Floats{2, 4}));
}

TEST(AutogradTest, GradOfSeveralOutputs) {
  const Tensor x = leaf({1, 2});
  const std::vector<Tensor> outputs{x * 2, x * x};
  const std::vector<Tensor> seeds{constant({1, 1}), constant({10, 10})};
  EXPECT_EQ(values(grad(outputs, std::vector{x}, seeds)[0]), (Floats{22, 42}));
}

TEST(AutogradTest, GradRefusesWhatIsNotInTheGraph) {
  const Tensor x = leaf({1}), c = constant({1});
  const Tensor y = x * 2;
  expect_error<AutogradError>([&] { grad(std::vector{y}, std::vector{c}, {}); }, {"input 0"});
  expect_error<AutogradError>([&] { grad(std::vector{c}, std::vector{x}, {}); }, {"graph"});
  expect_error<AutogradError>([&] { grad(std::vector{Tensor()}, std::vector{x}, {}); },
                              {"output 0"});
  const std::vector<Tensor> two{c, c};
  expect_error<ValueError>([&] { grad(std::vector{y}, std::vector{x}, two); },
                           {"2 gradients", "1"});
}

TEST(AutogradTest, GradientsAreNobodyElsesMemory) {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4});
  Tensor g = constant({1, 1});
  (a + b).backward(g);
  g.fill_(7);
  a.grad().fill_(9);
  EXPECT_EQ(values(b.grad()), (Floats{1, 1}));
  const Tensor x = leaf({1, 2});
  Tensor h = constant({1, 2});
  const Tensor got =
      grad(std::vector{x.reshape({2, 1}).reshape({2})}, std::vector{x}, std::vector{h})[0];
  h.fill_(0);
  EXPECT_EQ(values(got), (Floats{1, 2}));
}

// Sums, joined tensors and copies hand on what came, or a view of it, to what comes before them;
// only the products launch: one kernel each.
TEST(AutogradTest, WhatIsTheGradientThatCameFlowsOnWithoutAKernel) {
  const auto driver =
      std::make_shared<test::LimitedDriver>(test::open_driver(), std::size_t{1} << 28);
  const Device own{driver};
  const auto leaf_of = [&](std::initializer_list<float> v) {
    return tensor(v, {std::ssize(v)}, own).set_requires_grad();
  };
  const Tensor x = leaf_of({1, 2}), y = leaf_of({3, 4});
  const auto launches_of = [&](const Tensor& z, const Tensor& g) {
    x.impl()->grad = y.impl()->grad = {};
    const int before = driver->launches;
    z.backward(g);
    return driver->launches - before;
  };
  const Tensor two = tensor({1, 10}, {2}, own), four = tensor({1, 10, 100, 1000}, {4}, own);
  EXPECT_EQ(launches_of(add(x * 2, y * 3), two), 2);
  EXPECT_EQ(values(x.grad()), (Floats{2, 20}));
  EXPECT_EQ(values(y.grad()), (Floats{3, 30}));
  EXPECT_EQ(launches_of(add(x * 2, y * 3, -1), two), 3) << "the second one's is negated";
  EXPECT_EQ(values(y.grad()), (Floats{-3, -30}));
  EXPECT_EQ(launches_of(cat(std::vector{x * 2, y * 3}, 0), four), 2);
  EXPECT_EQ(values(x.grad()), (Floats{2, 20}));
  EXPECT_EQ(values(y.grad()), (Floats{300, 3000}));
  EXPECT_EQ(launches_of(add(x, y), two), 1) << "leaves get memory of their own, by one kernel";
}

TEST(AutogradTest, ABroadcastOperandGetsTheSum) {
  const Tensor row = leaf({1, 2, 3});
  Tensor column = tensor({10, 20}, {2, 1}, device()).set_requires_grad();
  sum(row * column).backward();
  EXPECT_EQ(values(row.grad()), (Floats{30, 30, 30}));
  EXPECT_EQ(values(column.grad()), (Floats{6, 6}));
  EXPECT_EQ(column.grad().shape(), (Shape{2, 1}));
}

TEST(AutogradTest, NumbersAndMasksHaveNoGradient) {
  const Tensor x = leaf({-1, 2}), y = leaf({5, 6});
  const Tensor mask = constant({1, 0}).to(DType::kBool);
  where(mask, x, y).backward(constant({1, 1}));
  EXPECT_EQ(values(x.grad()), (Floats{1, 0}));
  EXPECT_EQ(values(y.grad()), (Floats{0, 1}));
  EXPECT_FALSE(mask.requires_grad());
  EXPECT_FALSE(x.to(DType::kInt32).requires_grad());
}

TEST(AutogradTest, ConversionCarriesTheGradientBack) {
  const Tensor x = leaf({1, 2});
  const Tensor y = x.to(DType::kFloat64) * 3;
  y.backward(ones({2}, {device(), DType::kFloat64}));
  EXPECT_EQ(x.grad().dtype(), DType::kFloat32);
  EXPECT_EQ(values(x.grad()), (Floats{3, 3}));
}

TEST(AutogradTest, EmptyTensorsHaveEmptyGradients) {
  Tensor x = zeros({0, 3}, {device(), DType::kFloat32, true});
  sum(x * 2).backward();
  EXPECT_EQ(x.grad().shape(), (Shape{0, 3}));
}

TEST(AutogradTest, SetGradMustFit) {
  Tensor x = leaf({1, 2});
  expect_error<ShapeError>([&] { x.set_grad(constant({1})); }, {"set_grad", "(1)", "(2)"});
  const Device other = test::new_device();
  expect_error<DeviceError>([&] { x.set_grad(ones({2}, other)); }, {"set_grad"});
  x.set_grad(constant({1, 1}));
  (x * 2).backward(constant({1, 1}));
  EXPECT_EQ(values(x.grad()), (Floats{3, 3}));
}

TEST(AutogradTest, AGraphGivesItsMemoryBack) {
  const Device own = test::new_device();
  Tensor x = ones({64}, {own, DType::kFloat32, true});
  const auto before = own.memory_stats().live_blocks;
  {
    Tensor y = x;
    for (int i = 0; i < 10; ++i) y = exp(y * 0.1);
    EXPECT_GT(own.memory_stats().live_blocks, before);
  }
  EXPECT_EQ(own.memory_stats().live_blocks, before) << "a graph that was never run backward";
  sum(x * x).backward();
  EXPECT_EQ(own.memory_stats().live_blocks, before + 1) << "the gradient alone stays";
}

}  // namespace
}  // namespace flame
