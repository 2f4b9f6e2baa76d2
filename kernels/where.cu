// out = condition ? x : y with broadcasting; the condition is a byte, anything nonzero is true.
#include "reduce.cuh"

// Values are selected, never computed with. Memory traffic: numel * (1 + 3 sizeof(T)).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    where_forward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided out,
                  const __grid_constant__ flame_params::Strided condition,
                  const __grid_constant__ flame_params::Strided x,
                  const __grid_constant__ flame_params::Strided y) {
  dev::for_vectors<V>(extent, [&](int, long long index, long long count) {
    long long offset[4] = {};
    dev::locate(extent, index, offset, out, condition, x, y);
    const auto chosen = dev::fetch<unsigned char, V>(condition.data, offset[1],
                                                     condition.stride[extent.rank - 1] == 0, count);
    dev::Lane<T, V> a, b;
    a.fetch_from(extent, x, offset[2], count);
    b.fetch_from(extent, y, offset[3], count);
    dev::Vec<T, V> result;
#pragma unroll
    for (int j = 0; j < V; ++j)
      result.v[j] = dev::store<T>(chosen.v[j] != 0 ? a.get(x, j) : b.get(y, j));
    dev::put<T, V>(out, offset[0], result, count);
  });
}

// gx = condition ? g : 0 and gy = condition ? 0 : g, of operands that were not broadcast; one that
// is not wanted has null data. Memory traffic: numel * (1 + 3 sizeof(T)).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    where_backward(const __grid_constant__ flame_params::Extent extent,
                   const __grid_constant__ flame_params::Strided gx,
                   const __grid_constant__ flame_params::Strided gy,
                   const __grid_constant__ flame_params::Strided g,
                   const __grid_constant__ flame_params::Strided condition) {
  dev::for_vectors<V>(extent, [&](int, long long index, long long count) {
    long long offset[4] = {};
    dev::locate(extent, index, offset, gx, gy, g, condition);
    const auto chosen = dev::fetch<unsigned char, V>(condition.data, offset[3],
                                                     condition.stride[extent.rank - 1] == 0, count);
    const auto up = dev::fetch<T, V>(g.data, offset[2], g.stride[extent.rank - 1] == 0, count);
    const T zero = dev::store<T>(dev::Acc<T>(0));
    dev::Vec<T, V> out;
    if (gx.data != nullptr) {
#pragma unroll
      for (int j = 0; j < V; ++j) out.v[j] = chosen.v[j] != 0 ? up.v[j] : zero;
      dev::put<T, V>(gx, offset[0], out, count);
    }
    if (gy.data != nullptr) {
#pragma unroll
      for (int j = 0; j < V; ++j) out.v[j] = chosen.v[j] != 0 ? zero : up.v[j];
      dev::put<T, V>(gy, offset[1], out, count);
    }
  });
}

// The gradient of a broadcast operand, `side` 0: x, 1: y; operands g and the condition.
template <int side>
struct SumOfChosen : dev::Summed {
  static constexpr int kInputs = 2;
  template <class T, int k>
  struct InOf {
    using type = T;
  };
  template <class T>
  struct InOf<T, 1> {
    using type = unsigned char;
  };
  template <class T, int k>
  using In = typename InOf<T, k>::type;
  template <class A>
  static __device__ A term(A g, A condition) {
    return (condition != A(0)) == (side == 0) ? g : A(0);
  }
};

#define EXPORT_WHERE(T, V)         \
  DEV_EXPORT(where_forward<T, V>)  \
  DEV_EXPORT(where_forward<T, 1>)  \
  DEV_EXPORT(where_backward<T, V>) \
  DEV_EXPORT(where_backward<T, 1>)
EXPORT_WHERE(float, 4)
EXPORT_WHERE(double, 2)
EXPORT_WHERE(__half, 8)
EXPORT_WHERE(__nv_bfloat16, 8)
EXPORT_REDUCE(SumOfChosen<0>)
EXPORT_REDUCE(SumOfChosen<1>)
