// The choice among a vendor library's algorithms, on made-up times.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "lib/blas/fastest.h"

namespace flame::blas {
namespace {

int choose(const std::vector<double>& ms, std::map<int, int>* calls = nullptr) {
  return fastest(static_cast<int>(ms.size()), [&](int candidate, int) {
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

TEST(Fastest, AFirstRunThatWasSlowOnceIsLookedAtAgain) {
  int calls = 0;
  const int chosen = fastest(2, [&](int candidate, int) {
    ++calls;
    if (candidate == 0) return calls == 1 ? 1.05 : 0.9;
    return 1.0;
  });
  EXPECT_EQ(chosen, 0);
}

TEST(Fastest, StopsTryingWhenRunsAreLong) {
  std::map<int, int> calls;
  const std::vector<double> long_runs(30, 40.0);
  EXPECT_EQ(choose(long_runs, &calls), 0);
  EXPECT_LT(calls.size(), 5U);
  calls.clear();
  const std::vector<double> short_runs(30, 0.05);
  EXPECT_EQ(choose(short_runs, &calls), 0);
  EXPECT_EQ(calls.size(), 30U);
}

}  // namespace
}  // namespace flame::blas
