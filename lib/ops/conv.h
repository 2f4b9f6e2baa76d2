// The geometry of two-dim windows (convolution, pooling), and how their arguments are read.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "kernels/params.h"
#include "lib/core/attrs.h"
#include "lib/core/dtype.h"
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

// The geometry of one convolution.
struct Conv {
  Images in;
  std::int64_t out_channels = 0, groups = 1;
  Pair kernel{}, stride{}, pad{}, dilation{}, out{};  // pad: above and left

  std::int64_t pixels() const { return out[0] * out[1]; }
  std::int64_t group_out() const { return out_channels / groups; }
  std::int64_t window() const { return in.channels / groups * kernel[0] * kernel[1]; }
  std::int64_t rows() const { return window() * groups; }
  // An image is its own columns.
  bool pointwise() const {
    return kernel == Pair{1, 1} && stride == Pair{1, 1} && pad == Pair{0, 0} && out == in.size;
  }
  // Each input channel is a group.
  bool depthwise() const { return groups == in.channels && groups > 1; }
};

// conv2d's arguments (attrs: stride, padding, dilation, groups) as sizes. Throws ShapeError or
// ValueError, naming the shapes, where they do not fit together.
Conv conv_of(const Shape& input, const Shape& weight, const Attrs& attrs);

// For kernels that divide numbers below 2^16 by 0 < divisor < 2^16.
constexpr flame_params::SmallDivisor small_divisor(std::int64_t divisor) {
  return {static_cast<unsigned>(divisor), static_cast<unsigned>(0xffffffffLL / divisor + 1)};
}

}  // namespace flame
