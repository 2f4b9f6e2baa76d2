// The stream-ordered pool: what it reuses, what it counts, and what happens when memory runs out.
#include "lib/tensor/allocator.h"

#include <gtest/gtest.h>

#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "tests/support/expect_error.h"
#include "tests/support/limited_driver.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using test::expect_error;
using test::LimitedDriver;

constexpr std::size_t kBudget = std::size_t{64} << 20;

struct AllocatorTest : testing::Test {
  std::shared_ptr<LimitedDriver> driver =
      std::make_shared<LimitedDriver>(test::open_driver(), kBudget);
};

TEST_F(AllocatorTest, AFreedBlockIsUsedAgainOnItsStream) {
  const driver::StreamHandle one = driver->create_stream(), two = driver->create_stream();
  {
    Allocator pool(driver, false, 0);
    void* p = pool.allocate(1000, one, "a");
    pool.deallocate(p, 1000, one);
    void* other = pool.allocate(1000, two, "b");
    EXPECT_NE(other, p) << "work of stream one may still use it";
    EXPECT_EQ(pool.allocate(1000, one, "c"), p);
    EXPECT_EQ(driver->allocations, 2);
  }
  driver->destroy_stream(one);
  driver->destroy_stream(two);
}

TEST_F(AllocatorTest, LiveBlocksNeverOverlap) {
  Allocator pool(driver, false, 0);
  std::vector<std::pair<char*, std::size_t>> live;
  for (std::size_t bytes : {1u, 511u, 512u, 513u, 4096u, 100'000u, 1'048'576u, 1'048'577u}) {
    char* p = static_cast<char*>(pool.allocate(bytes, 0, "block"));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0u);
    for (const auto& [q, size] : live) EXPECT_TRUE(p + bytes <= q || q + size <= p);
    live.emplace_back(p, bytes);
  }
}

TEST_F(AllocatorTest, DirectGivesEveryBlockBack) {
  Allocator direct(driver, true, 0);
  void* p = direct.allocate(1000, 0, "a");
  EXPECT_EQ(driver->size_of_block(p), 1000u) << "direct takes exactly what was asked for";
  direct.deallocate(p, 1000, 0);
  EXPECT_EQ(driver->deallocations, 1);
  EXPECT_EQ(driver->used(), 0u);
  EXPECT_EQ(direct.stats().reserved, 0);
}

TEST_F(AllocatorTest, NothingIsAllocatedForNothing) {
  Allocator pool(driver, false, 0);
  EXPECT_EQ(pool.allocate(0, 0, "empty"), nullptr);
  pool.deallocate(nullptr, 0, 0);
  EXPECT_EQ(driver->allocations, 0);
  EXPECT_EQ(pool.stats().total_allocations, 0);
}

TEST_F(AllocatorTest, CountsWhatItHolds) {
  Allocator pool(driver, false, 0);
  void* a = pool.allocate(4096, 0, "a");
  void* b = pool.allocate(8192, 0, "b");
  const MemoryStats both = pool.stats();
  EXPECT_GE(both.allocated, 4096 + 8192);
  EXPECT_EQ(both.live_blocks, 2);
  EXPECT_EQ(both.reserved, static_cast<std::int64_t>(driver->used()));
  pool.deallocate(a, 4096, 0);
  const MemoryStats one = pool.stats();
  EXPECT_EQ(one.live_blocks, 1);
  EXPECT_EQ(one.peak, both.allocated);
  EXPECT_EQ(one.reserved, both.reserved) << "kept for reuse";
  pool.reset_peak();
  EXPECT_EQ(pool.stats().peak, one.allocated);
  pool.deallocate(b, 8192, 0);
  pool.trim();
  EXPECT_EQ(pool.stats().reserved, 0);
  EXPECT_EQ(driver->used(), 0u);
  EXPECT_EQ(pool.stats().total_allocations, 2);
}

TEST_F(AllocatorTest, TheDestructorGivesTheCacheBack) {
  {
    Allocator pool(driver, false, 0);
    pool.deallocate(pool.allocate(1 << 20, 0, "a"), 1 << 20, 0);
    EXPECT_GT(driver->used(), 0u);
  }
  EXPECT_EQ(driver->used(), 0u);
}

TEST_F(AllocatorTest, TheLimitHolds) {
  Allocator pool(driver, false, 1 << 20);
  void* p = pool.allocate(700 << 10, 0, "a");
  expect_error<OutOfMemoryError>([&] { pool.allocate(700 << 10, 0, "weights"); },
                                 {"716800", "weights", "1048576", "FLAME_MEM_LIMIT"});
  const MemoryStats stats = pool.stats();
  EXPECT_EQ(stats.live_blocks, 1);
  EXPECT_EQ(stats.total_allocations, 1);
  pool.deallocate(p, 700 << 10, 0);
  pool.deallocate(pool.allocate(900 << 10, 0, "b"), 900 << 10, 0);  // the cached block makes room
}

TEST_F(AllocatorTest, OutOfMemoryEmptiesTheCacheBeforeItGivesUp) {
  Allocator pool(driver, false, 0);
  std::vector<void*> small;
  for (int i = 0; i < 60; ++i) small.push_back(pool.allocate(1 << 20, 0, "small"));
  for (void* p : small) pool.deallocate(p, 1 << 20, 0);
  void* big = pool.allocate(40 << 20, 0, "big");  // fits only when the small ones are gone
  ASSERT_NE(big, nullptr);
  expect_error<OutOfMemoryError>([&] { pool.allocate(40 << 20, 0, "second"); },
                                 {"41943040", "second"});
  void* more = pool.allocate(10 << 20, 0, "more");
  EXPECT_EQ(pool.stats().live_blocks, 2);
  pool.deallocate(big, 40 << 20, 0);
  pool.deallocate(more, 10 << 20, 0);
}

