// The common part of every elementwise kernel: which elements a thread takes, and how it moves
// them. A thread takes one vector of V elements (or kTimes, a block apart, so that a warp's
// accesses are contiguous): on an H200 a copy by many short blocks is 4 % faster than one by fewer
// long ones. V is 16 bytes' worth, or 1 where strides or addresses do not allow more. The host
// (lib/ops/iteration.h) merges dims, counts the innermost one in vectors and sets its strides to V,
// or 0 where broadcast; a partial last vector only occurs where everything merged into one dim. An
// extent is flat where that dim is the only one and every operand lies along it: no offset has to
// be found, and no operand stands for many.
#pragma once
#include "packed.cuh"
#include "prelude.cuh"

namespace dev {

using flame_params::Extent;
using flame_params::Numbers;
using flame_params::Strided;

inline constexpr int kThreads = 256;  // of every elementwise launch; lib/ops/iteration.h agrees
inline constexpr int kUnroll = 1;     // vectors of a thread; Loop::grid agrees
// Likewise where an operand has one element for a vector, which a thread waits for before it has
// anything to write; Loop::kRepeats agrees.
inline constexpr int kRepeats = 2;

// index / extent.size[d] for index < 2^53, by multiplication. Where the host found that 31 bits do,
// exactly by its factor (lib/ops/iteration.h); else the product is off by less than one, as 3 *
// 2^-53 * index / size < 1. A 64-bit division would be a call, and would cost registers.
__device__ __forceinline__ long long quotient(const Extent& extent, int d, long long index) {
  if (extent.factor[d] != 0)
    return (unsigned)((unsigned long long)(unsigned)index * extent.factor[d] >> extent.shift[d]);
  const long long q = (long long)(double(index) * extent.inverse[d]);
  const long long rest = index - q * extent.size[d];
  return rest < 0 ? q - 1 : rest >= extent.size[d] ? q + 1 : q;
}

// How a block finds its vectors, which are all complete but with kAny.
enum class Way {
  kFlat,  // the extent is flat
  kRows,  // it has three dims, and 31 bits hold every offset
  kAny,
};
// Vectors `first`, first + kThreads, ... of a thread.
template <Way kWay, int kTimes>
struct Turns {
  static constexpr Way way = kWay;
  static constexpr int times = kTimes;
  static constexpr bool flat = kWay == Way::kFlat, complete = kWay != Way::kAny;
  // Whether an operand stands for many elements of a vector.
  static __device__ __forceinline__ bool splats(const Extent& extent, const Strided& operand) {
    return !flat && operand.stride[kWay == Way::kRows ? 2 : extent.rank - 1] == 0;
  }
  long long first;
};

// Sets each offset to where vector number `index` begins in its operand, of an extent of rows: all
// that is read has a fixed place. A loop over dims would wait for each of its sizes and strides.
template <class... Operands>
__device__ __forceinline__ void locate_rows(const Extent& extent, long long index,
                                            long long* offset, const Operands&... operands) {
  const auto over = [&](int d, unsigned n) {
    return (unsigned)((unsigned long long)n * extent.factor[d] >> extent.shift[d]);
  };
  const unsigned row = over(2, (unsigned)index), outer = over(1, row);
  const unsigned at = (unsigned)index - row * (unsigned)extent.size[2];
  const unsigned middle = row - outer * (unsigned)extent.size[1];
  int k = 0;
  ((offset[k++] = (int)(outer * (unsigned)operands.stride[0] +
                        middle * (unsigned)operands.stride[1] + at * (unsigned)operands.stride[2])),
   ...);
}
// Likewise of any extent; offsets are 0 before.
template <class... Operands>
__device__ __forceinline__ void locate(const Extent& extent, long long index, long long* offset,
                                       const Operands&... operands) {
  if (extent.rows) return locate_rows(extent, index, offset, operands...);
#pragma unroll 1
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
// Likewise for one of `turns`, of V elements.
template <int V, class Turns, class... Operands>
__device__ __forceinline__ void locate(const Turns&, const Extent& extent, long long index,
                                       long long* offset, const Operands&... operands) {
  if constexpr (Turns::flat) {
    int k = 0;
    ((static_cast<void>(operands), offset[k++] = index * V), ...);
  } else if constexpr (Turns::way == Way::kRows) {
    locate_rows(extent, index, offset, operands...);
  } else {
    locate(extent, index, offset, operands...);
  }
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

// An operand's V elements: as stored, one that stands for all of them, or (kNumbers) a number.
template <class T, int V, bool kNumbers = true>
struct Lane : Packet<T, V> {
  static __device__ __forceinline__ bool is_number(const Strided& from) {
    return kNumbers && from.data == nullptr;
  }
  bool splat;
  template <class Turns>
  __device__ __forceinline__ void fetch_from(const Turns&, const Extent& extent,
                                             const Strided& from, long long offset,
                                             long long count) {
    splat = V > 1 && Turns::splats(extent, from);
    if (is_number(from)) return;
    const T* at = static_cast<const T*>(from.data) + offset;
    if (splat) {
      this->clear();
      this->set(0, *at);
    } else {
      read<T, V>(*this, at, count);
    }
  }
  __device__ __forceinline__ void fetch_from(const Extent& extent, const Strided& from,
                                             long long offset, long long count) {
    fetch_from(Turns<Way::kAny, 1>(), extent, from, offset, count);
  }
  // Of a half type and from memory: elements 2 i and 2 i + 1.
  __device__ __forceinline__ unsigned word(int i) const {
    return splat ? (this->raw.v[0] & 0xffffu) * 0x10001u : this->raw.v[i];
  }
  // As accumulator values: a number stays unrounded.
  __device__ __forceinline__ Acc<T> get(const Strided& from, int j) const {
    return is_number(from) ? Acc<T>(from.scalar) : this->value(splat ? 0 : j);
  }
  __device__ __forceinline__ void values(const Strided& from, Acc<T>* out) const {
    if (is_number(from) || splat) {
      const Acc<T> one = is_number(from) ? Acc<T>(from.scalar) : this->value(0);
#pragma unroll
      for (int j = 0; j < V; ++j) out[j] = one;
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) out[j] = this->value(j);
    }
  }
};

template <class T>
__device__ __forceinline__ T* address(const Strided& to, long long offset) {
  return static_cast<T*>(const_cast<void*>(to.data)) + offset;
}

// V elements as stored; one that is broadcast along the vector is repeated.
template <class T, int V, class Turns>
__device__ __forceinline__ void read_strided(const Turns&, Packet<T, V>& packet,
                                             const Extent& extent, const Strided& from,
                                             long long offset, long long count) {
  if (V > 1 && Turns::splats(extent, from)) {
    const T one = *address<T>(from, offset);
    packet.clear();
#pragma unroll
    for (int j = 0; j < V; ++j) packet.set(j, one);
  } else {
    read<T, V>(packet, address<T>(from, offset), count);
  }
}

// Rounds V values into their place.
template <class T, int V>
__device__ __forceinline__ void put_values(const Strided& to, long long offset,
                                           const Acc<T>* values, long long count) {
  Packet<T, V> out;
  out.assign(values);
  write<T, V>(address<T>(to, offset), out, count);
}

// for_vectors<V>(extent, turns, [&](int u, long long index, long long count)).
template <int V, Way kWay, int kTimes, class Body>
__device__ __forceinline__ void for_vectors(const Extent& extent, const Turns<kWay, kTimes>& turns,
                                            Body body) {
#pragma unroll
  for (int u = 0; u < kTimes; ++u) {
    const long long index = turns.first + u * kThreads;
    const long long count = turns.complete ? V : extent.numel - index * V;
    if (turns.complete || count > 0) body(u, index, count);
  }
}
template <int V, class Body>
__device__ __forceinline__ void for_vectors(const Extent& extent, Body body) {
  const long long first = (long long)blockIdx.x * (kThreads * kUnroll) + threadIdx.x;
  for_vectors<V>(extent, Turns<Way::kAny, kUnroll>{first}, body);
}

// Calls body(turns) with all kTimes vectors of a thread where all of the block's vectors are
// complete and the extent is flat or, with kRows, of rows; elsewhere with one after the other.
template <int V, int kTimes = kUnroll, bool kRows = false, class Body>
__device__ __forceinline__ void by_block(const Extent& extent, Body body) {
  const long long begin = (long long)blockIdx.x * (kThreads * kTimes);
  const long long first = begin + threadIdx.x;
  const auto complete = [&] { return (begin + kThreads * kTimes) * V <= extent.numel; };
  if (extent.flat && complete()) {
    body(Turns<Way::kFlat, kTimes>{first});
    return;
  }
  if constexpr (kRows) {
    if (extent.rows && complete()) {
      body(Turns<Way::kRows, kTimes>{first});
      return;
    }
  }
#pragma unroll 1
  for (int u = 0; u < kTimes; ++u) body(Turns<Way::kAny, 1>{first + u * kThreads});
}

// F::forward(x...) or, where it takes numbers, F::forward(x..., numbers). For a coarse T
// F::coarse(x...) if there is one.
template <class F, class T, class... A>
__device__ __forceinline__ auto call_forward(const Numbers& numbers, A... x) {
  if constexpr (kCoarse<T> && requires { F::coarse(x...); })
    return F::coarse(x...);
  else if constexpr (requires { F::forward(x..., numbers); })
    return F::forward(x..., numbers);
  else
    return F::forward(x...);
}

}  // namespace dev
