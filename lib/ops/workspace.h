// What a temporary costs, for the workspace bounds of op definitions.
#pragma once
#include <algorithm>
#include <cstdint>

namespace flame {

// Upper bound of what the allocator counts for one tensor of `bytes`: its size class.
constexpr std::int64_t held_bytes(std::int64_t bytes) {
  if (bytes <= 0) return 0;
  constexpr std::int64_t kSmallest = 512, kStep = std::int64_t{1} << 20;
  return std::max(kSmallest, bytes + std::min(bytes / 2, kStep));
}

}  // namespace flame
