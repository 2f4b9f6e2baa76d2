// Tensors side by side in one, and one taken apart: up to kMaxParts of them in a launch, whatever
// their dtype.
#include "packed.cuh"

namespace dev {
inline constexpr int kPartUnroll = 4;  // units of a thread; lib/ops/cat.cpp agrees

template <int kBytes>
struct Unit {
  using type = Vec<unsigned, kBytes / 4>;
};
template <>
struct Unit<2> {
  using type = unsigned short;
};
template <>
struct Unit<1> {
  using type = unsigned char;
};
}  // namespace dev

// The parts into the whole, or (kApart) the whole into the parts, in units of kBytes.
// Memory traffic: 2 * bytes of the parts.
template <bool kApart, int kBytes>
__global__ void __launch_bounds__(256) join(const __grid_constant__ flame_params::Parts parts) {
  using U = typename dev::Unit<kBytes>::type;
  constexpr int kTimes = dev::kPartUnroll;
  int p = 0;
  for (int step = flame_params::kMaxParts / 2; step > 0; step /= 2)
    if (p + step < parts.count && parts.part[p + step].first_block <= blockIdx.x) p += step;
  const flame_params::Part& part = parts.part[p];
  U* const piece = static_cast<U*>(part.data);
  U* const whole = static_cast<U*>(parts.whole) + part.start;
  const unsigned first = (blockIdx.x - part.first_block) * (256 * kTimes) + threadIdx.x;
  U moved[kTimes];
  long long at[kTimes];
#pragma unroll
  for (int k = 0; k < kTimes; ++k) {
    const unsigned unit = first + k * 256;
    if (unit >= part.units) continue;
    const unsigned row = (unsigned)((unsigned long long)unit * part.factor >> part.shift);
    at[k] = row * parts.pitch + (unit - row * part.row);
    moved[k] = kApart ? whole[at[k]] : piece[unit];
  }
#pragma unroll
  for (int k = 0; k < kTimes; ++k) {
    const unsigned unit = first + k * 256;
    if (unit >= part.units) continue;
    if (kApart)
      piece[unit] = moved[k];
    else
      whole[at[k]] = moved[k];
  }
}

#define EXPORT_JOIN(kBytes)       \
  DEV_EXPORT(join<false, kBytes>) \
  DEV_EXPORT(join<true, kBytes>)
EXPORT_JOIN(1)
EXPORT_JOIN(2)
EXPORT_JOIN(4)
EXPORT_JOIN(8)
EXPORT_JOIN(16)
