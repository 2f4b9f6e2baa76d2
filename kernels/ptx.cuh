// Every PTX instruction that kernels use, once: one function each, its host model beside it. The
// only file with inline assembly.
#pragma once
#include "prelude.cuh"

namespace dev {

#ifdef __CUDACC__
// MUFU.EX2, MUFU.LG2, MUFU.RCP and MUFU.SQRT alone, which no function of the math library gives:
// relative errors of 2^-22, 2^-22 (in [1/2, 2] an absolute one), 2^-23 and 2^-23 (PTX ISA,
// ex2.approx, lg2.approx, rcp.approx and sqrt.approx); subnormal numbers are 0.
__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float fast_log2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
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
// 16 bytes from memory to shared memory, both on 16 bytes, without a register between; there after
// the thread's next async_wait (PTX ISA, cp.async).
__device__ __forceinline__ void async_copy16(void* shared, const void* global) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(unsigned(__cvta_generic_to_shared(shared))),
      "l"(global)
      : "memory");
}
__device__ __forceinline__ void async_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
// A thread's copies since its last call are one group; async_wait_but<n> waits until no more than
// the n youngest groups are under way (PTX ISA, cp.async.wait_group).
__device__ __forceinline__ void async_group() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int n>
__device__ __forceinline__ void async_wait_but() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}
// 16 bytes to memory by one instruction, where the compiler would make four of them.
__device__ __forceinline__ void store16(void* global, const Vec<unsigned, 4>& words) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(global), "r"(words.v[0]),
               "r"(words.v[1]), "r"(words.v[2]), "r"(words.v[3])
               : "memory");
}
// Adds 1 to a counter in memory. What this thread knows to be written before is there for whoever
// counts later, what earlier ones wrote for this thread (PTX ISA, atom.acq_rel).
__device__ __forceinline__ unsigned count_one(unsigned* counter) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
               : "=r"(before)
               : "l"(counter)
               : "memory");
  return before;
}
// What another block wrote atomically, at the price of a load (PTX ISA, ld.relaxed).
__device__ __forceinline__ unsigned long long load_relaxed(unsigned long long* from) {
  unsigned long long v;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(from) : "memory");
  return v;
}
#else
inline float fast_exp2(float x) { return ::exp2f(x); }
inline float fast_log2(float x) { return ::log2f(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }
inline float fast_sqrt(float x) { return ::sqrtf(x); }
inline float larger_or_nan(float a, float b) {
  return a != a || b != b ? __int_as_float(0x7fffffff) : ::fmaxf(a, b);
}
inline void async_copy16(void* shared, const void* global) {
  simcu::async_copy(shared, global, 16, {});
}
inline void async_wait() {
  simcu::async_commit();
  simcu::async_wait(0);
}
inline void store16(void* global, const Vec<unsigned, 4>& words) {
  *static_cast<Vec<unsigned, 4>*>(global) = words;
}
inline void async_group() { simcu::async_commit(); }
template <int n>
inline void async_wait_but() {
  simcu::async_wait(n);
}
inline unsigned count_one(unsigned* counter) {
  __threadfence();
  const unsigned before = atomicAdd(counter, 1u);
  __threadfence();
  return before;
}
inline unsigned long long load_relaxed(unsigned long long* from) { return atomicAdd(from, 0ull); }
#endif

}  // namespace dev
