// V elements of one operand as the words that one access moves. Elements of 1 and 2 bytes are kept
// in 32-bit words and taken out by shifts: a compiler that sees them as an array splits the access
// into one of 8 bytes or less for each part it can name.
#pragma once
#include "prelude.cuh"

namespace dev {

template <class T>
__device__ __forceinline__ T from_bits(unsigned bits) {
  return T(bits);
}
template <>
__device__ __forceinline__ __half from_bits<__half>(unsigned bits) {
  return __ushort_as_half((unsigned short)bits);
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_bits<__nv_bfloat16>(unsigned bits) {
  return __ushort_as_bfloat16((unsigned short)bits);
}
__device__ __forceinline__ unsigned to_bits(unsigned char v) { return v; }
__device__ __forceinline__ unsigned to_bits(unsigned short v) { return v; }
__device__ __forceinline__ unsigned to_bits(__half v) { return __half_as_ushort(v); }
__device__ __forceinline__ unsigned to_bits(__nv_bfloat16 v) { return __bfloat16_as_ushort(v); }

// Two values rounded into one word, the first in its low half: one instruction for a pair.
template <class T>
__device__ __forceinline__ unsigned round_pair(float low, float high);
template <>
__device__ __forceinline__ unsigned round_pair<__half>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return to_bits(pair.x) | to_bits(pair.y) << 16;
}
template <>
__device__ __forceinline__ unsigned round_pair<__nv_bfloat16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return to_bits(pair.x) | to_bits(pair.y) << 16;
}

// The two halves of a word as the type whose instructions work on both at once.
template <class T>
__device__ __forceinline__ auto as_pair(unsigned word);
template <>
__device__ __forceinline__ auto as_pair<__half>(unsigned word) {
  return __halves2half2(from_bits<__half>(word & 0xffffu), from_bits<__half>(word >> 16));
}
template <>
__device__ __forceinline__ auto as_pair<__nv_bfloat16>(unsigned word) {
  return __halves2bfloat162(from_bits<__nv_bfloat16>(word & 0xffffu),
                            from_bits<__nv_bfloat16>(word >> 16));
}
template <class Pair>
__device__ __forceinline__ unsigned as_word(const Pair& pair) {
  return to_bits(pair.x) | to_bits(pair.y) << 16;
}

// Half `k` of a word as a float.
template <class T>
__device__ __forceinline__ float widen(unsigned word, int k) {
  return load(from_bits<T>(k == 0 ? word & 0xffffu : word >> 16));
}
template <>
__device__ __forceinline__ float widen<__nv_bfloat16>(unsigned word, int k) {
  return __uint_as_float(k == 0 ? word << 16 : word & 0xffff0000u);
}

template <class T, int V, bool kInWords = (sizeof(T) < 4 && sizeof(T) * V % 4 == 0)>
struct Packet {
  Vec<T, V> raw;
  __device__ __forceinline__ T get(int j) const { return raw.v[j]; }
  __device__ __forceinline__ void set(int j, T v) { raw.v[j] = v; }
  __device__ __forceinline__ Acc<T> value(int j) const { return load(raw.v[j]); }
  __device__ __forceinline__ void clear() { raw = {}; }
  __device__ __forceinline__ void assign(const Acc<T>* values) {
#pragma unroll
    for (int j = 0; j < V; ++j) raw.v[j] = store<T>(values[j]);
  }
};

template <class T, int V>
struct Packet<T, V, true> {
  static constexpr int kPer = 4 / int(sizeof(T)), kBits = 8 * int(sizeof(T));
  static constexpr unsigned kMask = (1u << kBits) - 1;
  Vec<unsigned, V / kPer> raw;
  __device__ __forceinline__ T get(int j) const {
    return from_bits<T>(raw.v[j / kPer] >> (j % kPer * kBits) & kMask);
  }
  // Of a packet that was cleared, once an element.
  __device__ __forceinline__ void set(int j, T v) {
    raw.v[j / kPer] |= to_bits(v) << (j % kPer * kBits);
  }
  __device__ __forceinline__ Acc<T> value(int j) const {
    return widen<T>(raw.v[j / kPer], j % kPer);
  }
  __device__ __forceinline__ void clear() { raw = {}; }
  __device__ __forceinline__ void assign(const Acc<T>* values) {
    static_assert(kPer == 2);
#pragma unroll
    for (int j = 0; j < V; j += 2) raw.v[j / 2] = round_pair<T>(values[j], values[j + 1]);
  }
};

// `count` < V: only the first are there.
template <class T, int V>
__device__ __forceinline__ void read(Packet<T, V>& packet, const T* from, long long count) {
  if (count >= V) {
    using Raw = decltype(Packet<T, V>::raw);
    packet.raw = *reinterpret_cast<const Raw*>(from);
  } else {
    packet.clear();
#pragma unroll
    for (int j = 0; j < V; ++j)
      if (j < count) packet.set(j, from[j]);
  }
}
template <class T, int V>
__device__ __forceinline__ void write(T* to, const Packet<T, V>& packet, long long count) {
  if (count >= V) {
    using Raw = decltype(Packet<T, V>::raw);
    *reinterpret_cast<Raw*>(to) = packet.raw;
  } else {
#pragma unroll
    for (int j = 0; j < V; ++j)
      if (j < count) to[j] = packet.get(j);
  }
}

// Element j of values that stay in registers.
template <class A, int V>
__device__ __forceinline__ A element(const A (&values)[V], int j) {
  A out = values[0];
#pragma unroll
  for (int k = 1; k < V; ++k) out = j == k ? values[k] : out;
  return out;
}
template <class A, int V>
__device__ __forceinline__ void set_element(A (&values)[V], int j, A value) {
#pragma unroll
  for (int k = 0; k < V; ++k) values[k] = j == k ? value : values[k];
}

}  // namespace dev
