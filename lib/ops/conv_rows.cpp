#include "lib/ops/conv_rows.h"

#include <algorithm>
#include <limits>

#include "lib/tensor/launch.h"

namespace flame {
namespace {

constexpr std::int64_t kPixels = 64, kChunk = 32;  // of a block, at most
constexpr std::int64_t kSharedBytes = 40 << 10;    // five blocks a multiprocessor
constexpr std::int64_t kWorthIt = 256;             // least sizes of a product

}  // namespace

TurnedColumns plan_turned_columns(const Conv& c, DType t, std::int64_t depth, bool tf32) {
  TurnedColumns plan;
  if (t != DType::kFloat32 || !tf32 || c.pointwise()) return plan;
  if (std::min({c.group_out(), c.pixels(), depth}) < kWorthIt) return plan;
  const std::int64_t channels = c.in.channels / c.groups, taps = c.kernel[0] * c.kernel[1];
  const std::int64_t pixels = std::min(c.out[1], kPixels);
  const std::int64_t span = (pixels - 1) * c.stride[1] + (c.kernel[1] - 1) * c.dilation[1] + 1;
  // The tile, and where each element of a run lies in it. A chunk's run is a multiple of 16 bytes.
  const auto bytes = [&](std::int64_t chunk) {
    return 4 * (chunk * c.kernel[0] * span + chunk * taps + 4);
  };
  std::int64_t chunk = std::min(kChunk, ceil_div(channels, std::int64_t{4}) * 4);
  while (chunk > 4 && bytes(chunk) > kSharedBytes) chunk = chunk / 2 / 4 * 4;
  if (chunk < 4 || bytes(chunk) > kSharedBytes) return plan;
  const std::int64_t chunks = ceil_div(channels, chunk);
  plan.blocks_an_image = c.groups * c.out[0] * ceil_div(c.out[1], pixels) * chunks;
  if (c.in.count * plan.blocks_an_image > std::numeric_limits<int>::max()) return plan;
  const auto narrow = [](std::int64_t v) { return static_cast<int>(v); };
  plan.pixels = narrow(pixels), plan.chunk = narrow(chunk), plan.chunks = narrow(chunks);
  plan.span = narrow(span);
  plan.shared_bytes = bytes(chunk);
  plan.fits = true;
  return plan;
}

void im2row(const Device& device, const TurnedColumns& plan, const void* x, const Tensor& rows,
            const flame_params::Im2col& p) {
  const flame_params::Im2row q{p, plan.pixels, plan.chunk, plan.chunks, plan.span};
  launch(device, {"conv_rows.cu", "conv_im2row"},
         {static_cast<unsigned>(p.images * plan.blocks_an_image)}, {256},
         static_cast<unsigned>(plan.shared_bytes), x, rows.data(), q);
}

}  // namespace flame
