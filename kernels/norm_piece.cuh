// 16 bytes of a row as 32-bit words. As an array of half types it would be moved in two accesses,
// and taken apart and put together element by element; words are converted two elements at a time.
#pragma once
#include "prelude.cuh"

namespace dev {

__device__ __forceinline__ unsigned pair_bits(float low, float high, __half) {
  const __half2 pair = __floats2half2_rn(low, high);
  return reinterpret_cast<const unsigned&>(pair);
}
__device__ __forceinline__ unsigned pair_bits(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const unsigned&>(pair);
}
// Element `high` of a word.
__device__ __forceinline__ float of_pair(unsigned word, bool high, __half) {
  return __half2float(__ushort_as_half((unsigned short)(high ? word >> 16 : word)));
}
__device__ __forceinline__ float of_pair(unsigned word, bool high, __nv_bfloat16) {
  return __uint_as_float(high ? word & 0xffff0000u : word << 16);
}

template <class T>
struct __align__(16) Piece {
  static constexpr int kSize = kVec<T>;
  unsigned w[4];

  __device__ __forceinline__ Acc<T> get(int j) const {
    if constexpr (sizeof(T) == 2)
      return of_pair(w[j / 2], j % 2 != 0, T());
    else if constexpr (sizeof(T) == 4)
      return __uint_as_float(w[j]);
    else
      return __hiloint2double(int(w[2 * j + 1]), int(w[2 * j]));
  }
  __device__ __forceinline__ void set(int j, T v) {
    if constexpr (sizeof(T) == 2) {
      const unsigned bits = reinterpret_cast<const unsigned short&>(v);
      w[j / 2] = j % 2 ? (w[j / 2] & 0xffffu) | bits << 16 : (w[j / 2] & 0xffff0000u) | bits;
    } else if constexpr (sizeof(T) == 4) {
      w[j] = __float_as_uint(v);
    } else {
      w[2 * j] = unsigned(__double2loint(v)), w[2 * j + 1] = unsigned(__double2hiint(v));
    }
  }
  // Each rounded once.
  __device__ __forceinline__ static Piece of(const Acc<T>* v) {
    Piece piece;
    if constexpr (sizeof(T) == 2) {
#pragma unroll
      for (int i = 0; i < 4; ++i) piece.w[i] = pair_bits(v[2 * i], v[2 * i + 1], T());
    } else {
#pragma unroll
      for (int j = 0; j < kSize; ++j) piece.set(j, v[j]);
    }
    return piece;
  }
  __device__ __forceinline__ void fill(Acc<T> v) {
    const Acc<T> all[8] = {v, v, v, v, v, v, v, v};
    *this = of(all);
  }
};

// A single element with the same face.
template <class T>
struct One {
  static constexpr int kSize = 1;
  T v;
  __device__ __forceinline__ Acc<T> get(int) const { return load(v); }
};

template <class T>
__device__ __forceinline__ void put(T* to, const Piece<T>&, const Acc<T>* v) {
  *reinterpret_cast<Piece<T>*>(to) = Piece<T>::of(v);
}
template <class T>
__device__ __forceinline__ void put(T* to, const One<T>&, const Acc<T>* v) {
  *to = store<T>(*v);
}

}  // namespace dev
