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
#else
inline float fast_exp2(float x) { return ::exp2f(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }
inline float fast_sqrt(float x) { return ::sqrtf(x); }
#endif

}  // namespace dev
