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

// For half types in columns, where about every second vector holds an output that has several
// maxima, few numbers being there to choose from: reading all of the input is faster than asking.
// share = g / how many, rounded.
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    amax_share(const __grid_constant__ flame_params::Extent extent,
               const __grid_constant__ flame_params::Strided share,
               const __grid_constant__ flame_params::Strided g,
               const __grid_constant__ flame_params::Strided record) {
  using A = dev::Acc<T>;
  using Record = dev::Record<A>;
  dev::for_vectors<V>(extent, [&](int, long long index, long long n) {
    long long offset[3] = {};
    dev::locate(extent, index, offset, share, g, record);
    dev::Lane<T, V> up;
    dev::Packet<typename Record::type, V> records;
    up.fetch_from(extent, g, offset[1], n);
    dev::read<typename Record::type, V>(records,
                                        dev::address<typename Record::type>(record, offset[2]), n);
    A p[V];
    up.values(g, p);
#pragma unroll
    for (int j = 0; j < V; ++j)
      if (records.raw.v[j] < 0) p[j] /= Record::count(records.raw.v[j]);
    dev::put_values<T, V>(share, offset[0], p, n);
  });
}

// gx = share at every maximum, else 0. Memory traffic: numel * 2 * sizeof(T).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    amax_backward_dense(const __grid_constant__ flame_params::Extent extent,
                        const __grid_constant__ flame_params::Strided gx,
                        const __grid_constant__ flame_params::Strided x,
                        const __grid_constant__ flame_params::Strided maximum,
                        const __grid_constant__ flame_params::Strided share) {
  dev::by_block<V, 1, true>(extent, [&](auto turns) {
    dev::for_vectors<V>(extent, turns, [&](int, long long index, long long n) {
      long long offset[4] = {};
      dev::locate<V>(turns, extent, index, offset, gx, x, maximum, share);
      dev::Lane<T, V, false> in, top, part;
      in.fetch_from(turns, extent, x, offset[1], n);
      top.fetch_from(turns, extent, maximum, offset[2], n);
      part.fetch_from(turns, extent, share, offset[3], n);
      dev::Packet<T, V> out;
#pragma unroll
      for (int i = 0; i < V / 2; ++i)
        out.raw.v[i] = part.word(i) & dev::equal_or_nan<T>(in.word(i), top.word(i));
      dev::write<T, V>(dev::address<T>(gx, offset[0]), out, n);
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
EXPORT_REDUCE(Max)
EXPORT_REDUCE_VECTORS(Max)
EXPORT_REDUCE_AT_ONCE(Max)
EXPORT_REDUCE(MaxAndCount)
EXPORT_REDUCE_VECTORS(MaxAndCount)

// V: 16 bytes of T, in amax_share of the record.
DEV_EXPORT(mean_backward<float, 4>)
DEV_EXPORT(mean_backward<double, 2>)
DEV_EXPORT(mean_backward<__half, 8>)
DEV_EXPORT(mean_backward<__nv_bfloat16, 8>)
DEV_EXPORT(amax_share<__half, 4>)
DEV_EXPORT(amax_share<__half, 1>)
DEV_EXPORT(amax_share<__nv_bfloat16, 4>)
DEV_EXPORT(amax_share<__nv_bfloat16, 1>)
DEV_EXPORT(amax_backward_dense<__half, 8>)
DEV_EXPORT(amax_backward_dense<__nv_bfloat16, 8>)
DEV_EXPORT(amax_backward<float, 4>)
DEV_EXPORT(amax_backward<float, 1>)
DEV_EXPORT(amax_backward<double, 2>)
DEV_EXPORT(amax_backward<double, 1>)
DEV_EXPORT(amax_backward<__half, 8>)
DEV_EXPORT(amax_backward<__half, 1>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 8>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 1>)
