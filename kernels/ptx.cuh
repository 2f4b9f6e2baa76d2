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
// The larger of each half of two words, a number if either is (PTX ISA, max.f16x2 and max.bf16x2).
__device__ __forceinline__ unsigned larger_pair(unsigned a, unsigned b, __half) {
  unsigned y;
  asm("max.f16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
  return y;
}
__device__ __forceinline__ unsigned larger_pair(unsigned a, unsigned b, __nv_bfloat16) {
  unsigned y;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(y) : "r"(a), "r"(b));
  return y;
}
// 16 bytes from memory to shared memory, both on 16 bytes, without a register between; there after
// the thread's next async_wait (PTX ISA, cp.async), or the async_wait_but that covers its group.
__device__ __forceinline__ void async_copy16(void* shared, const void* global) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(unsigned(__cvta_generic_to_shared(shared))),
      "l"(global)
      : "memory");
}
__device__ __forceinline__ void async_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
// Makes a group of the thread's copies since the last one; waits until only its newest kGroups
// groups may be under way (PTX ISA, cp.async.commit_group, cp.async.wait_group).
__device__ __forceinline__ void async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kGroups>
__device__ __forceinline__ void async_wait_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroups) : "memory");
}
// The same for a number that is only known as the kernel runs; from 7 on it waits for more.
__device__ __forceinline__ void async_wait_but_some(int groups) {
  switch (groups) {
    case 0:
      return async_wait_but<0>();
    case 1:
      return async_wait_but<1>();
    case 2:
      return async_wait_but<2>();
    case 3:
      return async_wait_but<3>();
    case 4:
      return async_wait_but<4>();
    case 5:
      return async_wait_but<5>();
    case 6:
      return async_wait_but<6>();
    default:
      return async_wait_but<7>();
  }
}
// What another block wrote atomically, at the price of a load (PTX ISA, ld.relaxed).
__device__ __forceinline__ unsigned long long load_relaxed(unsigned long long* from) {
  unsigned long long v;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(from) : "memory");
  return v;
}
// Returns when the launch before has ended and what it wrote can be seen, where this launch was
// allowed to start earlier (PTX ISA, griddepcontrol.wait).
__device__ __forceinline__ void await_launch_before() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// Lets the launch after this one start now, if it may start early: it awaits this one's end itself
// (PTX ISA, griddepcontrol.launch_dependents).
__device__ __forceinline__ void let_next_launch_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
#else
inline float fast_exp2(float x) { return ::exp2f(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }
inline float fast_sqrt(float x) { return ::sqrtf(x); }
inline float larger_or_nan(float a, float b) {
  return a != a || b != b ? __int_as_float(0x7fffffff) : ::fmaxf(a, b);
}
template <class T>
inline unsigned larger_pair(unsigned a, unsigned b, T) {
  unsigned y = 0;
  for (int shift = 0; shift < 32; shift += 16) {
    const auto word = [=](unsigned v) { return (unsigned short)(v >> shift); };
    const unsigned short x[] = {word(a), word(b)};
    const float l = load(reinterpret_cast<const T&>(x[0])),
                r = load(reinterpret_cast<const T&>(x[1]));
    y |= unsigned(x[l != l || r > l]) << shift;
  }
  return y;
}
inline void await_launch_before() {}
inline void async_copy16(void* shared, const void* global) {
  simcu::async_copy(shared, global, 16, {});
}
inline void async_wait() {
  simcu::async_commit();
  simcu::async_wait(0);
}
inline void async_commit() { simcu::async_commit(); }
template <int kGroups>
inline void async_wait_but() {
  simcu::async_wait(kGroups);
}
inline void async_wait_but_some(int groups) { simcu::async_wait(unsigned(groups)); }
inline void let_next_launch_start() {}
inline unsigned long long load_relaxed(unsigned long long* from) { return atomicAdd(from, 0ull); }
#endif

}  // namespace dev
