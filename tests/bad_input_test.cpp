// Bad input: one typed error that names the op and the values; nothing launched, nothing leaked,
// and everything usable afterwards.
#include <gtest/gtest.h>

#include <cmath>

#include "conformance/runner/device_io.h"
#include "lib/autograd/apply.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "reference/contract.h"
#include "tests/support/expect_error.h"
#include "tests/support/limited_driver.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using test::expect_error;
using Floats = std::vector<float>;

constexpr std::int64_t kHuge = std::int64_t{1} << 62;

struct BadInputTest : testing::Test {
  std::shared_ptr<test::LimitedDriver> driver =
      std::make_shared<test::LimitedDriver>(test::open_driver(), std::size_t{1} << 28);
  Device device{driver};
  Tensor a = ones({2, 3}, device);
  Tensor b = ones({4, 5}, device);

  // Refused before any launch, and without a byte more in use.
  template <class E, class Call>
  void refused(Call call, std::initializer_list<std::string_view> mentions) {
    const int launches = driver->launches;
    const MemoryStats before = device.memory_stats();
    expect_error<E>(call, mentions);
    EXPECT_EQ(driver->launches, launches) << "something was launched";
    EXPECT_EQ(device.memory_stats().live_blocks, before.live_blocks);
    EXPECT_EQ(device.memory_stats().allocated, before.allocated);
  }
  void TearDown() override {
    EXPECT_EQ((a + 1).to_vector<float>(), Floats(6, 2)) << "the device is no longer usable";
  }
};

TEST_F(BadInputTest, Shapes) {
  refused<ShapeError>([&] { add(a, b); }, {"add", "(2, 3)", "(4, 5)"});
  refused<ShapeError>([&] { matmul(a, b); }, {"matmul", "(2, 3)", "(4, 5)"});
  const Tensor mask = a.to(DType::kBool);
  refused<ShapeError>([&] { where(mask, a, b); }, {"where", "(4, 5)"});
  refused<ShapeError>([&] { layer_norm(a, {4}); }, {"layer_norm", "(4)", "(2, 3)"});
  refused<ShapeError>([&] { conv2d(a, b); }, {"conv2d"});
  refused<ShapeError>([&] { max_pool2d(a, {2}); }, {"max_pool2d", "(2, 3)"});
  refused<ShapeError>([&] { cat(std::vector{a, b}); }, {"cat", "(2, 3)", "(4, 5)"});
  refused<ShapeError>([&] { a.reshape({4, 2}); }, {"reshape", "(2, 3)", "(4, 2)"});
  refused<ShapeError>([&] { a.expand({2, 4}); }, {"expand", "(2, 3)", "(2, 4)"});
}

TEST_F(BadInputTest, Dims) {
  refused<IndexError>([&] { softmax(a, 2); }, {"softmax", "dim 2", "[-2, 1]"});
  refused<IndexError>([&] { sum(a, {0, -3}); }, {"sum", "dim -3"});
  refused<ValueError>([&] { mean(a, {1, -1}); }, {"mean", "twice"});
  refused<IndexError>([&] { a.transpose(0, 2); }, {"transpose", "dim 2"});
  refused<IndexError>([&] { cat(std::vector{a, a}, 5); }, {"cat", "dim 5"});
  refused<IndexError>([&] { a.unsqueeze(4); }, {"unsqueeze", "4"});
  refused<IndexError>([&] { a.squeeze({7}); }, {"squeeze", "dim 7"});
}

TEST_F(BadInputTest, Indices) {
  refused<IndexError>([&] { a.select(0, 2); }, {"select", "2"});
  refused<IndexError>([&] { a.select(1, -4); }, {"select", "-4"});
  EXPECT_ANY_THROW(a.narrow(1, 2, 2));
  EXPECT_ANY_THROW(a.narrow(1, -4, 1));
  EXPECT_ANY_THROW(a.narrow(1, 0, -1));
  refused<ValueError>([&] { a.permute({0, 0}); }, {"permute", "(0, 0)"});
  EXPECT_ANY_THROW(a.permute({0}));
}

