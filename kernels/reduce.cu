// sum, mean and amax, and the backward of mean and amax.
#include "peak_gradient.cuh"
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

// gx = g at the only maximum of an output; where there are more, g / how many at each; else 0.
// Where there are NaNs, they are the maxima. record and maximum lie alike. Memory traffic: numel *
// sizeof(T), twice as much where an output has more than one maximum.
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    amax_backward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided gx,
                  const __grid_constant__ flame_params::Strided x,
                  const __grid_constant__ flame_params::Strided record,
                  const __grid_constant__ flame_params::Strided g,
                  const __grid_constant__ flame_params::Strided maximum) {
  dev::by_block<V, dev::kPeakUnroll, true>(extent, [&](auto turns) {
    if (V > 1 && turns.splats(extent, record))
      dev::amax_gradient<T, V, (V > 1)>(turns, extent, gx, x, record, g, maximum);
    else
      dev::amax_gradient<T, V, false>(turns, extent, gx, x, record, g, maximum);
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

// V: 16 bytes of T.
DEV_EXPORT(amax_backward<float, 4>)
DEV_EXPORT(amax_backward<float, 1>)
DEV_EXPORT(amax_backward<double, 2>)
DEV_EXPORT(amax_backward<double, 1>)
DEV_EXPORT(amax_backward<__half, 8>)
DEV_EXPORT(amax_backward<__half, 1>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 8>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 1>)
