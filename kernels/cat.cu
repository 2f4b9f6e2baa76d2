// Tensors side by side in one, and one taken apart: up to kMaxParts of them in a launch, whatever
// their dtype.
#include "packed.cuh"
#include "ptx.cuh"

namespace dev {
inline constexpr int kPartUnroll = 2;  // units of a thread; lib/ops/cat.cpp agrees

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

// The part that a block works on: found at once where parts are of one size.
__device__ __forceinline__ int part_of(const flame_params::Parts& parts) {
  const int last = parts.count - 1,
            guess = int(float(blockIdx.x) * float(parts.count) * fast_reciprocal(float(gridDim.x)));
  int p = guess < last ? guess : last;
  if (parts.part[p].first_block <= blockIdx.x &&
      (p == last || blockIdx.x < parts.part[p + 1].first_block))
    return p;
  p = 0;
#pragma unroll 1
  for (int step = flame_params::kMaxParts / 2; step > 0; step /= 2)
    if (p + step <= last && parts.part[p + step].first_block <= blockIdx.x) p += step;
  return p;
}
}  // namespace dev

// The parts into the whole, or (kApart) the whole into the parts, in units of kBytes.
// Memory traffic: bytes of the parts that are there and of the whole.
template <bool kApart, int kBytes>
__global__ void __launch_bounds__(256) join(const __grid_constant__ flame_params::Parts parts) {
  using U = typename dev::Unit<kBytes>::type;
  constexpr int kTimes = dev::kPartUnroll;
  const flame_params::Part& part = parts.part[dev::part_of(parts)];
  U* const piece = static_cast<U*>(part.data);
  U* const whole = static_cast<U*>(parts.whole) + part.start;
  const unsigned first = (blockIdx.x - part.first_block) * (256 * kTimes) + threadIdx.x;
  U moved[kTimes] = {};
  long long at[kTimes];
#pragma unroll
  for (int k = 0; k < kTimes; ++k) {
    const unsigned unit = first + k * 256;
    if (unit >= part.units) continue;
    const unsigned row = (unsigned)((unsigned long long)unit * part.factor >> part.shift);
    at[k] = row * parts.pitch + (unit - row * part.row);
    if (kApart)
      moved[k] = whole[at[k]];
    else if (piece != nullptr)
      moved[k] = piece[unit];
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
