// sum, mean and amax, and the backward of mean and amax.
#include "ptx.cuh"
#include "reduce.cuh"

struct Sum : dev::Summed {
  template <class A>
  static __device__ void fold(A& sum, A x) {
    sum += x;
  }
};

// The larger; NaN if either is.
__device__ __forceinline__ float larger_of(float a, float b) { return dev::larger_or_nan(a, b); }
__device__ __forceinline__ double larger_of(double a, double b) { return a > b || a != a ? a : b; }

struct Max : dev::Plain {
  template <class A>
  static __device__ A start() {
    return -A(dev::inf());
  }
  template <class A>
  static __device__ A combine(A a, A b) {
    return larger_of(a, b);
  }
  template <class A>
  static __device__ void fold(A& maximum, A x) {
    maximum = larger_of(maximum, x);
  }
  template <class T, class A>
  static __device__ void finish(A state, double, long long output, T* out, A*) {
    out[output] = dev::store<T>(state);
  }
  // Two elements of a half type at once: unpacking them would cost more than the comparison.
  template <class T>
  static __device__ unsigned fold_pair(unsigned maxima, unsigned x) {
    return dev::as_word(__hmax2_nan(dev::as_pair<T>(maxima), dev::as_pair<T>(x)));
  }
};

namespace dev {
// The largest of what are no NaNs, how many share it, and how many NaNs there are.
template <class A>
struct Peak {
  A maximum, count, nans;
};
template <class A>
__device__ __forceinline__ Peak<A> shuffle(const Peak<A>& p, int distance) {
  return {shuffle(p.maximum, distance), shuffle(p.count, distance), shuffle(p.nans, distance)};
}
// All ones in the halves where x is the maximum or a NaN.
template <class T>
__device__ __forceinline__ unsigned equal_or_nan(unsigned x, unsigned maximum) {
  const auto pair = as_pair<T>(x);
  return __heq2_mask(pair, as_pair<T>(maximum)) | ~__heq2_mask(pair, pair);
}
}  // namespace dev

// The maximum, and second: how many elements share it, so that the backward need not count.
struct MaxAndCount : dev::Plain {
  template <class A>
  using State = dev::Peak<A>;
  template <class A>
  static __device__ dev::Peak<A> start() {
    return {-A(dev::inf()), A(0), A(0)};
  }
  template <class A>
  static __device__ void fold(dev::Peak<A>& p, A x) {
    p.count = x > p.maximum ? A(0) : p.count;
    p.maximum = x > p.maximum ? x : p.maximum;
    p.count += x == p.maximum ? A(1) : A(0);
    p.nans += x != x ? A(1) : A(0);
  }
  template <class A>
  static __device__ dev::Peak<A> combine(const dev::Peak<A>& a, const dev::Peak<A>& b) {
    const A top = a.maximum > b.maximum ? a.maximum : b.maximum;
    return {top, (a.maximum == top ? a.count : A(0)) + (b.maximum == top ? b.count : A(0)),
            a.nans + b.nans};
  }
  template <class T, class A>
  static __device__ void finish(const dev::Peak<A>& p, double, long long output, T* out,
                                A* second) {
    out[output] = dev::store<T>(p.nans > A(0) ? A(dev::nan()) : p.maximum);
    second[output] = p.nans > A(0) ? p.nans : p.count;
  }
};

// share = g / count: what each of an output's maxima gets, rounded.
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    amax_share(const __grid_constant__ flame_params::Extent extent,
               const __grid_constant__ flame_params::Strided share,
               const __grid_constant__ flame_params::Strided g,
               const __grid_constant__ flame_params::Strided count) {
  using A = dev::Acc<T>;
  dev::for_vectors<V>(extent, [&](int, long long index, long long n) {
    long long offset[3] = {};
    dev::locate(extent, index, offset, share, g, count);
    dev::Lane<T, V> up;
    dev::Lane<A, V> sharers;
    up.fetch_from(extent, g, offset[1], n);
    sharers.fetch_from(extent, count, offset[2], n);
    A p[V], q[V];
    up.values(g, p);
    sharers.values(count, q);
#pragma unroll
    for (int j = 0; j < V; ++j) p[j] /= q[j];
    dev::put_values<T, V>(share, offset[0], p, n);
  });
}

