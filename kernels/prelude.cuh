// The one header every kernel includes: element types, conversions, 16-byte accesses, indexing.
// Ordinary CUDA C++ under NVRTC; the simulated device compiles the same text with g++ behind a
// shim.
#pragma once
#include "params.h"
#ifndef FLAME_LIST_EXPORTS
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

// DEV_EXPORT(name<args>) after a kernel is the single list of entry points: NVRTC's name
// expression, the simulator's registry key, and (with FLAME_LIST_EXPORTS) what tools/compile_all
// compiles.
#if defined(FLAME_LIST_EXPORTS)
#define DEV_EXPORT(...) FLAME_KERNEL_EXPORT(__VA_ARGS__)
#elif defined(__CUDACC__)
#define DEV_EXPORT(...)
#endif
// One kernel template for every floating type: EXPORT_FLOATING(softmax_forward) exports
// softmax_forward<float>, ...; further arguments come first: EXPORT_FLOATING(unary_forward, Exp).
#define EXPORT_FLOATING(kernel, ...)                    \
  DEV_EXPORT(kernel<__VA_ARGS__ __VA_OPT__(, ) float>)  \
  DEV_EXPORT(kernel<__VA_ARGS__ __VA_OPT__(, ) double>) \
  DEV_EXPORT(kernel<__VA_ARGS__ __VA_OPT__(, ) __half>) \
  DEV_EXPORT(kernel<__VA_ARGS__ __VA_OPT__(, ) __nv_bfloat16>)

#ifdef __CUDACC__
// Dynamic shared memory, flush with a guard page in the simulator.
template <class T>
__device__ __forceinline__ T* dyn_shared() {
  extern __shared__ __align__(1024) unsigned char dyn_shared_raw_[];
  return reinterpret_cast<T*>(dyn_shared_raw_);
}
#elif !defined(FLAME_LIST_EXPORTS)
template <class T>
inline T* dyn_shared() {
  return static_cast<T*>(simcu::dynamic_shared());
}
#endif

namespace dev {

// What a type is accumulated in: float for half types and float, double for double.
template <class T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<double> {
  using type = double;
};
template <class T>
using Acc = typename Accumulator<T>::type;

// Whether results are rounded to so few digits (bfloat16's 8) that a functor may be off by 2^-16 of
// the result before: a rounding is off by at most 2^-8 / (1 + 2^-8) of what it rounds, and its
// bound is 2^-8. Half types are bound by instructions, not by bytes. float16's 11 digits leave
// 2^-22.
template <class T>
inline constexpr bool kCoarse = false;
template <>
inline constexpr bool kCoarse<__nv_bfloat16> = true;

// NVRTC has no INFINITY and no NAN.
__device__ __forceinline__ float inf() { return __int_as_float(0x7f800000); }
__device__ __forceinline__ float nan() { return __int_as_float(0x7fc00000); }

// Storage <-> accumulator. Round to nearest even on the way out.
__device__ __forceinline__ float load(float v) { return v; }
__device__ __forceinline__ double load(double v) { return v; }
__device__ __forceinline__ float load(__half v) { return __half2float(v); }
__device__ __forceinline__ float load(__nv_bfloat16 v) { return __bfloat162float(v); }
template <class T>
__device__ __forceinline__ T store(Acc<T> v) {
  return T(v);
}
template <>
__device__ __forceinline__ __half store<__half>(float v) {
  return __float2half_rn(v);
}
template <>
__device__ __forceinline__ __nv_bfloat16 store<__nv_bfloat16>(float v) {
  return __float2bfloat16_rn(v);
}

// N elements moved by one 16-byte access when N * sizeof(T) is 16, by several when it is more.
template <class T, int N>
struct __align__(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vec {
  T v[N];
};
template <class T>
inline constexpr int kVec = 16 / int(sizeof(T));

// Flat thread index and total threads, 64 bit.
__device__ __forceinline__ long long global_thread() {
  return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ long long global_threads() { return (long long)gridDim.x * blockDim.x; }

// a / b for 0 <= a, 0 < b: a 64-bit division costs many times a 32-bit one, and is seldom needed.
__device__ __forceinline__ long long divide(long long a, long long b) {
  if ((((unsigned long long)a | (unsigned long long)b) >> 32) == 0)
    return (long long)((unsigned)a / (unsigned)b);
  return a / b;
}

}  // namespace dev
