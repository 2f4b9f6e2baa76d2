// The common part of every elementwise kernel: which elements a thread takes, and how it moves
// them. A thread takes kUnroll vectors of V elements, blockDim.x vectors apart, so that a warp's
// accesses are contiguous and several loads are in flight at once. V is 16 bytes' worth, or 1 where
// strides or addresses do not allow more. The host (lib/ops/iteration.h) merges dims, counts the
// innermost one in vectors and sets its strides to V, or 0 where broadcast; a partial last vector
// only occurs where everything merged into one dim.
#pragma once
#include "prelude.cuh"

namespace dev {

using flame_params::Extent;
using flame_params::Numbers;
using flame_params::Strided;

inline constexpr int kThreads = 256;  // of every elementwise launch; lib/ops/iteration.h agrees
inline constexpr int kUnroll = 2;

// index / extent.size[d] for index < 2^53, by multiplication: the product is off by less than one,
// as 3 * 2^-53 * index / size < 1. A 64-bit division would be a call, and would cost registers.
__device__ __forceinline__ long long quotient(const Extent& extent, int d, long long index) {
  const long long q = (long long)(double(index) * extent.inverse[d]);
  const long long rest = index - q * extent.size[d];
  return rest < 0 ? q - 1 : rest >= extent.size[d] ? q + 1 : q;
}

// Adds to each offset where vector number `index` begins in its operand.
template <class... Operands>
__device__ __forceinline__ void locate(const Extent& extent, long long index, long long* offset,
                                       const Operands&... operands) {
  for (int d = extent.rank - 1; d > 0; --d) {
    const long long outer = quotient(extent, d, index);
    const long long at = index - outer * extent.size[d];
    int k = 0;
    ((offset[k++] += at * operands.stride[d]), ...);
    index = outer;
  }
  int k = 0;
  ((offset[k++] += index * operands.stride[0]), ...);
}

// V elements as stored. `count` < V: only the first are there.
template <class T, int V>
__device__ __forceinline__ Vec<T, V> fetch(const void* data, long long offset, bool splat,
                                           long long count) {
  Vec<T, V> out = {};
  if (data == nullptr) return out;
  const T* from = static_cast<const T*>(data) + offset;
  if (V == 1 || splat) {
    const T one = *from;
#pragma unroll
    for (int j = 0; j < V; ++j) out.v[j] = one;
  } else if (count >= V) {
    out = *reinterpret_cast<const Vec<T, V>*>(from);
  } else {
#pragma unroll
    for (int j = 0; j < V; ++j)
      if (j < count) out.v[j] = from[j];
  }
  return out;
}

template <class T, int V>
__device__ __forceinline__ void put(const Strided& to, long long offset, const Vec<T, V>& values,
                                    long long count) {
  T* at = static_cast<T*>(const_cast<void*>(to.data)) + offset;
  if (count >= V) {
    *reinterpret_cast<Vec<T, V>*>(at) = values;
  } else {
#pragma unroll
    for (int j = 0; j < V; ++j)
      if (j < count) at[j] = values.v[j];
  }
}

// An operand's V elements and how they read as accumulator values: a number stays unrounded.
template <class T, int V>
struct Lane {
  Vec<T, V> raw;
  __device__ __forceinline__ void fetch_from(const Extent& extent, const Strided& from,
                                             long long offset, long long count) {
    raw = fetch<T, V>(from.data, offset, from.stride[extent.rank - 1] == 0, count);
  }
  __device__ __forceinline__ Acc<T> get(const Strided& from, int j) const {
    return from.data == nullptr ? Acc<T>(from.scalar) : load(raw.v[j]);
  }
};

// The vectors of one thread: for_vectors<V>(extent, [&](int u, long long index, long long count)).
template <int V, class Body>
__device__ __forceinline__ void for_vectors(const Extent& extent, Body body) {
  const long long first = (long long)blockIdx.x * (blockDim.x * kUnroll) + threadIdx.x;
#pragma unroll
  for (int u = 0; u < kUnroll; ++u) {
    const long long index = first + (long long)u * blockDim.x;
    const long long count = extent.numel - index * V;
    if (count > 0) body(u, index, count);
  }
}

// F::forward(x...) or, where it takes numbers, F::forward(x..., numbers).
template <class F, class... A>
__device__ __forceinline__ auto call_forward(const Numbers& numbers, A... x) {
  if constexpr (requires { F::forward(x..., numbers); })
    return F::forward(x..., numbers);
  else
    return F::forward(x...);
}

}  // namespace dev