TEST_F(BadInputTest, DTypes) {
  const Tensor i = a.to(DType::kInt64), d = a.to(DType::kFloat64);
  refused<DTypeError>([&] { exp(i); }, {"exp", "int64"});
  refused<DTypeError>([&] { matmul(a, d); }, {"matmul", "float32", "float64"});
  refused<DTypeError>([&] { matmul(i, i); }, {"matmul", "int64"});
  refused<DTypeError>([&] { where(a, a, a); }, {"where", "condition", "float32"});
  refused<DTypeError>([&] { gather(a, 0, a); }, {"gather", "index", "float32"});
  refused<DTypeError>([&] { rand({2}, {device, DType::kInt32}); }, {"rand", "int32"});
}

TEST_F(BadInputTest, Devices) {
  const Device other = test::new_device();
  const Tensor elsewhere = ones({2, 3}, other);
  refused<DeviceError>([&] { add(a, elsewhere); }, {"add", "other"});
  refused<DeviceError>([&] { matmul(elsewhere, a); }, {"matmul"});
  refused<DeviceError>([&] { cat(std::vector{a, elsewhere}); }, {"cat"});
  refused<DeviceError>([&] { a.copy_(elsewhere); }, {"copy_"});
  refused<DeviceError>([&] { a.add_(elsewhere); }, {"add_"});
}

TEST_F(BadInputTest, NegativeSizes) {
  refused<ShapeError>([&] { empty({2, -1}, device); }, {"(2, -1)", "negative"});
  refused<ShapeError>([&] { full({-3}, 1, device); }, {"full", "(-3)"});
  refused<ShapeError>([&] { rand({-3}, device); }, {"rand", "(-3)"});
  refused<ShapeError>([&] { from_host(nullptr, 0, {-1}, device); }, {"(-1)"});
  EXPECT_ANY_THROW(a.reshape({-1, -1}));
  EXPECT_ANY_THROW(a.reshape({-2, -3}));
  EXPECT_ANY_THROW(a.expand({-2, 3}));
}

TEST_F(BadInputTest, SizesThatOverflow) {
  refused<ShapeError>([&] { empty({kHuge, 4}, device); }, {"overflow"});
  refused<ShapeError>([&] { zeros({kHuge}, device); }, {"full", "overflow"});
  refused<ShapeError>([&] { randn({kHuge, kHuge}, device); }, {"randn", "overflow"});
  refused<ShapeError>([&] { a.unsqueeze(0).expand({kHuge, 2, 3}); }, {"expand"});
  EXPECT_ANY_THROW(arange(0, 1e300, 1, device));
  EXPECT_ANY_THROW(a.reshape({kHuge, 4}));
  refused<ShapeError>([&] { ones({1, 1, 1, 1, 1, 1, 1, 1, 1}, device); }, {"9 dims"});
  EXPECT_ANY_THROW(ones(Shape(8, 1), device).unsqueeze(0));
}

TEST_F(BadInputTest, Values) {
  refused<ValueError>([&] { arange(0, 5, 0, device); }, {"arange", "step"});
  refused<ValueError>([&] { arange(0, 5, -1, device); }, {"arange", "5"});
  refused<ValueError>([&] { arange(0, NAN, 1, device); }, {"arange"});
  refused<ValueError>([&] { randint(3, 3, {2}, {device, DType::kInt64}); }, {"randint", "3"});
  refused<ValueError>([&] { gelu(a, "fast"); }, {"gelu", "fast"});
  refused<ValueError>([&] { div(a, 2, "ceil"); }, {"div", "ceil"});
  const Tensor image = ones({1, 2, 4, 4}, device), weight = ones({2, 2, 3, 3}, device);
  refused<ValueError>([&] { conv2d(image, weight, {}, {0}); }, {"conv2d", "stride", "0"});
  refused<ValueError>([&] { conv2d(image, weight, {}, {1}, {-1}); }, {"conv2d", "padding", "-1"});
  EXPECT_ANY_THROW(conv2d(image, weight, {}, {1}, {0}, {1}, 0));
  EXPECT_ANY_THROW(conv2d(image, weight, {}, {1}, {0}, {1}, 3));
  refused<ValueError>([&] { max_pool2d(image, {0}); }, {"max_pool2d", "0"});
  refused<ValueError>([&] { max_pool2d(image, {2}, {}, {2}); }, {"max_pool2d", "padding", "2"});
  EXPECT_ANY_THROW(cat(std::vector<Tensor>{}));
}

