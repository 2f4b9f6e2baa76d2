// One device's runtime: kernels loaded once, faults that device code reports, random numbers,
// options from the environment, and no GPU.
#include "lib/tensor/runtime.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/launch.h"
#include "tests/support/expect_error.h"
#include "tests/support/limited_driver.h"
#include "tests/support/null_driver.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using test::device;
using test::expect_error;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

TEST(RuntimeTest, AKernelIsCompiledOnceADevice) {
  auto driver = std::make_shared<test::LimitedDriver>(test::open_driver(), std::size_t{1} << 30);
  const Device own(driver);
  const Tensor x = full({4}, 1, own);
  const Tensor first = exp(x);
  const int compiled = driver->compilations, launched = driver->launches;
  for (int i = 0; i < 10; ++i) exp(x);
  EXPECT_EQ(driver->compilations, compiled);
  EXPECT_EQ(driver->launches, launched + 10);
  exp(full({4}, 1, {own, DType::kFloat64}));
  EXPECT_GT(driver->compilations, compiled) << "another dtype is another kernel";
}

TEST(RuntimeTest, AnUnknownKernelIsAJitError) {
  expect_error<JitError>(
      [] {
        device().runtime().kernel({"unary.cu", "no_such_kernel<float>"});
      },
      {"no_such_kernel"});
  expect_error<JitError>(
      [] {
        device().runtime().kernel({"no_such.cu", "f<float>"});
      },
      {"no_such.cu"});
}

TEST(RuntimeTest, AnExpressionIsItsText) {
  const Expression vector = expression("binary_forward", "Add", DType::kFloat32, 4);
  EXPECT_EQ(std::string(vector), "binary_forward<Add, float, 4>");
  EXPECT_TRUE(vector.is("binary_forward<Add, float, 4>"));
  for (const char* other :
       {"binary_forward<Add, float, 40>", "binary_forward<Add, float>",
        "binary_forward<Add, float, 4", "binary_forward<Add, double, 4>",
        "binary_forward<Adds, float, 4>", "binary_forward", "", "binary_forward<Add, float, 4> "})
    EXPECT_FALSE(vector.is(other)) << other;
  EXPECT_EQ(std::string(expression("f", -12, true, std::string("g<0, 1>"))),
            "f<-12, true, g<0, 1>>");
  EXPECT_EQ(std::string(expression("f")), "f");
  EXPECT_TRUE(Expression("f").is("f"));
  expect_error<ValueError>([] { expression("f", 1, 2, 3, 4, 5, 6, 7); }, {"f", "7"});
}

// Names that a hash of little text cannot tell apart.
TEST(RuntimeTest, KernelsOfLikeNamesAreTwo) {
  const auto driver = std::make_shared<test::NullDriver>();
  const Device own(driver, DeviceOptions{});
  const auto handle = [&](std::string_view file, std::string_view functor) {
    return own.runtime().kernel({file, expression("kernel", functor, 4)});
  };
  const driver::KernelHandle first = handle("a.cu", "Axe");
  EXPECT_NE(first, handle("a.cu", "Ape"));
  EXPECT_NE(first, handle("b.cu", "Axe"));
  EXPECT_EQ(driver->compilations, 3);
  EXPECT_EQ(first, handle("a.cu", std::string("Axe")));
  EXPECT_EQ(driver->compilations, 3);
}

TEST(RuntimeTest, ALaunchWithTheWrongArgumentsIsRefused) {
  const Tensor x = full({4}, 1, device());
  expect_error<DriverError>(
      [&] {
        launch(device(), {"random.cu", expression("random", "Uniform", DType::kFloat32)}, {1}, {32},
               0, x.data());
      },
      {"random"});
  EXPECT_EQ(x.to_vector<float>(), Floats(4, 1)) << "the device stays usable";
}

Tensor index(std::vector<std::int64_t> values) {
  return tensor(std::span<const std::int64_t>(values), {std::ssize(values)},
                {device(), DType::kInt64});
}

