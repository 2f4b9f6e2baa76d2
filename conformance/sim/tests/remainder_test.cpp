// kernels/remainder.cuh against the remainder of C++.
#include <algorithm>
#include <random>

#include "conformance/sim/tests/device.h"
#include "kernels/params.h"

namespace flame::sim {
namespace {

using Word = std::uint32_t;

// Numbers beside multiples of `range` and at the ends of both words, and any others.
std::vector<std::uint64_t> numbers_for(std::uint64_t range) {
  std::mt19937_64 random(range);
  std::vector<std::uint64_t> out;
  const auto beside = [&](std::uint64_t z) {
    for (int d = -2; d <= 2; ++d) out.push_back(z + static_cast<std::uint64_t>(d));
  };
  for (int shift = 0; shift < 64; ++shift) beside(std::uint64_t{1} << shift);
  for (int k = 0; k < 200; ++k) {
    const std::uint64_t z = random() >> (k % 64);
    beside(z - z % range);
    beside(z - z % range + range / 2);
    out.push_back(z);
  }
  return out;
}

TEST(Remainder, EveryWayGivesTheRest) {
  TestDevice device{Options()};
  std::vector<std::uint64_t> ranges = {1000, 4095, 65521, 46341, 32769};
  for (std::uint64_t r = 1; r <= 17; ++r) ranges.push_back(r);
  for (int shift = 5; shift <= 16; ++shift) ranges.push_back(std::uint64_t{1} << shift);
  for (const std::uint64_t range : ranges) {
    const auto numbers = numbers_for(range);
    const auto n = static_cast<int>(numbers.size());
    std::vector<Word> high, low;
    for (const std::uint64_t z : numbers) {
      high.push_back(static_cast<Word>(z >> 32));
      low.push_back(static_cast<Word>(z));
    }
    Array<Word> h(device, high, "high"), l(device, low, "low");
    Array<unsigned long long> results(device, 3 * n, "results");
    device.launch("remainders.cu", "remainders", {4}, {64}, 0, h.data(), l.data(),
                  flame_params::Range{range, ~0ull / range, 1 / static_cast<double>(range) + 3 - 3,
                                      static_cast<unsigned>((std::uint64_t{1} << 32) % range)},
                  results.data(), n);
    const auto got = results.read();
    for (int way = 0; way < 3; ++way)
      for (int i = 0; i < n; ++i)
        ASSERT_EQ(got[way * n + i], numbers[i] % range) << numbers[i] << " by way " << way;
  }
}

}  // namespace
}  // namespace flame::sim
