// Functions of both accumulator types under one name: the accurate ones of CUDA's math library
// (CUDA C++ Programming Guide, "Mathematical Functions": expf 2 ulp, erff 2, tanhf 2, powf 4, logf
// 1).
#pragma once
#include "prelude.cuh"

namespace dev {

#define DEV_FUNCTION(name, of_float, of_double)                          \
  __device__ __forceinline__ float name(float x) { return of_float(x); } \
  __device__ __forceinline__ double name(double x) { return of_double(x); }
DEV_FUNCTION(exp, ::expf, ::exp)
DEV_FUNCTION(log, ::logf, ::log)
DEV_FUNCTION(erf, ::erff, ::erf)
DEV_FUNCTION(erfc, ::erfcf, ::erfc)
DEV_FUNCTION(tanh, ::tanhf, ::tanh)
DEV_FUNCTION(sqrt, ::sqrtf, ::sqrt)
DEV_FUNCTION(floor, ::floorf, ::floor)
DEV_FUNCTION(trunc, ::truncf, ::trunc)
#undef DEV_FUNCTION
__device__ __forceinline__ float pow(float x, float y) { return ::powf(x, y); }
__device__ __forceinline__ double pow(double x, double y) { return ::pow(x, y); }
__device__ __forceinline__ float fmod(float x, float y) { return ::fmodf(x, y); }
__device__ __forceinline__ double fmod(double x, double y) { return ::fmod(x, y); }

}  // namespace dev
