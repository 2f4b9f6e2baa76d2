// out = condition ? x : y with broadcasting; the condition is a byte, anything nonzero is true.
#include "reduce.cuh"

namespace dev {
// The bytes of a condition; one that is broadcast along the vector stands for all.
template <int V>
struct Choice {
  Packet<unsigned char, V> packet;
  bool splat;
  template <class Turns>
  __device__ __forceinline__ void fetch_from(const Turns&, const Extent& extent,
                                             const Strided& from, long long offset,
                                             long long count) {
    splat = V > 1 && Turns::splats(extent, from);
    const auto* at = static_cast<const unsigned char*>(from.data) + offset;
    if (splat) {
      packet.clear();
      packet.set(0, *at);
    } else {
      read<unsigned char, V>(packet, at, count);
    }
  }
  __device__ __forceinline__ void values(bool* out) const {
    if (splat) {
#pragma unroll
      for (int j = 0; j < V; ++j) out[j] = packet.get(0) != 0;
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) out[j] = packet.get(j) != 0;
    }
  }
};
}  // namespace dev

// Memory traffic: numel * (1 + 3 sizeof(T)).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    where_forward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided out,
                  const __grid_constant__ flame_params::Strided condition,
                  const __grid_constant__ flame_params::Strided x,
                  const __grid_constant__ flame_params::Strided y) {
  dev::by_block<V>(extent, [&](auto turns) {
    dev::Lane<T, V> a[turns.times], b[turns.times];
    dev::Choice<V> chosen[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[4] = {};
      dev::locate<V>(turns, extent, index, offset, out, condition, x, y);
      at[u] = offset[0];
      chosen[u].fetch_from(turns, extent, condition, offset[1], count);
      a[u].fetch_from(turns, extent, x, offset[2], count);
      b[u].fetch_from(turns, extent, y, offset[3], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Acc<T> p[V], q[V];
      bool is[V];
      chosen[u].values(is);
      a[u].values(x, p);
      b[u].values(y, q);
#pragma unroll
      for (int j = 0; j < V; ++j) p[j] = is[j] ? p[j] : q[j];
      dev::put_values<T, V>(out, at[u], p, count);
    });
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
  dev::by_block<V>(extent, [&](auto turns) {
    dev::Lane<T, V, false> up[turns.times];
    dev::Choice<V> chosen[turns.times];
    long long at[turns.times][2];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[4] = {};
      dev::locate<V>(turns, extent, index, offset, gx, gy, g, condition);
      at[u][0] = offset[0];
      at[u][1] = offset[1];
      up[u].fetch_from(turns, extent, g, offset[2], count);
      chosen[u].fetch_from(turns, extent, condition, offset[3], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Acc<T> r[V], result[V];
      bool is[V];
      chosen[u].values(is);
      up[u].values(g, r);
      if (gx.data != nullptr) {
#pragma unroll
        for (int j = 0; j < V; ++j) result[j] = is[j] ? r[j] : dev::Acc<T>(0);
        dev::put_values<T, V>(gx, at[u][0], result, count);
      }
      if (gy.data != nullptr) {
#pragma unroll
        for (int j = 0; j < V; ++j) result[j] = is[j] ? dev::Acc<T>(0) : r[j];
        dev::put_values<T, V>(gy, at[u][1], result, count);
      }
    });
  });
}

// The gradient of a broadcast operand, `side` 0: x, 1: y; operands g and the condition.
template <int side>
struct SumOfChosen : dev::Summed {
  static constexpr int kStreams = 2;
  template <class T>
  using Second = unsigned char;
  template <class A>
  static __device__ void fold(A& sum, A g, A condition) {
    sum += (condition != A(0)) == (side == 0) ? g : A(0);
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
EXPORT_REDUCE_VECTORS(SumOfChosen<0>)
EXPORT_REDUCE(SumOfChosen<1>)
EXPORT_REDUCE_VECTORS(SumOfChosen<1>)