TEST(FaultTest, ABadIndexIsReportedAtTheNextSynchronisation) {
  const Tensor x = tensor({1, 2, 3}, {3}, device());
  const auto before = device().memory_stats().live_blocks;
  {
    const Tensor bad = gather(x, 0, index({0, 7, 2}));
    expect_error<IndexError>([&] { device().synchronize(); },
                             {"gather", "index 7", "[0, 3)", "position 1"});
    device().synchronize();  // said once
    const Floats got = bad.to_vector<float>();
    EXPECT_EQ(got[0], 1);
    EXPECT_TRUE(std::isnan(got[1])) << "what a wrong index reads";
    EXPECT_EQ(got[2], 3);
  }
  EXPECT_EQ(device().memory_stats().live_blocks, before);
  EXPECT_EQ(gather(x, 0, index({2, 0})).to_vector<float>(), (Floats{3, 1}));
}

TEST(FaultTest, ReadbackReportsItToo) {
  const Tensor x = tensor({1, 2, 3}, {3}, device());
  const Tensor bad = gather(x, 0, index({-1}));
  expect_error<IndexError>([&] { bad.to_vector<float>(); }, {"gather", "index -1", "[0, 3)"});
  EXPECT_EQ(x.to_vector<float>(), (Floats{1, 2, 3}));
}

TEST(FaultTest, OfSeveralTheFirstIsNamedAndNoneIsLeft) {
  const Tensor x = tensor({1, 2, 3}, {3}, device());
  const Tensor a = gather(x, 0, index({5})), b = gather(x, 0, index({6}));
  expect_error<IndexError>([&] { device().synchronize(); }, {"index 5"});
  device().synchronize();
}

TEST(FaultTest, ADeviceMayDieWithAFaultPending) {
  const Device own = test::new_device();
  const std::int64_t one = 1;
  const Tensor x = full({1}, 1, own);
  gather(x, 0, tensor(std::span(&one, 1), {1}, {own, DType::kInt64}));
}

TEST(FaultTest, GoodIndicesRaiseNothing) {
  const Tensor x = tensor({1, 2, 3}, {3}, device());
  for (int i = 0; i < 50; ++i) gather(x, 0, index({0, 1, 2}));
  device().synchronize();
}

TEST(RandomTest, ASeedGivesTheSameNumbers) {
  const TensorOptions f64(device(), DType::kFloat64);
  device().manual_seed(11);
  const Doubles u = rand({100}, f64).to_vector<double>(), n = randn({100}, f64).to_vector<double>();
  const auto i = randint(-5, 5, {100}, {device(), DType::kInt64}).to_vector<std::int64_t>();
  device().manual_seed(11);
  EXPECT_EQ(rand({100}, f64).to_vector<double>(), u);
  EXPECT_EQ(randn({100}, f64).to_vector<double>(), n);
  EXPECT_EQ(randint(-5, 5, {100}, {device(), DType::kInt64}).to_vector<std::int64_t>(), i);
  device().manual_seed(12);
  EXPECT_NE(rand({100}, f64).to_vector<double>(), u);
}

TEST(RandomTest, ADevicesSequenceIsItsOwn) {
  const Device a = test::new_device(), b = test::new_device();
  a.manual_seed(5);
  b.manual_seed(5);
  rand({3}, a);
  rand({3}, b);
  EXPECT_EQ(rand({9}, a).to_vector<float>(), rand({9}, b).to_vector<float>());
}

TEST(RandomTest, CallsDoNotOverlap) {
  device().manual_seed(1);
  Doubles all;
  for (std::int64_t n : {1, 2, 3, 7, 64, 1001}) {
    const Doubles v = rand({n}, {device(), DType::kFloat64}).to_vector<double>();
    all.insert(all.end(), v.begin(), v.end());
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end()) << "53-bit numbers met twice";
}

