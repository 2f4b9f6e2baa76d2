// The parts of a softmax that threads, warps and blocks compute from their elements, and how they
// are put together. Deterministic: the order depends on the launch's shape alone.
#pragma once
#include "norm_row.cuh"
#include "ptx.cuh"

namespace dev {

inline constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

// exp(t) for t <= 0 by the unit that computes 2^p (2^-22), corrected for the rounding of p, which
// grows with |p| <= 150: up to 2^-17. Below -87 it is 0. -inf would make a NaN of the correction.
__device__ __forceinline__ float corrected_exp(float t) {
  t = larger_or_nan(t, -200.f);
  const float p = t * kLog2E, e = fast_exp2(p);
  return fmaf(e, fmaf(p, -kLn2, t), e);  // e * (1 + t - p * ln(2))
}

// The exp of six instructions has no subnormal results, half types have some that small: every exp
// is 2^16 larger, that of 0 exactly.
template <class T>
inline constexpr float kHeadroom = sizeof(T) == 2 ? 16 * kLn2 : 0.f;

// exp(x - shift) for x <= shift, a constant factor apart that is the same for a type.
template <class T, class A>
__device__ __forceinline__ A exp_from(A x, A shift) {
  if constexpr (sizeof(T) == 2)
    return corrected_exp(x - shift + kHeadroom<T>);
  else
    return exp_of(x - shift);
}

// exp(x - shift) for x <= shift, a constant factor apart that is the same for a type and kMany.
//
// kMany, of half types: there are at least kManyTerms terms. What such a sum's additions may be
// off, 2 sqrt(n) 2^-24 of it, is more than 2^p without its correction is.
//
// A term of float32 in a sum without gradients is uncorrected: it only counts by its own size, and
// the error of p, |x - shift| 2^-24, is large for small terms alone. A gradient may make small
// terms count, subnormal ones too.
inline constexpr int kManyTerms = 8192;
template <class T, bool kGrad, bool kMany = true>
__device__ __forceinline__ float term_of_sum(float x, float shift) {
  if constexpr (sizeof(T) == 2 && kMany)
    return fast_exp2(fmaf(x - shift, kLog2E, 16.f));
  else if constexpr (sizeof(T) == 2)
    return exp_from<T>(x, shift);
  else if constexpr (kGrad)
    return exp_of(x - shift);
  else
    return fast_exp2((x - shift) * kLog2E);
}
// As it enters a result, subnormal or not.
template <class T, bool kMany = true>
__device__ __forceinline__ float share_of_sum(float x, float shift) {
  if constexpr (sizeof(T) == 2)
    return term_of_sum<T, false, kMany>(x, shift);
  else
    return exp_of(x - shift);
}

// The largest element of N pieces; NaN only if all are.
template <class T, int N>
__device__ __forceinline__ float largest(const Piece<T> (&pieces)[N]) {
  if constexpr (sizeof(T) == 2) {
    unsigned top = pieces[0].w[0];
#pragma unroll
    for (int i = 0; i < N; ++i)
#pragma unroll
      for (int k = 0; k < 4; ++k) top = larger_pair(top, pieces[i].w[k], T());
    return larger(of_pair(top, false, T()), of_pair(top, true, T()));
  } else {
    float top = pieces[0].get(0);
#pragma unroll
    for (int i = 0; i < N; ++i)
#pragma unroll
      for (int j = 0; j < Piece<T>::kSize; ++j) top = larger(top, pieces[i].get(j));
    return top;
  }
}
// The larger of each element.
template <class T>
__device__ __forceinline__ void raise(Piece<T>& top, const Piece<T>& more) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    if constexpr (sizeof(T) == 2)
      top.w[k] = larger_pair(top.w[k], more.w[k], T());
    else
      top.set(k, larger(top.get(k), more.get(k)));
  }
}

// No gradient: d stays 0.
struct NoGrad {};
template <class Grad>
inline constexpr bool kIsGrad = true;
template <>
inline constexpr bool kIsGrad<NoGrad> = false;

