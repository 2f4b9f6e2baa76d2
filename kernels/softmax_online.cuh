// Softmax's sums over elements that come a few at a time.
#pragma once
#include "reduce_block.cuh"

namespace dev {

// max and sum(exp(x - max)) of the elements seen so far, and sum(exp(x - max) * g) for backward.
template <class A>
struct OnlineSoftmax {
  A m = A(-inf()), s = 0, d = 0;

  // N elements at once: one new maximum, at most one rescaling.
  template <int N>
  __device__ __forceinline__ void add(const A (&x)[N], const A (&g)[N]) {
    if constexpr (N == 1) {  // one exp is enough
      if (x[0] > m) {
        const A scale = exp_of(m - x[0]), e = x[0] - x[0] + A(1);  // NaN for an infinite maximum
        s = s * scale + e;
        d = d * scale + e * g[0];
        m = x[0];
      } else if (x[0] != A(-inf())) {
        const A e = exp_of(x[0] - m);
        s += e;
        d += e * g[0];
      }
      return;
    }
    A top = x[0];
#pragma unroll
    for (int j = 1; j < N; ++j) top = MaxOp{}(top, x[j]);
    if (top > m) {
      const A scale = exp_of(m - top);
      s *= scale;
      d *= scale;
      m = top;
    }
    const A from = m == A(-inf()) ? A(0) : m;  // exp(-inf - -inf) would be NaN
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const A e = exp_of(x[j] - from);  // NaN for an infinite maximum
      s += e;
      d += e * g[j];
    }
  }
  // What s and d shrink by when the maximum of all is `all`.
  __device__ __forceinline__ A scale_to(A all) const {
    return m == A(-inf()) ? A(0) : exp_of(m - all);
  }
  __device__ __forceinline__ void combine_in_block() {
    const A all = row_max(m), scale = scale_to(all);
    s = row_sum(s * scale);
    d = row_sum(d * scale);
    m = all;
  }
};

}  // namespace dev
