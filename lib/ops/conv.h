// The geometry of two-dim windows (convolution, pooling), and how their arguments are read.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "lib/core/attrs.h"
#include "lib/core/shape.h"

namespace flame {

using Pair = std::array<std::int64_t, 2>;  // height, width

// One integer for both, or two. Throws ValueError naming `op` where it is neither, or less than
// `least`.
Pair pair_argument(std::string_view op, const Attrs& attrs, std::string_view name,
                   std::int64_t least);

// An input (N, C, H, W) or (C, H, W). Throws ShapeError naming `op` for another rank.
struct Images {
  std::int64_t count = 1, channels = 0;
  Pair size = {0, 0};
  bool batched = true;
};
Images images_of(std::string_view op, const Shape& shape);

}  // namespace flame
