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

// The cells of one allocation.
struct Shadow {
  explicit Shadow(std::size_t bytes) : cells((bytes + kGranule - 1) / kGranule) {}
  std::vector<Cell> cells;
};

}  // namespace flame::sim
