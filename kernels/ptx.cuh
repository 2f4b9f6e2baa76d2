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
// 16 bytes from memory to shared memory, both on 16 bytes, without a register between; there after
// the thread's next async_wait (PTX ISA, cp.async), or the async_wait_but that covers its group.
__device__ __forceinline__ void async_copy16(void* shared, const void* global) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(unsigned(__cvta_generic_to_shared(shared))),
      "l"(global)
      : "memory");
}
__device__ __forceinline__ void async_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
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
// What .ftz makes of a subnormal operand or result.
inline float flushed(float x) { return ::fabsf(x) < 0x1p-126f ? ::copysignf(0.0f, x) : x; }
inline float fast_exp2(float x) { return flushed(::exp2f(flushed(x))); }
inline float fast_log2(float x) { return flushed(::log2f(flushed(x))); }
inline float fast_reciprocal(float x) { return flushed(1.0f / flushed(x)); }
inline float fast_sqrt(float x) { return ::sqrtf(flushed(x)); }
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
template <class T>
inline unsigned equal_pair(unsigned a, unsigned b, T t) {
  unsigned both = 0;
  for (int shift = 0; shift < 32; shift += 16)
    if (half_value(a >> shift & 0xffffu, t) == half_value(b >> shift & 0xffffu, t))
      both |= 0xffffu << shift;
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
inline unsigned count_one(unsigned* counter) {
  __threadfence();
  const unsigned before = atomicAdd(counter, 1u);
  __threadfence();
  return before;
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