// gx = share at every maximum, else 0. Where there are NaNs, they are the maxima. Memory traffic:
// numel * 2 * sizeof(T).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    amax_backward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided gx,
                  const __grid_constant__ flame_params::Strided x,
                  const __grid_constant__ flame_params::Strided maximum,
                  const __grid_constant__ flame_params::Strided share) {
  dev::by_block<V, 1, true>(extent, [&](auto turns) {
    dev::Lane<T, V, false> in[turns.times], top[turns.times], part[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long n) {
      long long offset[4] = {};
      dev::locate<V>(turns, extent, index, offset, gx, x, maximum, share);
      at[u] = offset[0];
      in[u].fetch_from(turns, extent, x, offset[1], n);
      top[u].fetch_from(turns, extent, maximum, offset[2], n);
      part[u].fetch_from(turns, extent, share, offset[3], n);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long n) {
      if constexpr (sizeof(T) == 2 && V > 1) {
        // Two elements by each instruction: unpacked they would take longer than their bytes.
        dev::Packet<T, V> out;
#pragma unroll
        for (int i = 0; i < V / 2; ++i)
          out.raw.v[i] = part[u].word(i) & dev::equal_or_nan<T>(in[u].word(i), top[u].word(i));
        dev::write<T, V>(dev::address<T>(gx, at[u]), out, n);
      } else {
        dev::Acc<T> value[V], most[V], out[V];
        in[u].values(x, value);
        top[u].values(maximum, most);
        part[u].values(share, out);
#pragma unroll
        for (int j = 0; j < V; ++j)
          out[j] = value[j] == most[j] || value[j] != value[j] ? out[j] : dev::Acc<T>(0);
        dev::put_values<T, V>(gx, at[u], out, n);
      }
    });
  });
}

// gx = g / count where a vector of gx lies along dims that were reduced, and has one g: mean's
// gradient where it has to lie in memory. Memory traffic: numel * sizeof(T).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    mean_backward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided gx,
                  const __grid_constant__ flame_params::Strided g, double count) {
  using A = dev::Acc<T>;
  dev::by_block<V, dev::kRepeats, true>(extent, [&](auto turns) {
    A up[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long) {
      long long offset[2] = {};
      dev::locate<V>(turns, extent, index, offset, gx, g);
      at[u] = offset[0];
      up[u] = dev::load(*dev::address<T>(g, offset[1]));
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long n) {
      A share[V];
      share[0] = up[u] / A(count);
#pragma unroll
      for (int j = 1; j < V; ++j) share[j] = share[0];
      dev::put_values<T, V>(gx, at[u], share, n);
    });
  });
}

EXPORT_REDUCE(Sum)
EXPORT_REDUCE_VECTORS(Sum)
EXPORT_REDUCE_AT_ONCE(Sum)
DEV_EXPORT(mean_backward<float, 4>)
DEV_EXPORT(mean_backward<double, 2>)
DEV_EXPORT(mean_backward<__half, 8>)
DEV_EXPORT(mean_backward<__nv_bfloat16, 8>)
EXPORT_REDUCE(Max)
EXPORT_REDUCE_VECTORS(Max)
EXPORT_REDUCE_AT_ONCE(Max)
EXPORT_REDUCE(MaxAndCount)
EXPORT_REDUCE_VECTORS(MaxAndCount)

// V: 16 bytes of T, in amax_share of the accumulator, its widest operand.
DEV_EXPORT(amax_share<float, 4>)
DEV_EXPORT(amax_share<float, 1>)
DEV_EXPORT(amax_share<double, 2>)
DEV_EXPORT(amax_share<double, 1>)
DEV_EXPORT(amax_share<__half, 4>)
DEV_EXPORT(amax_share<__half, 1>)
DEV_EXPORT(amax_share<__nv_bfloat16, 4>)
DEV_EXPORT(amax_share<__nv_bfloat16, 1>)
DEV_EXPORT(amax_backward<float, 4>)
DEV_EXPORT(amax_backward<float, 1>)
DEV_EXPORT(amax_backward<double, 2>)
DEV_EXPORT(amax_backward<double, 1>)
DEV_EXPORT(amax_backward<__half, 8>)
DEV_EXPORT(amax_backward<__half, 1>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 8>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 1>)
