// sum, mean and amax, and amax's backward.
#include "reduce.cuh"

struct Sum : dev::Summed {
  static constexpr int kInputs = 1;
  template <class A>
  static __device__ A term(A x) {
    return x;
  }
};

// NaN wins.
struct Max {
  static constexpr int kInputs = 1;
  template <class T>
  using Out = T;
  template <class T, int k>
  using In = T;
  template <class A>
  static __device__ A start() {
    return -A(dev::inf());
  }
  template <class A>
  static __device__ A term(A x) {
    return x;
  }
  template <class A>
  static __device__ A combine(A a, A b) {
    return a > b || a != a ? a : b;
  }
};

namespace dev {
// Whether x is the maximum, or one of the NaNs that won.
template <class A>
__device__ __forceinline__ bool is_max(A x, A maximum) {
  return x == maximum || (x != x && maximum != maximum);
}
}  // namespace dev

// How many elements share the maximum: operands x and the maximum.
struct CountMax : dev::Summed {
  static constexpr int kInputs = 2;
  template <class T>
  using Out = dev::Acc<T>;
  template <class A>
  static __device__ A term(A x, A maximum) {
    return dev::is_max(x, maximum) ? A(1) : A(0);
  }
};

// gx = g / count at every maximum, else 0. Memory traffic: numel * 2 * sizeof(T).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    amax_backward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided gx,
                  const __grid_constant__ flame_params::Strided x,
                  const __grid_constant__ flame_params::Strided maximum,
                  const __grid_constant__ flame_params::Strided g,
                  const __grid_constant__ flame_params::Strided count) {
  using A = dev::Acc<T>;
  dev::for_vectors<V>(extent, [&](int, long long index, long long n) {
    long long offset[5] = {};
    dev::locate(extent, index, offset, gx, x, maximum, g, count);
    dev::Lane<T, V> in, top, up;
    dev::Lane<A, V> share;
    in.fetch_from(extent, x, offset[1], n);
    top.fetch_from(extent, maximum, offset[2], n);
    up.fetch_from(extent, g, offset[3], n);
    share.fetch_from(extent, count, offset[4], n);
    dev::Vec<T, V> out;
#pragma unroll
    for (int j = 0; j < V; ++j)
      out.v[j] = dev::store<T>(dev::is_max(in.get(x, j), top.get(maximum, j))
                                   ? up.get(g, j) / share.get(count, j)
                                   : A(0));
    dev::put<T, V>(gx, offset[0], out, n);
  });
}

#define EXPORT_REDUCE_VECTORS(...)           \
  DEV_EXPORT(reduce<__VA_ARGS__, float, 4>)  \
  DEV_EXPORT(reduce<__VA_ARGS__, double, 2>) \
  DEV_EXPORT(reduce<__VA_ARGS__, __half, 8>) \
  DEV_EXPORT(reduce<__VA_ARGS__, __nv_bfloat16, 8>)
EXPORT_REDUCE(Sum)
EXPORT_REDUCE_VECTORS(Sum)
EXPORT_REDUCE(Max)
EXPORT_REDUCE_VECTORS(Max)
EXPORT_REDUCE(CountMax)

// V: 16 bytes of the accumulator, the widest operand.
DEV_EXPORT(amax_backward<float, 4>)
DEV_EXPORT(amax_backward<float, 1>)
DEV_EXPORT(amax_backward<double, 2>)
DEV_EXPORT(amax_backward<double, 1>)
DEV_EXPORT(amax_backward<__half, 4>)
DEV_EXPORT(amax_backward<__half, 1>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 4>)
DEV_EXPORT(amax_backward<__nv_bfloat16, 1>)
