// Every PTX instruction that kernels use, once: one function each, its host model beside it. The
// only file with inline assembly.
#pragma once
#include "prelude.cuh"

namespace dev {

#ifdef __CUDACC__
// MUFU.EX2, MUFU.RCP and MUFU.SQRT alone, which no function of the math library gives: relative
// errors of 2^-22, 2^-23 and 2^-23 (PTX ISA, ex2.approx, rcp.approx and sqrt.approx); subnormal
// numbers are 0.
__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float fast_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float fast_sqrt(float x) {
  float y;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// The larger; NaN if either is (PTX ISA, max.NaN).
__device__ __forceinline__ float larger_or_nan(float a, float b) {
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
// Of two halves of a word each (PTX ISA, max.NaN); the NaN is the one that arithmetic gives.
__device__ __forceinline__ unsigned larger_or_nan_pair(unsigned a, unsigned b, __half) {
  unsigned y;
  asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
  return y;
}
__device__ __forceinline__ unsigned larger_or_nan_pair(unsigned a, unsigned b, __nv_bfloat16) {
  unsigned y;
  asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
  return y;
}
// The sums of two halves of a word each, rounded once (PTX ISA, add and fma).
__device__ __forceinline__ unsigned add_pair(unsigned a, unsigned b, __half) {
  unsigned y;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
  return y;
}
__device__ __forceinline__ unsigned add_pair(unsigned a, unsigned b, __nv_bfloat16) {
  unsigned y;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(y) : "r"(a), "r"(0x3f803f80u), "r"(b));
  return y;
}
// Each half all ones where the two are equal, else 0 (PTX ISA, set).
__device__ __forceinline__ unsigned equal_pair(unsigned a, unsigned b, __half) {
  unsigned y;
  asm("set.eq.u32.f16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
  return y;
}
__device__ __forceinline__ unsigned equal_pair(unsigned a, unsigned b, __nv_bfloat16) {
#if __CUDA_ARCH__ >= 900
  unsigned y;
  asm("set.eq.u32.bf16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
  return y;
#else
  const bool low = __uint_as_float(a << 16) == __uint_as_float(b << 16);
  const bool high = __uint_as_float(a & 0xffff0000u) == __uint_as_float(b & 0xffff0000u);
  return (low ? 0xffffu : 0u) | (high ? 0xffff0000u : 0u);
#endif
}
// 16 bytes from memory to shared memory, both on 16 bytes, without a register between; there after
// the thread's next async_wait (PTX ISA, cp.async).
__device__ __forceinline__ void async_copy16(void* shared, const void* global) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(unsigned(__cvta_generic_to_shared(shared))),
      "l"(global)
      : "memory");
}
__device__ __forceinline__ void async_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
// What another block wrote atomically, at the price of a load (PTX ISA, ld.relaxed).
__device__ __forceinline__ unsigned long long load_relaxed(unsigned long long* from) {
  unsigned long long v;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(from) : "memory");
  return v;
}
#else
inline float fast_exp2(float x) { return ::exp2f(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }
inline float fast_sqrt(float x) { return ::sqrtf(x); }
inline float larger_or_nan(float a, float b) {
  return a != a || b != b ? __int_as_float(0x7fffffff) : ::fmaxf(a, b);
}
inline float half_value(unsigned bits, __half) {
  return __half2float(__ushort_as_half((unsigned short)bits));
}
inline float half_value(unsigned bits, __nv_bfloat16) { return __uint_as_float(bits << 16); }
template <class T>
inline unsigned larger_or_nan_pair(unsigned a, unsigned b, T t) {
  unsigned both = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const unsigned low = a >> shift & 0xffffu, high = b >> shift & 0xffffu;
    const float v = half_value(low, t), w = half_value(high, t);
    const bool first = v > w || (v == w && low < high);  // 0 is larger than -0
    both |= (v != v || w != w ? 0x7fffu : first ? low : high) << shift;
  }
  return both;
}
inline unsigned half_bits(float v, __half) { return __half_as_ushort(__float2half_rn(v)); }
inline unsigned half_bits(float v, __nv_bfloat16) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(v));
}
template <class T>
inline unsigned add_pair(unsigned a, unsigned b, T t) {
  const float low = half_value(a & 0xffffu, t) + half_value(b & 0xffffu, t);
  return half_bits(low, t) | half_bits(half_value(a >> 16, t) + half_value(b >> 16, t), t) << 16;
}
template <class T>
inline unsigned equal_pair(unsigned a, unsigned b, T t) {
  unsigned both = 0;
  for (int shift = 0; shift < 32; shift += 16)
    if (half_value(a >> shift & 0xffffu, t) == half_value(b >> shift & 0xffffu, t))
      both |= 0xffffu << shift;
  return both;
}
inline void async_copy16(void* shared, const void* global) {
  simcu::async_copy(shared, global, 16, {});
}
inline void async_wait() {
  simcu::async_commit();
  simcu::async_wait(0);
}
inline unsigned long long load_relaxed(unsigned long long* from) { return atomicAdd(from, 0ull); }
#endif

}  // namespace dev