// s = sum(exp(x - shift)), d = sum(exp(x - shift) * g) of some elements, a constant factor apart.
// The shift is the largest of them; -inf if that is all there are.
template <class A>
struct SoftmaxSums {
  A shift = A(-inf()), s = 0, d = 0;

  // What s and d shrink by when the shift of all is `all`; NaN where that is an infinity.
  __device__ __forceinline__ A scale_to(A all) const {
    return shift == A(-inf()) ? A(0) : exp_of(shift - all);
  }
  // The same for sums alone: without gradients parts count by their own size, as terms do. With
  // them one whose weight is subnormal may be all that a gradient consists of.
  template <bool kGrad>
  __device__ __forceinline__ A weight_in(A all) const {
    if constexpr (sizeof(A) == 8 || kGrad)
      return scale_to(all);
    else
      return shift == A(-inf()) ? A(0) : fast_exp2((shift - all) * kLog2E);
  }
  template <bool kGrad>
  __device__ __forceinline__ void add(const SoftmaxSums& more) {
    const A all = MaxOp{}(shift, more.shift), scale = weight_in<kGrad>(all),
            other = more.template weight_in<kGrad>(all);
    s = s * scale + more.s * other;
    if constexpr (kGrad) d = d * scale + more.d * other;
    shift = all;
  }
  // N pieces of many, with the gradient grad_at(piece, element) where that is a function: at most
  // one rescaling.
  template <class T, int N, class Grad>
  __device__ __forceinline__ void add_pieces(const Piece<T> (&pieces)[N], Grad grad_at) {
    const A top = largest<T>(pieces);
    if (top > shift) {
      const A scale = weight_in<kIsGrad<Grad>>(top);
      s *= scale, shift = top;
      if constexpr (kIsGrad<Grad>) d *= scale;
    }
    const A from = shift == A(-inf()) ? A(0) : shift;  // exp(-inf - -inf) would be NaN
#pragma unroll
    for (int i = 0; i < N; ++i)
#pragma unroll
      for (int j = 0; j < Piece<T>::kSize; ++j) {
        const A e = term_of_sum<T, kIsGrad<Grad>>(pieces[i].get(j), from);
        s += e;
        if constexpr (kIsGrad<Grad>) d += e * grad_at(i, j);
      }
  }
  template <bool kGrad>
  __device__ __forceinline__ void combine_in_warp() {
    const A all = warp_reduce(shift, MaxOp{}), scale = weight_in<kGrad>(all);
    s = warp_reduce(s * scale, AddOp{});
    if constexpr (kGrad) d = warp_reduce(d * scale, AddOp{});
    shift = all;
  }
  // Of the warps of a block, in every thread (`everywhere`) or in the first warp's. One barrier:
  // whoever calls twice has another one between.
  template <bool kGrad>
  __device__ __forceinline__ void combine_in_block(bool everywhere) {
    combine_in_warp<kGrad>();
    if (blockDim.x == 32) return;
    __shared__ A parts[3][32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    if (lane == 0) parts[0][warp] = shift, parts[1][warp] = s, parts[2][warp] = d;
    __syncthreads();
    if (!everywhere && warp != 0) return;
    const bool there = lane < warps;
    shift = there ? parts[0][lane] : A(-inf());
    s = there ? parts[1][lane] : A(0);
    if constexpr (kGrad) d = there ? parts[2][lane] : A(0);
    combine_in_warp<kGrad>();
  }
};

// Replaces values by exp(value - shift) and sums them; with grad_at(j) where that is a function.
template <class T, int N, class Grad>
__device__ __forceinline__ SoftmaxSums<Acc<T>> exponentials(Acc<T> (&v)[N], Grad grad_at) {
  using A = Acc<T>;
  SoftmaxSums<A> sums;
  A top = v[0];
#pragma unroll
  for (int j = 1; j < N; ++j) top = MaxOp{}(top, v[j]);
  const bool none = top == A(-inf());
  const A from = none ? A(0) : top;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    sums.s += v[j] = exp_from<T>(v[j], from);
    if constexpr (kIsGrad<Grad>) sums.d += v[j] * grad_at(j);
  }
  if (!none) sums.shift = from;
  return sums;
}

}  // namespace dev
