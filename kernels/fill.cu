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
  kInt,   // integers that fit int
  kLong,  // integers
  kDouble,
};
struct Progression {
  Steps way;
  int start, step;  // with kInt
};
__device__ __forceinline__ bool within(double v, double limit) { return -limit < v && v < limit; }
// Start and step may be given as doubles and be integers all the same: sums of doubles are then
// exact as those of integers are.
__device__ __forceinline__ Progression progression(const flame_params::Constant& start,
                                                   const flame_params::Constant& step,
                                                   long long numel) {
  const bool integers = start.is_integer && step.is_integer;
  Progression out = {integers ? Steps::kLong : Steps::kDouble, 0, 0};
  const double last = start.real + double(numel + 16) * step.real;
  if (!within(start.real, 0x1p30) || !within(step.real, 0x1p25) || !within(last, 0x1p30))
    return out;
  out.start = int(start.real), out.step = int(step.real);
  if (double(out.start) == start.real && double(out.step) == step.real) out.way = Steps::kInt;
  return out;
}

// v as a float that rounds to bfloat16 or float16 as v does: what a float has no digits for is
// gathered in the last bit that it keeps.
__device__ __forceinline__ float gathered(int v) {
  const int rest = v & 0x7f;
  const bool large = v >= 1 << 24 || v <= -(1 << 24);
  return float(large && rest != 0 ? (v - rest) | 0x80 : v);
}

// Elements i, i + 1, ... of an arange.
template <class T, int V, class Packet>
__device__ __forceinline__ void steps(const Progression& all, const flame_params::Constant& start,
                                      const flame_params::Constant& step, long long i,
                                      Packet& out) {
  constexpr bool kFloat = kHalf<T> || kSame<T, float>;
  const int first = all.start + int(i) * all.step, by = all.step, last = first + (V - 1) * by;
  out.clear();
  if (kFloat && all.way == Steps::kInt) {
    if constexpr (kFloat) {
      float values[V];
      if (max(max(first, -first), max(last, -last)) < 1 << 24) {  // sums of floats are exact
#pragma unroll
        for (int j = 0; j < V; ++j) values[j] = float(first) + float(j) * float(by);
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j)
          values[j] = kHalf<T> ? gathered(first + j * by) : float(first + j * by);
      }
      out.assign(values);
    }
  } else if (all.way == Steps::kInt) {
#pragma unroll
    for (int j = 0; j < V; ++j) out.set(j, convert<int, T>(first + j * by));
  } else if (all.way == Steps::kLong) {
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
  const dev::Progression all = dev::progression(start, step, numel);
  const long long first = (long long)blockIdx.x * (blockDim.x * dev::kArangeUnroll) + threadIdx.x;
#pragma unroll
  for (int u = 0; u < dev::kArangeUnroll; ++u) {
    const long long i = (first + u * (int)blockDim.x) * V;
    if (i >= numel) return;
    dev::Packet<S, V> out;
    dev::steps<T, V>(all, start, step, i, out);
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