// Mean and variance of `v` within five standard errors of a distribution's with those moments.
void expect_moments(const Doubles& v, double mean, double variance, double fourth) {
  const double n = static_cast<double>(v.size());
  double m = 0, s = 0;
  for (double x : v) m += x / n;
  for (double x : v) s += (x - mean) * (x - mean) / n;
  EXPECT_NEAR(m, mean, 5 * std::sqrt(variance / n));
  EXPECT_NEAR(s, variance, 5 * std::sqrt((fourth - variance * variance) / n));
}

TEST(RandomTest, TheNumbersAreOfTheirDistributions) {
  device().manual_seed(2);
  for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    const auto draw = [&](auto op) {
      return op(Shape{20'000}, TensorOptions(device(), dtype))
          .to(DType::kFloat64)
          .template to_vector<double>();
    };
    const Doubles u = draw([](const Shape& s, const TensorOptions& o) { return rand(s, o); });
    for (double x : u) ASSERT_TRUE(x >= 0 && x < 1) << name(dtype) << ": " << x;
    expect_moments(u, 0.5, 1.0 / 12, 1.0 / 80);
    const Doubles g = draw([](const Shape& s, const TensorOptions& o) { return randn(s, o); });
    expect_moments(g, 0, 1, 3);
  }
}

TEST(RandomTest, IntegersReachBothEndsAndNoFurther) {
  device().manual_seed(3);
  const auto v = randint(-2, 3, {2000}, {device(), DType::kInt64}).to_vector<std::int64_t>();
  int count[5] = {};
  for (std::int64_t x : v) {
    ASSERT_TRUE(x >= -2 && x < 3) << x;
    ++count[x + 2];
  }
  for (int c : count) EXPECT_NEAR(c, 400, 5 * std::sqrt(2000 * 0.2 * 0.8));
  const auto wide = randint(INT64_MIN, INT64_MAX, {64}, {device(), DType::kInt64});
  int negative = 0;
  for (std::int64_t x : wide.to_vector<std::int64_t>()) negative += x < 0;
  EXPECT_TRUE(negative > 8 && negative < 56) << negative;
}

TEST(OptionsTest, TheEnvironmentIsReadStrictly) {
  struct Variable {
    Variable(const char* n, const char* value) : name(n) { setenv(n, value, 1); }
    ~Variable() { unsetenv(name); }
    const char* name;
  };
  {
    const Variable a("FLAME_MEM_LIMIT", "4096"), b("FLAME_ALLOCATOR", "direct");
    const DeviceOptions options = options_from_environment();
    EXPECT_EQ(options.memory_limit, 4096);
    EXPECT_TRUE(options.direct_allocator);
  }
  for (const auto& [name, value] : {std::pair{"FLAME_MEM_LIMIT", "4k"},
                                    {"FLAME_MEM_LIMIT", "-1"},
                                    {"FLAME_ALLOCATOR", "fast"},
                                    {"FLAME_SYNC", "yes"},
                                    {"FLAME_SEED", "abc"},
                                    {"FLAME_MATMUL_TUNING", "maybe"},
                                    {"FLAME_BLAS", "mkl"}}) {
    const Variable v(name, value);
    expect_error<ValueError>([] { options_from_environment(); }, {name, value});
  }
}

TEST(OptionsTest, SyncNamesTheKernelAndComputesTheSame) {
  DeviceOptions options;
  options.sync = true;
  const Device own = test::new_device(options);
  EXPECT_EQ(exp(zeros({3}, own)).to_vector<float>(), Floats(3, 1));
}

// There is no CPU fallback: without a GPU the library says so.
TEST(NoDeviceTest, CudaIsAGpuOrAnError) {
  if (driver::cuda_device_count() == 0) {
    expect_error<NoDeviceError>([] { Device::cuda(); });
    expect_error<NoDeviceError>([] { driver::open_cuda(0); });
  } else {
    const Device one = Device::cuda(), again = Device::cuda();
    EXPECT_TRUE(one == again) << "one runtime a GPU";
    EXPECT_EQ(ones({2}, one).to_vector<float>(), Floats(2, 1));
    expect_error<ValueError>([] { Device::cuda(99); }, {"99"});
  }
}

}  // namespace
}  // namespace flame
