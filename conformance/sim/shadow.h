// What the access checker of the instrumented build remembers about memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace flame::sim {

#ifdef FLAME_SIM_INSTRUMENT
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif

// Bytes a cell stands for: 2, so that neighbouring half-precision elements stay apart.
inline constexpr std::size_t kGranule = 2;

// The last write and the last read of one granule. Masks have one bit per byte.
struct Cell {
  std::uint32_t write_epoch = 0, write_warp = 0, write_thread = 0;
  std::uint32_t read_epoch = 0, read_warp = 0, read_thread = 0;
  std::uint8_t initialised = 0, write_mask = 0, read_mask = 0;
};

// Which bytes of granule number `i` an access of `bytes` bytes at `address` covers.
inline unsigned granule_mask(std::uintptr_t address, std::size_t bytes, std::size_t i) {
  const std::size_t skip = address % kGranule, end = skip + bytes;
  const std::size_t lo = i == 0 ? skip : 0, hi = end - i * kGranule;
  const unsigned below_hi = hi >= kGranule ? (1u << kGranule) - 1 : (1u << hi) - 1;
  return below_hi & ~((1u << lo) - 1);
}
inline std::size_t granules(std::uintptr_t address, std::size_t bytes) {
  return (address % kGranule + bytes + kGranule - 1) / kGranule;
}

// The cells of one allocation.
struct Shadow {
  explicit Shadow(std::size_t bytes) : cells((bytes + kGranule - 1) / kGranule) {}
  std::vector<Cell> cells;
};

}  // namespace flame::sim