TEST_F(BadInputTest, UnknownOpsAndArguments) {
  refused<UnknownOpError>([&] { find_op("sofmax"); }, {"sofmax", "softmax"});
  refused<ValueError>(
      [&] {
        apply(find_op("exp"), {a}, {{"dim", std::int64_t{1}}});
      },
      {"exp", "dim"});
  refused<ValueError>([&] { apply(find_op("softmax"), {a}, {}); }, {"softmax", "dim"});
  refused<ValueError>([&] { apply(find_op("exp"), {a, a}, {}); }, {"exp", "1", "2"});
  refused<ValueError>([&] { apply(find_op("softmax"), {a}, {{"dim", 0.5}}); }, {"dim", "0.5"});
  refused<DeviceError>([&] { apply(find_op("exp"), {Tensor()}, {}); }, {"exp", "input"});
}

// Every call that a contract says must fail does, with the error it says.
TEST_F(BadInputTest, WhatTheContractsSayMustFail) {
  int tried = 0;
  for (const reference::Contract* contract : reference::all_contracts()) {
    if (!contract->error_cases) continue;
    const OpDef& op = find_op(contract->op);
    for (const reference::ErrorCase& e : contract->error_cases()) {
      SCOPED_TRACE(std::string(contract->op) + " " + e.name);
      std::vector<Tensor> inputs;
      for (const auto& host : reference::draw_inputs(e.inputs, e.dtype, 1))
        inputs.push_back(host.defined ? conformance::upload(device, host) : Tensor());
      const auto before = device.memory_stats().live_blocks;
      const int launches = driver->launches;
      bool thrown = false;
      try {
        apply(op, inputs, e.attrs, &device);
        device.synchronize();
      } catch (const Error& error) {
        thrown = true;
        EXPECT_NE(std::string(typeid(error).name()).find(e.error), std::string::npos)
            << typeid(error).name() << ": " << error.what();
        EXPECT_NE(std::string(error.what()).find(contract->op), std::string::npos) << error.what();
        for (const std::string& mention : e.mentions)
          EXPECT_NE(std::string(error.what()).find(mention), std::string::npos)
              << error.what() << " does not mention " << mention;
      }
      EXPECT_TRUE(thrown);
      EXPECT_TRUE(e.deferred || driver->launches == launches) << "something was launched";
      EXPECT_EQ(device.memory_stats().live_blocks, before);
      ++tried;
    }
  }
  EXPECT_GT(tried, 40);
}

// Zero elements are no error where PyTorch takes them.
TEST_F(BadInputTest, EmptyTensorsAreAllowed) {
  const Tensor none = zeros({0, 3}, device);
  EXPECT_EQ((none + 1).shape(), (Shape{0, 3}));
  EXPECT_EQ(add(none, ones({1, 3}, device)).shape(), (Shape{0, 3}));
  EXPECT_EQ(exp(none).to_vector<float>(), Floats{});
  EXPECT_EQ(sum(none).item(), 0);
  EXPECT_EQ(sum(none, {0}).to_vector<float>(), Floats(3, 0));
  EXPECT_TRUE(std::isnan(mean(none).item()));
  EXPECT_EQ(softmax(none, 1).shape(), (Shape{0, 3}));
  EXPECT_EQ(matmul(none, ones({3, 2}, device)).shape(), (Shape{0, 2}));
  EXPECT_EQ(matmul(zeros({2, 0}, device), zeros({0, 2}, device)).to_vector<float>(), Floats(4, 0));
  EXPECT_EQ(cat(std::vector{none, a}).shape(), (Shape{2, 3}));
  EXPECT_EQ(layer_norm(none, {3}).shape(), (Shape{0, 3}));
  EXPECT_EQ(none.transpose(0, 1).reshape({0}).shape(), Shape{0});
  EXPECT_EQ(gather(a, 0, zeros({0, 3}, {device, DType::kInt64})).shape(), (Shape{0, 3}));
  EXPECT_EQ(amax(none, {1}).shape(), Shape{0});
  EXPECT_ANY_THROW(amax(none, {0})) << "the largest of nothing";
  EXPECT_EQ(arange(2, 2, 1, device).shape(), Shape{0});
  EXPECT_EQ(rand({0}, device).to_vector<float>(), Floats{});
}

}  // namespace
}  // namespace flame
