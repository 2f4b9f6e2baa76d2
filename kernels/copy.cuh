// Conversions between all element types.
#pragma once
#include "prelude.cuh"

namespace dev {

// What is read from and written to memory: a bool is a byte, anything nonzero in it is true.
template <class T>
struct Stored {
  using type = T;
};
template <>
struct Stored<bool> {
  using type = unsigned char;
};

template <class T, class U>
inline constexpr bool kSame = false;
template <class T>
inline constexpr bool kSame<T, T> = true;
template <class T>
inline constexpr bool kHalf = kSame<T, __half> || kSame<T, __nv_bfloat16>;

__device__ __forceinline__ __half to_half(float v, __half) { return __float2half_rn(v); }
__device__ __forceinline__ __half to_half(double v, __half) { return __double2half(v); }
__device__ __forceinline__ __half to_half(long long v, __half) { return __ll2half_rn(v); }
__device__ __forceinline__ __half to_half(int v, __half) { return __int2half_rn(v); }
__device__ __forceinline__ __nv_bfloat16 to_half(float v, __nv_bfloat16) {
  return __float2bfloat16_rn(v);
}
__device__ __forceinline__ __nv_bfloat16 to_half(double v, __nv_bfloat16) {
  return __double2bfloat16(v);
}
__device__ __forceinline__ __nv_bfloat16 to_half(long long v, __nv_bfloat16) {
  return __ll2bfloat16_rn(v);
}
__device__ __forceinline__ __nv_bfloat16 to_half(int v, __nv_bfloat16) {
  return __int2bfloat16_rn(v);
}

// One rounding to nearest even; floating to integer truncates (uint8: then modulo 256); to bool:
// anything nonzero, NaN included, is true. A bool is given and returned as a byte.
template <class From, class To>
__device__ __forceinline__ typename Stored<To>::type convert(typename Stored<From>::type v) {
  if constexpr (kHalf<From>)
    return convert<float, To>(load(v));
  else if constexpr (kSame<From, bool>)
    return convert<int, To>(v != 0);
  else if constexpr (kSame<To, bool>)
    return v != From(0);
  else if constexpr (kHalf<To> && kSame<From, unsigned char>)
    return to_half(int(v), To());
  else if constexpr (kHalf<To>)
    return to_half(v, To());
  else if constexpr (kSame<To, unsigned char>)
    return To((long long)v);
  else
    return To(v);
}

}  // namespace dev
