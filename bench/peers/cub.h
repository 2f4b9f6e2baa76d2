// CUB's reductions, the toolkit's own: whole tensors and rows. What a user of CUDA would call.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>

#include "bench/session.h"

namespace flame::bench {

// nullptr where the library that nvcc made is not beside the program, and on the simulated device.
std::unique_ptr<PeerSource> open_cub(const Device& device);

// How CUB can do an item: the sum, mean or maximum of each of `rows` stretches of memory. Nothing
// for everything else: backward, dims that are not the last ones, another dtype asked for.
struct CubReduction {
  int what = 0;  // 0 sum, 1 mean, 2 maximum
  std::int64_t rows = 1, columns = 1;
};
std::optional<CubReduction> cub_reduction_of(const Item& item);

}  // namespace flame::bench
