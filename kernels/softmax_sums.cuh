// The parts of a softmax that threads, warps and blocks compute from their elements, and how they
// are put together. Deterministic: the order depends on the launch's shape alone.
#pragma once
#include "norm_row.cuh"
#include "ptx.cuh"

namespace dev {

// exp(x - shift) for x <= shift + kHeadroom. A half type's result is rounded to 11 bits in the end:
// 2^p by the unit that computes it (2^-22), corrected for the rounding of p, which grows with |p|
// <= 150: up to 2^-17. In sums of more than kManyTerms terms that is less than what float additions
// of so many may be off, 2 sqrt(n) 2^-24, and stays.
inline constexpr int kManyTerms = 8192;
template <class T, bool kMany = false, class A>
__device__ __forceinline__ A exp_from(A x, A shift) {
  constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;
  if constexpr (sizeof(T) == 2 && kMany) {
    return fast_exp2((x - shift) * kLog2E);
  } else if constexpr (sizeof(T) == 2) {
    const float t = larger_or_nan(x - shift, -200.f);  // 2^-288 is 0; -inf would make a NaN below
    const float p = t * kLog2E, e = fast_exp2(p);
    return fmaf(e, fmaf(p, -kLn2, t), e);  // e * (1 + t - p * ln(2))
  } else {
    return exp_of(x - shift);
  }
}
// fast_exp2 has no subnormal results, half types have some that small: every exp is e^11 larger.
template <class T>
inline constexpr float kHeadroom = sizeof(T) == 2 ? 11.f : 0.f;

// s = sum(exp(x - shift)), d = sum(exp(x - shift) * g) of some elements. The shift is the largest
// of them, less the headroom; 0 where that is -inf, as exp(-inf - -inf) would be NaN.
template <class A>
struct SoftmaxSums {
  A shift = A(-inf()), s = 0, d = 0;

  // What s and d shrink by when the shift of all is `all`; NaN where that is an infinity.
  __device__ __forceinline__ A scale_to(A all) const {
    return shift == A(-inf()) ? A(0) : exp_of(shift - all);
  }
  __device__ __forceinline__ void add(const SoftmaxSums& more) {
    const A all = MaxOp{}(shift, more.shift), scale = scale_to(all), other = more.scale_to(all);
    s = s * scale + more.s * other;
    d = d * scale + more.d * other;
    shift = all;
  }
  // Some of more than kManyTerms values, with gradients where `grad_at` is a function: at most one
  // rescaling.
  template <class T, int N, class Grad>
  __device__ __forceinline__ void add_values(const A (&x)[N], Grad grad_at) {
    A top = x[0];
#pragma unroll
    for (int j = 1; j < N; ++j) top = MaxOp{}(top, x[j]);
    top -= A(kHeadroom<T>);
    if (top > shift) {
      const A scale = scale_to(top);
      s *= scale, d *= scale, shift = top;
    }
    const A from = shift == A(-inf()) ? A(0) : shift;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const A e = exp_from<T, true>(x[j], from);
      s += e;
      if constexpr (requires { grad_at(0); }) d += e * grad_at(j);
    }
  }
  __device__ __forceinline__ void combine_in_warp() {
    const A all = warp_reduce(shift, MaxOp{}), scale = scale_to(all);
    s = warp_reduce(s * scale, AddOp{});
    d = warp_reduce(d * scale, AddOp{});
    shift = all;
  }
  // Of the warps of a block, in every thread (`everywhere`) or in the first warp's. One barrier:
  // whoever calls twice has another one between.
  __device__ __forceinline__ void combine_in_block(bool everywhere) {
    combine_in_warp();
    if (blockDim.x == 32) return;
    __shared__ A parts[3][32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    if (lane == 0) parts[0][warp] = shift, parts[1][warp] = s, parts[2][warp] = d;
    __syncthreads();
    if (!everywhere && warp != 0) return;
    const bool there = lane < warps;
    shift = there ? parts[0][lane] : A(-inf());
    s = there ? parts[1][lane] : A(0);
    d = there ? parts[2][lane] : A(0);
    combine_in_warp();
  }
};

// No gradient: d stays 0.
struct NoGrad {};

// Replaces values by exp(value - shift) and sums them; with grad_at(j) where that is a function.
template <class T, int N, class Grad>
__device__ __forceinline__ SoftmaxSums<Acc<T>> exponentials(Acc<T> (&v)[N], Grad grad_at) {
  using A = Acc<T>;
  SoftmaxSums<A> sums;
  A top = v[0];
#pragma unroll
  for (int j = 1; j < N; ++j) top = MaxOp{}(top, v[j]);
  const bool none = top == A(-inf());
  const A from = none ? A(0) : top - A(kHeadroom<T>);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    sums.s += v[j] = exp_from<T>(v[j], from);
    if constexpr (requires { grad_at(0); }) sums.d += v[j] * grad_at(j);
  }
  if (!none) sums.shift = from;
  return sums;
}

}  // namespace dev
