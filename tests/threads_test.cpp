// Eight threads at once: own graphs, shared leaves, one shared graph, one cold device, own streams.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "tests/support/limited_driver.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using Floats = std::vector<float>;
constexpr int kThreads = 8;

// Runs work(0) ... work(7) at once; an exception of any is a failure.
void at_once(const std::function<void(int)>& work) {
  std::atomic<int> waiting{kThreads};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      try {
        work(i);
      } catch (const std::exception& e) {
        ADD_FAILURE() << "thread " << i << ": " << e.what();
      }
    });
  for (std::thread& t : threads) t.join();
}

TEST(ThreadsTest, OwnGraphs) {
  const Device& device = test::device();
  at_once([&](int i) {
    for (int step = 0; step < 5; ++step) {
      Tensor x = full({33}, i + 1, {device, DType::kFloat32, true});
      sum(x * x * static_cast<double>(step)).backward();
      for (float g : x.grad().to_vector<float>()) ASSERT_EQ(g, 2.f * (i + 1) * step);
    }
  });
}

TEST(ThreadsTest, SharedLeavesCollectEveryGradient) {
  const Device& device = test::device();
  Tensor w = ones({17}, {device, DType::kFloat32, true});
  at_once([&](int i) {
    for (int step = 0; step < 5; ++step) sum(w * static_cast<double>(i)).backward();
  });
  for (float g : w.grad().to_vector<float>()) EXPECT_EQ(g, 5.f * 28);
}

TEST(ThreadsTest, OneGraphFromEveryThread) {
  const Device& device = test::device();
  Tensor x = full({5}, 3, {device, DType::kFloat32, true});
  const Tensor y = sum(x * x);
  at_once([&](int) {
    const Tensor g = grad(std::vector{y}, std::vector{x}, {}, true)[0];
    for (float v : g.to_vector<float>()) ASSERT_EQ(v, 6);
  });
}

// Whoever comes second finds the graph freed: one gradient, seven errors, nothing torn.
TEST(ThreadsTest, AGraphIsFreedOnce) {
  const Device& device = test::device();
  Tensor x = full({5}, 3, {device, DType::kFloat32, true});
  const Tensor y = x * x;
  std::atomic<int> ran{0}, refused{0};
  at_once([&](int) {
    try {
      y.backward(ones({5}, device));
      ++ran;
    } catch (const AutogradError&) {
      ++refused;
    }
  });
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(refused, kThreads - 1);
  for (float g : x.grad().to_vector<float>()) EXPECT_EQ(g, 6);
}

TEST(ThreadsTest, GradModeIsEachThreadsOwn) {
  const Tensor x = ones({2}, {test::device(), DType::kFloat32, true});
  at_once([&](int i) {
    for (int step = 0; step < 50; ++step) {
      if (i % 2) {
        const NoGradGuard guard;
        ASSERT_FALSE(x.reshape({2, 1}).requires_grad());
      } else {
        ASSERT_TRUE(x.reshape({2, 1}).requires_grad());
      }
    }
  });
}

TEST(ThreadsTest, AColdDeviceLoadsEachKernelForAll) {
  const Device device = test::new_device();
  at_once([&](int i) {
    const Tensor x = full({9}, i, device);
    const Floats y = exp(relu(x * 0.0)).to_vector<float>();
    for (float v : y) ASSERT_EQ(v, 1);
  });
}

TEST(ThreadsTest, MemoryIsAccountedFor) {
  const Device device = test::new_device();
  at_once([&](int i) {
    std::vector<Tensor> held;
    for (int step = 0; step < 40; ++step) {
      held.push_back(empty({100 * (i + 1) + step}, device));
      if (step % 3 == 0) held.erase(held.begin());
    }
  });
  const MemoryStats stats = device.memory_stats();
  EXPECT_EQ(stats.allocated, 0);
  EXPECT_EQ(stats.live_blocks, 0);
  EXPECT_EQ(stats.total_allocations, kThreads * 40);
  device.empty_cache();
  EXPECT_EQ(device.memory_stats().reserved, 0);
}

TEST(ThreadsTest, OwnStreams) {
  const Device& device = test::device();
  const Tensor shared = full({64}, 2, device);
  at_once([&](int i) {
    const Device mine = device.on(device.new_stream());
    Tensor x = full({64}, i, mine);
    for (int step = 0; step < 4; ++step) x = x + shared;
    for (float v : x.to_vector<float>()) ASSERT_EQ(v, i + 8);
  });
}

TEST(ThreadsTest, RandomNumbersDoNotOverlap) {
  const Device device = test::new_device();
  device.manual_seed(3);
  std::vector<std::vector<double>> drawn(kThreads);
  at_once([&](int i) {
    drawn[static_cast<std::size_t>(i)] = rand({64}, {device, DType::kFloat64}).to_vector<double>();
  });
  std::vector<double> all;
  for (const auto& v : drawn) all.insert(all.end(), v.begin(), v.end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end()) << "53-bit numbers met twice";
}

}  // namespace
}  // namespace flame
