// Elements that depend on nothing but their index.
#include "copy.cuh"
#include "elementwise.cuh"

namespace dev {
template <class T>
__device__ __forceinline__ typename Stored<T>::type constant(const flame_params::Constant& c) {
  return c.is_integer ? convert<long long, T>(c.integer) : convert<double, T>(c.real);
}
}  // namespace dev

namespace dev {
inline constexpr int kArangeUnroll = 4;  // lib/ops/creation.cpp agrees
}

// to[...] = value. Memory traffic: numel * sizeof(T).
template <class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    fill(const __grid_constant__ flame_params::Extent extent,
         const __grid_constant__ flame_params::Strided to,
         const __grid_constant__ flame_params::Constant value) {
  using S = typename dev::Stored<T>::type;
  const S one = dev::constant<T>(value);
  dev::Packet<S, V> out;
  out.clear();
#pragma unroll
  for (int j = 0; j < V; ++j) out.set(j, one);
  dev::by_block<V>(extent, [&](auto turns) {
    dev::for_vectors<V>(extent, turns, [&](int, long long index, long long count) {
      long long offset[1] = {};
      dev::locate<V>(turns, extent, index, offset, to);
      dev::write<S, V>(dev::address<S>(to, offset[0]), out, count);
    });
  });
}

namespace dev {

// How the elements of an arange come out exactly as its definition says, cheaply.
enum class Steps {
  kExact24,  // integers below 2^24: sums of floats are exact
  kInt,      // integers that fit int
  kLong,     // integers
  kDouble,
};
__device__ __forceinline__ bool within(long long v, long long limit) {
  return -limit < v && v < limit;
}
__device__ __forceinline__ Steps steps_of(const flame_params::Constant& start,
                                          const flame_params::Constant& step, long long numel) {
  if (!start.is_integer || !step.is_integer) return Steps::kDouble;
  const double last = double(start.integer) + double(numel + 16) * double(step.integer);
  const long long bound = last > -0x1p40 && last < 0x1p40 ? (long long)last : 1ll << 40;
  for (const long long limit : {1ll << 24, 1ll << 31})
    if (within(start.integer, limit) && within(step.integer, limit >> 5) && within(bound, limit))
      return limit == 1ll << 24 ? Steps::kExact24 : Steps::kInt;
  return Steps::kLong;
}

// Elements i, i + 1, ... of an arange.
template <class T, int V, class Packet>
__device__ __forceinline__ void steps(Steps way, const flame_params::Constant& start,
                                      const flame_params::Constant& step, long long i,
                                      Packet& out) {
  constexpr bool kFloat = kHalf<T> || kSame<T, float>;
  out.clear();
  if (kFloat && way == Steps::kExact24) {
    if constexpr (kFloat) {
      const float first = float(int(start.integer + i * step.integer));
      const float by = float(int(step.integer));
      float values[V];
#pragma unroll
      for (int j = 0; j < V; ++j) values[j] = first + float(j) * by;
      out.assign(values);
    }
  } else if (way == Steps::kExact24 || way == Steps::kInt) {
    const int first = int(start.integer + i * step.integer), by = int(step.integer);
#pragma unroll
    for (int j = 0; j < V; ++j) out.set(j, convert<int, T>(first + j * by));
  } else if (way == Steps::kLong) {
#pragma unroll
    for (int j = 0; j < V; ++j)
      out.set(j, convert<long long, T>(start.integer + (i + j) * step.integer));
  } else {
#pragma unroll
    for (int j = 0; j < V; ++j)
      out.set(j, convert<double, T>(start.real + double(i + j) * step.real));
  }
}

}  // namespace dev

// to[i] = start + i * step, in 64-bit integers where both are, else in double, then rounded once.
// A thread makes vectors of 16 bytes. Memory traffic: numel * sizeof(T).
template <class T>
__global__ void __launch_bounds__(dev::kThreads)
    arange(typename dev::Stored<T>::type* to, const __grid_constant__ flame_params::Constant start,
           const __grid_constant__ flame_params::Constant step, const long long numel) {
  using S = typename dev::Stored<T>::type;
  constexpr int V = dev::kVec<S>;
  const dev::Steps way = dev::steps_of(start, step, numel);
  const long long first = (long long)blockIdx.x * (blockDim.x * dev::kArangeUnroll) + threadIdx.x;
#pragma unroll
  for (int u = 0; u < dev::kArangeUnroll; ++u) {
    const long long i = (first + u * (int)blockDim.x) * V;
    if (i >= numel) return;
    dev::Packet<S, V> out;
    dev::steps<T, V>(way, start, step, i, out);
    dev::write<S, V>(to + i, out, numel - i);
  }
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