TEST_F(AllocatorTest, TheSameCallsGiveTheSameAddresses) {
  Allocator pool(driver, false, 0);
  const auto step = [&] {
    std::vector<void*> out;
    for (std::size_t bytes : {100u, 5000u, 100u, 2'000'000u, 5000u})
      out.push_back(pool.allocate(bytes, 0, "step"));
    const std::size_t sizes[] = {100, 5000, 100, 2'000'000, 5000};
    for (std::size_t i = out.size(); i-- > 0;) pool.deallocate(out[i], sizes[i], 0);
    return out;
  };
  const std::vector<void*> first = step();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(step(), first);
  EXPECT_EQ(driver->allocations, 5);
  EXPECT_EQ(pool.stats().driver_allocations, 5);
  EXPECT_EQ(pool.stats().total_allocations, 20);
}

TEST_F(AllocatorTest, TrimKeepsWhatItIsTold) {
  Allocator pool(driver, false, 0);
  void* live = pool.allocate(3 << 20, 0, "live");
  for (std::size_t bytes : {1u << 20, 4u << 20, 2u << 20})
    pool.deallocate(pool.allocate(bytes, 0, "cached"), bytes, 0);
  EXPECT_EQ(pool.stats().reserved, 10 << 20);
  pool.trim(16 << 20);
  EXPECT_EQ(pool.stats().reserved, 10 << 20) << "less than that is cached";
  pool.trim(3 << 20);
  EXPECT_EQ(pool.stats().reserved, 6 << 20) << "the largest goes first";
  EXPECT_EQ(driver->deallocations, 1);
  pool.trim(2 << 20);
  EXPECT_EQ(pool.stats().reserved, 4 << 20);
  pool.trim();
  EXPECT_EQ(pool.stats().reserved, 3 << 20);
  EXPECT_EQ(driver->used(), 3u << 20) << "what is in use stays";
  pool.deallocate(live, 3 << 20, 0);
}

TEST_F(AllocatorTest, TheLimitTakesNoMoreFromTheCacheThanItMust) {
  Allocator pool(driver, false, 10 << 20);
  void* small = pool.allocate(1 << 20, 0, "small");
  void* large = pool.allocate(6 << 20, 0, "large");
  pool.deallocate(small, 1 << 20, 0);
  pool.deallocate(large, 6 << 20, 0);
  void* wanted = pool.allocate(8 << 20, 0, "wanted");
  EXPECT_EQ(driver->deallocations, 1) << "the large block made room";
  EXPECT_EQ(pool.stats().trims, 1);
  EXPECT_EQ(pool.allocate(1 << 20, 0, "small"), small);
  pool.deallocate(wanted, 8 << 20, 0);
}

TEST_F(AllocatorTest, CountsWhatWentWrong) {
  Allocator pool(driver, false, 0);
  pool.deallocate(pool.allocate(40 << 20, 0, "first"), 40 << 20, 0);
  void* p = pool.allocate(50 << 20, 0, "second");  // the first must go
  MemoryStats stats = pool.stats();
  EXPECT_EQ(stats.trims, 1);
  EXPECT_EQ(stats.out_of_memory, 0);
  EXPECT_EQ(stats.reserved, 50 << 20);
  EXPECT_EQ(stats.peak_reserved, 50 << 20);
  expect_error<OutOfMemoryError>([&] { pool.allocate(40 << 20, 0, "third"); }, {"third"});
  stats = pool.stats();
  EXPECT_EQ(stats.out_of_memory, 1);
  EXPECT_EQ(stats.driver_allocations, 2);
  pool.deallocate(p, 50 << 20, 0);
  pool.trim();
  EXPECT_EQ(pool.stats().peak_reserved, 50 << 20);
  pool.reset_peak();
  EXPECT_EQ(pool.stats().peak_reserved, 0);
}

TEST_F(AllocatorTest, SizesThatOverflowAreOutOfMemory) {
  Allocator pool(driver, false, 0);
  for (std::size_t bytes :
       {std::size_t{1} << 62, std::size_t{INT64_MAX}, std::size_t{INT64_MAX} - 7})
    expect_error<OutOfMemoryError>([&] { pool.allocate(bytes, 0, "huge"); }, {"huge"});
  EXPECT_EQ(pool.stats().live_blocks, 0);
  EXPECT_EQ(pool.stats().reserved, 0);
}

TEST_F(AllocatorTest, TensorsSurviveOutOfMemory) {
  const Device device(driver);
  Tensor x = full({1000}, 3, {device, DType::kFloat32, true});
  const Tensor y = x * x;
  const MemoryStats before = device.memory_stats();
  expect_error<OutOfMemoryError>([&] { empty({1 << 28}, device); }, {"1073741824"});
  expect_error<OutOfMemoryError>([&] { exp(x.unsqueeze(0).expand({1 << 20, 1000})); }, {"exp"});
  const MemoryStats after = device.memory_stats();
  EXPECT_EQ(after.live_blocks, before.live_blocks);
  EXPECT_EQ(after.allocated, before.allocated);
  sum(y).backward();
  for (float g : x.grad().to_vector<float>()) ASSERT_EQ(g, 6);
}

TEST_F(AllocatorTest, OptionsReachTheAllocator) {
  DeviceOptions options;
  options.direct_allocator = true;
  options.memory_limit = 1 << 16;
  const Device device(driver, options);
  {
    const Tensor t = empty({100}, device);
    EXPECT_EQ(driver->used(), 400u);
  }
  EXPECT_EQ(driver->used(), 0u);
  expect_error<OutOfMemoryError>([&] { empty({1 << 15}, device); }, {"131072", "65536"});
}

}  // namespace
}  // namespace flame
