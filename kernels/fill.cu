// Elements that depend on nothing but their index.
#include "copy.cuh"
#include "elementwise.cuh"

namespace dev {
template <class T>
__device__ __forceinline__ typename Stored<T>::type constant(const flame_params::Constant& c) {
  return c.is_integer ? convert<long long, T>(c.integer) : convert<double, T>(c.real);
}
}  // namespace dev

// to[...] = value. Memory traffic: numel * sizeof(T).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    fill(const __grid_constant__ flame_params::Extent extent,
         const __grid_constant__ flame_params::Strided to,
         const __grid_constant__ flame_params::Constant value) {
  using S = typename dev::Stored<T>::type;
  const S one = dev::constant<T>(value);
  dev::Vec<S, V> out;
#pragma unroll
  for (int j = 0; j < V; ++j) out.v[j] = one;
  dev::for_vectors<V>(extent, [&](int, long long index, long long count) {
    long long offset[1] = {};
    dev::locate(extent, index, offset, to);
    dev::put<S, V>(to, offset[0], out, count);
  });
}

// to[i] = start + i * step, in 64-bit integers where both are, else in double, then rounded once.
// Memory traffic: numel * sizeof(T).
template <class T>
__global__ void __launch_bounds__(dev::kThreads)
    arange(typename dev::Stored<T>::type* to, const __grid_constant__ flame_params::Constant start,
           const __grid_constant__ flame_params::Constant step, const long long numel) {
  const long long i = dev::global_thread();
  if (i >= numel) return;
  to[i] = start.is_integer && step.is_integer
              ? dev::convert<long long, T>(start.integer + i * step.integer)
              : dev::convert<double, T>(start.real + double(i) * step.real);
}

#define EXPORT_FILL(T, V) \
  DEV_EXPORT(fill<T, V>)  \
  DEV_EXPORT(fill<T, 1>)  \
  DEV_EXPORT(arange<T>)
EXPORT_FILL(float, 4)
EXPORT_FILL(double, 2)
EXPORT_FILL(__half, 8)
EXPORT_FILL(__nv_bfloat16, 8)
EXPORT_FILL(long long, 2)
EXPORT_FILL(int, 4)
EXPORT_FILL(unsigned char, 16)
EXPORT_FILL(bool, 16)
