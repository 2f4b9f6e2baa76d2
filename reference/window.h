// Windows that slide over the last two dims of (N, C, H, W) or (C, H, W): what convolution and
// pooling share.
#pragma once
#include <cstddef>
#include <cstdint>

#include "lib/core/attrs.h"
#include "lib/core/shape.h"

namespace flame::reference {

struct Planes {
  explicit Planes(const Shape& shape);

  bool batched = true;
  std::int64_t batch = 1, channels = 1, height = 1, width = 1;

  std::size_t at(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) const {
    return static_cast<std::size_t>(((n * channels + c) * height + y) * width + x);
  }
  // The same batch with other planes.
  Shape with(std::int64_t c, std::int64_t h, std::int64_t w) const;
};

struct Window {
  std::int64_t height, width;
  IntList stride, padding, dilation;
  std::int64_t out_height, out_width;
};

// Reads stride, padding, dilation and ceil_mode; stride left out means `default_stride`.
Window window_of(const Planes& planes, const IntList& kernel, const Attrs& attrs,
                 const IntList& default_stride);

// f(y, x, tap) for every tap of output `pixel` that falls inside the input, in row-major order.
template <class F>
void for_each_tap(const Window& w, const Planes& planes, std::int64_t pixel, F f) {
  const std::int64_t top = pixel / w.out_width * w.stride[0] - w.padding[0];
  const std::int64_t left = pixel % w.out_width * w.stride[1] - w.padding[1];
  for (std::int64_t ky = 0; ky < w.height; ++ky) {
    for (std::int64_t kx = 0; kx < w.width; ++kx) {
      const std::int64_t y = top + ky * w.dilation[0], x = left + kx * w.dilation[1];
      if (y >= 0 && y < planes.height && x >= 0 && x < planes.width) f(y, x, ky * w.width + kx);
    }
  }
}

}  // namespace flame::reference
