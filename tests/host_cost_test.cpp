// What one small op costs the host, counted rather than timed: heap allocations, launches, and
// calls of the driver. `flame bench` measures the microseconds.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <new>

#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/ops/ops.h"
#include "tests/support/null_driver.h"

namespace {
std::size_t allocations = 0;  // the tests of this program use one thread
}

void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace flame {
namespace {

struct HostCostTest : testing::Test {
  struct Cost {
    std::size_t allocations;
    int launches, driver_allocations, compilations;
  };
  // Of one call, once kernels are loaded and blocks cached.
  Cost cost_of(const std::function<void()>& call) {
    for (int i = 0; i < 3; ++i) call();
    const Cost before{allocations, driver->launches, driver->allocations, driver->compilations};
    call();
    return {allocations - before.allocations, driver->launches - before.launches,
            driver->allocations - before.driver_allocations,
            driver->compilations - before.compilations};
  }
  Tensor one() { return randn({1}, device); }

  std::shared_ptr<test::NullDriver> driver = std::make_shared<test::NullDriver>();
  Device device{driver, DeviceOptions{}};
};

// The bounds are what there is now: a heap allocation is some 20 ns, a launch 3 us.
TEST_F(HostCostTest, AForwardOp) {
  const Tensor a = one(), b = one();
  const Cost cost = cost_of([&] {
    const NoGradGuard no_grad;
    add(a, b);
  });
  EXPECT_LE(cost.allocations, 3u);
  EXPECT_EQ(cost.launches, 1);
  EXPECT_EQ(cost.driver_allocations, 0);
  EXPECT_EQ(cost.compilations, 0);
}

TEST_F(HostCostTest, AnOpAndItsGradient) {
  const Tensor b = one(), gradient = one();
  const Tensor leaf = one().set_requires_grad();
  const Cost cost = cost_of([&] {
    const Tensor out = mul(leaf, b);
    grad(std::array{out}, std::array{leaf}, std::array{gradient});
  });
  EXPECT_LE(cost.allocations, 6u);
  EXPECT_EQ(cost.launches, 2);
  EXPECT_EQ(cost.driver_allocations, 0);
  EXPECT_EQ(cost.compilations, 0);
}

TEST_F(HostCostTest, AView) {
  const Tensor m = randn({4, 6}, device);
  const Cost cost = cost_of([&] { transpose(m, 0, 1); });
  EXPECT_LE(cost.allocations, 4u);
  EXPECT_EQ(cost.launches, 0);
  EXPECT_EQ(cost.driver_allocations, 0);
}

}  // namespace
}  // namespace flame
