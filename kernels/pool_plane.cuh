// Max pooling of planes that fit into shared memory: memory is read and written in order, 16 bytes
// at a time, whatever the windows are. Where the maximum was is one byte, its place in the window.
#pragma once
#include "norm_piece.cuh"

namespace dev {

inline constexpr unsigned char kNoPlace = 255;  // the window lies wholly in the padding

// a / b for a and b below 2^16, by multiplication: `inverse` is 2^32 / b rounded up.
__device__ __forceinline__ int divide_small(int a, const flame_params::SmallDivisor& by) {
  return by.divisor == 1 ? a : int(__umulhi(unsigned(a), by.inverse));
}

// Copies `count` elements with all threads of the block; 16 bytes at a time where `vectors` (both
// sides on 16 bytes, whole pieces).
template <class T>
__device__ __forceinline__ void copy_block(T* to, const T* from, int count, bool vectors) {
  constexpr int kN = kVec<T>;
  using Words = Vec<unsigned, 4>;  // half types would be moved in two accesses
  if (vectors) {
#pragma unroll 4
    for (int i = threadIdx.x * kN; i < count; i += blockDim.x * kN)
      *reinterpret_cast<Words*>(to + i) = *reinterpret_cast<const Words*>(from + i);
  } else {
#pragma unroll 4
    for (int i = threadIdx.x; i < count; i += blockDim.x) to[i] = from[i];
  }
}

// Bytes of `count` elements, so that what follows starts on 16 bytes; lib/ops/pool.cpp agrees.
template <class T>
__device__ __forceinline__ int padded_bytes(int count) {
  return (count * int(sizeof(T)) + 15) / 16 * 16;
}

}  // namespace dev
