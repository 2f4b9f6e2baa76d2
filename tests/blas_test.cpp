// The choice among a vendor library's algorithms, on made-up times, and what displaces the cache
// between them.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <vector>

#include "lib/blas/fastest.h"
#include "lib/tensor/runtime.h"
#include "tests/support/test_device.h"

namespace flame::blas {
namespace {

int choose(const std::vector<double>& ms, std::map<int, int>* calls = nullptr) {
  return fastest(static_cast<int>(ms.size()), [&](int candidate) {
    if (calls) ++(*calls)[candidate];
    return ms[static_cast<std::size_t>(candidate)];
  });
}

TEST(Fastest, TakesTheShortestTime) {
  EXPECT_EQ(choose({3, 2, 1, 4}), 2);
  EXPECT_EQ(choose({0.04, 0.05}), 0);
  EXPECT_EQ(choose({5}), 0);
}

TEST(Fastest, KeepsTheBestGuessWithinTheNoise) {
  EXPECT_EQ(choose({1.0, 0.999}), 0);
  EXPECT_EQ(choose({1.0, 0.98}), 1);
  EXPECT_EQ(choose({1.0, 1.0, 1.0}), 0);
}

TEST(Fastest, LeavesOutWhatDoesNotRun) {
  EXPECT_EQ(choose({0, 2, -1, 1}), 3);
  EXPECT_EQ(choose({0, 0}), -1);
  EXPECT_EQ(choose({}), -1);
}

TEST(Fastest, ASlowRunNowAndThenIsNoReason) {
  int calls = 0;
  const auto time = [&](int candidate) {
    ++calls;
    return candidate == 0 && calls % 4 == 0 ? 3.0 : candidate == 0 ? 0.9 : 1.0;
  };
  EXPECT_EQ(fastest(2, time), 0);
}

// One warms up to its speed, and a median is not moved by one lucky run.
TEST(Fastest, CloseOnesAreTimedInTurnUntilTheMediansTell) {
  std::map<int, int> calls;
  const auto time = [&](int candidate) {
    const int call = ++calls[candidate];
    if (candidate == 0) return call == 5 ? 0.01 : 0.0505;
    return 0.050;
  };
  EXPECT_EQ(fastest(2, time), 1);
  EXPECT_GT(calls[0], 20);
  EXPECT_EQ(calls[0], calls[1]);
}

TEST(Fastest, OneThatFailsLaterIsNotTaken) {
  std::map<int, int> calls;
  EXPECT_EQ(fastest(2, [&](int c) { return c == 1 ? 1.0 : ++calls[c] > 3 ? 0.0 : 0.9; }), 1);
}

TEST(Fastest, StopsTryingWhenRunsAreLong) {
  std::map<int, int> calls;
  const std::vector<double> long_runs(30, 40.0);
  EXPECT_EQ(choose(long_runs, &calls), 0);
  EXPECT_LT(calls.size(), 5U);
  int total = 0;
  for (const auto& [candidate, count] : calls) total += count;
  EXPECT_LT(total, 20);
  calls.clear();
  const std::vector<double> short_runs(30, 0.05);
  EXPECT_EQ(choose(short_runs, &calls), 0);
  EXPECT_EQ(calls.size(), 30U);
}

TEST(Fastest, MoreCandidatesAreAskedForByThoseThatWereFast) {
  std::vector<double> ms{3, 1, 2};
  int asked = 0;
  const int chosen = fastest(
      3, [&](int c) { return ms[std::size_t(c)]; },
      [&](std::span<const int> ranked) {
        if (++asked == 1) {
          EXPECT_EQ(std::vector<int>(ranked.begin(), ranked.end()), (std::vector<int>{1, 2, 0}));
          ms.insert(ms.end(), {1.5, 0.8});
        } else if (asked == 2) {
          EXPECT_EQ(ranked[0], 4);
          ms.push_back(0.5);
        }
        return int(ms.size());
      });
  EXPECT_EQ(chosen, 5);
  EXPECT_EQ(asked, 3);
}

TEST(Displace, ReadsAllOfItAndChangesNothing) {
  driver::Driver& driver = test::device().runtime().driver();
  const driver::KernelId id{"matmul.cu", "gemm_displace"};
  const driver::KernelHandle kernel = driver.load(driver.compile(id), id);
  for (long long vectors : {1, 1023, 4096, 5000}) {
    std::vector<std::uint32_t> host(std::size_t(vectors) * 4 + 1);  // and where it would write
    const std::size_t bytes = host.size() * 4;
    void* memory = driver.allocate(bytes, "vectors");
    void* tail = static_cast<char*>(memory) + vectors * 16;
    const auto run = [&] {
      driver.copy_to_device(memory, host.data(), bytes, 0);
      const std::array<driver::Arg, 3> args{driver::Arg{&memory, sizeof memory},
                                            driver::Arg{&tail, sizeof tail},
                                            driver::Arg{&vectors, sizeof vectors}};
      driver.launch(kernel, {{2}, {256}, 0, 0}, args);
      driver.copy_to_host(host.data(), memory, bytes, 0);
    };
    run();
    EXPECT_EQ(host, std::vector<std::uint32_t>(host.size()));
    host[host.size() - 2] = 0x3f800000;  // the last one is read too, and says so
    run();
    EXPECT_EQ(host.back(), 0x3f800000u) << vectors;
    driver.deallocate(memory);
  }
}

}  // namespace
}  // namespace flame::blas
