// sum, mean and amax, and amax's backward.
#include "peak_gradient.cuh"
#include "ptx.cuh"
#include "reduce.cuh"

struct Sum : dev::Summed {
  template <class A>
  static __device__ void fold(A& sum, A x) {
    sum += x;
  }
};

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
  static constexpr bool kBrief = true;
  template <class T>
  using Brief = unsigned;
  template <class T>
  static __device__ unsigned start_brief() {
    return dev::round_pair<T>(-dev::inf(), -dev::inf());
  }
  template <class T>
  static __device__ void fold_brief(unsigned& maxima, unsigned x, unsigned) {
    maxima = dev::as_word(__hmax2_nan(dev::as_pair<T>(maxima), dev::as_pair<T>(x)));
  }
  template <class T>
  static __device__ float of_brief(unsigned maxima, int half) {
    return dev::widen<T>(maxima, half);
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
  constexpr bool kRow = V > 1;
  const bool row = kRow && dev::Turns<dev::Way::kAny, 1>::splats(extent, record);
  const long long first = (long long)blockIdx.x * (dev::kThreads * dev::kPeakUnroll) + threadIdx.x;
  unsigned left = 0;
  dev::by_block<V, dev::kPeakUnroll, true>(extent, [&](auto turns) {
    const int u = int(turns.first - first) / dev::kThreads;
    left |= (row ? dev::clear_peakless<T, V, kRow>(turns, extent, gx, x, record)
                 : dev::clear_peakless<T, V, false>(turns, extent, gx, x, record))
            << u;
  });
#pragma unroll 1
  for (long long index = first; left != 0; left >>= 1, index += dev::kThreads) {
    if ((left & 1u) == 0) continue;
    if (row)
      dev::give_to_peaks<T, V, kRow>(extent, index, gx, x, record, g, maximum);
    else
      dev::give_to_peaks<T, V, false>(extent, index, gx, x, record, g, maximum);
  }
}

EXPORT_REDUCE(Sum)
EXPORT_REDUCE_VECTORS(Sum)
EXPORT_REDUCE(Max)
EXPORT_REDUCE_VECTORS(Max)
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
