// z = f(x, y) element by element, with broadcasting. A functor states forward(x, y) and the
// gradients gradient_x(x, y, g) = g * df/dx and gradient_y, all in the accumulator type; one that
// takes numbers takes them last. Where an operand was broadcast, its gradient is a sum over the
// broadcast dims: its terms are computed and added in the accumulator type in one kernel
// (SumOfGradient).
#include "math.cuh"
#include "power.cuh"
#include "quotient.cuh"
#include "reduce.cuh"

// x + alpha y.
struct Add {
  template <class A>
  static __device__ A forward(A x, A y, const flame_params::Numbers& n) {
    return x + A(n.v[0]) * y;
  }
  template <class A>
  static __device__ A gradient_x(A, A, A g) {
    return g;
  }
  template <class A>
  static __device__ A gradient_y(A, A, A g, const flame_params::Numbers& n) {
    return A(n.v[0]) * g;
  }
};

struct Mul {
  template <class A>
  static __device__ A forward(A x, A y) {
    return x * y;
  }
  template <class A>
  static __device__ A gradient_x(A, A y, A g) {
    return g * y;
  }
  template <class A>
  static __device__ A gradient_y(A x, A, A g) {
    return g * x;
  }
};

namespace dev {
// The gradient of operand `side` (0: x, 1: y).
template <class F, int side, class A>
__device__ __forceinline__ A gradient(A x, A y, A g, const Numbers& numbers) {
  if constexpr (side == 0) {
    if constexpr (requires { F::gradient_x(x, y, g, numbers); })
      return F::gradient_x(x, y, g, numbers);
    else
      return F::gradient_x(x, y, g);
  } else {
    if constexpr (requires { F::gradient_y(x, y, g, numbers); })
      return F::gradient_y(x, y, g, numbers);
    else
      return F::gradient_y(x, y, g);
  }
}

// Whether rows get a body of their own: a power takes too much of everything for that.
template <class F>
inline constexpr bool kRowsApart = true;
template <>
inline constexpr bool kRowsApart<Pow> = false;

// V results in place of x. `number`: y is one number.
template <class F, class T, class A, int V>
__device__ __forceinline__ void forward_values(A (&x)[V], const A (&y)[V], bool number,
                                               const Numbers& numbers) {
  if constexpr (requires { F::template forward_all<kCoarse<T>>(x, y, number); }) {
    F::template forward_all<kCoarse<T>>(x, y, number);
  } else {
#pragma unroll
    for (int j = 0; j < V; ++j) x[j] = call_forward<F, T>(numbers, x[j], y[j]);
  }
}

// Both gradients of V elements; one that is not wanted has null data.
template <class F, class T, int V>
__device__ __forceinline__ void put_gradients(const Strided& gx, const Strided& gy,
                                              const long long* at, Acc<T> (&x)[V], Acc<T> (&y)[V],
                                              const Acc<T> (&g)[V], bool number,
                                              const Numbers& numbers, long long count) {
  if constexpr (requires { F::template gradient_all<true, kCoarse<T>>(x, y, g, number); }) {
    if (gy.data == nullptr)
      F::template gradient_all<false, kCoarse<T>>(x, y, g, number);
    else
      F::template gradient_all<true, kCoarse<T>>(x, y, g, number);
    if (gx.data != nullptr) put_values<T, V>(gx, at[0], x, count);
    if (gy.data != nullptr) put_values<T, V>(gy, at[1], y, count);
  } else {
    Acc<T> result[V];
    if (gx.data != nullptr) {
#pragma unroll
      for (int j = 0; j < V; ++j) result[j] = gradient<F, 0>(x[j], y[j], g[j], numbers);
      put_values<T, V>(gx, at[0], result, count);
    }
    if (gy.data != nullptr) {
#pragma unroll
      for (int j = 0; j < V; ++j) result[j] = gradient<F, 1>(x[j], y[j], g[j], numbers);
      put_values<T, V>(gy, at[1], result, count);
    }
  }
}
}  // namespace dev

// Memory traffic: numel(out) * sizeof(T) + each operand once.
template <class F, class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    binary_forward(const __grid_constant__ flame_params::Extent extent,
                   const __grid_constant__ flame_params::Strided out,
                   const __grid_constant__ flame_params::Strided x,
                   const __grid_constant__ flame_params::Strided y,
                   const __grid_constant__ flame_params::Numbers numbers) {
  dev::by_block<V, 1, dev::kRowsApart<F>>(extent, [&](auto turns) {
    dev::Lane<T, V, false> a[turns.times];
    dev::Lane<T, V> b[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[3] = {};
      dev::locate<V>(turns, extent, index, offset, out, x, y);
      at[u] = offset[0];
      a[u].fetch_from(turns, extent, x, offset[1], count);
      b[u].fetch_from(turns, extent, y, offset[2], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Acc<T> p[V], q[V];
      a[u].values(x, p);
      b[u].values(y, q);
      dev::forward_values<F, T>(p, q, y.data == nullptr, numbers);
      dev::put_values<T, V>(out, at[u], p, count);
    });
  });
}

// Gradients of operands that were not broadcast; one that is not wanted has null data. An operand
// that no gradient reads is given as a number. Memory traffic: numel * sizeof(T) for each tensor.
template <class F, class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    binary_backward(const __grid_constant__ flame_params::Extent extent,
                    const __grid_constant__ flame_params::Strided gx,
                    const __grid_constant__ flame_params::Strided gy,
                    const __grid_constant__ flame_params::Strided g,
                    const __grid_constant__ flame_params::Strided x,
                    const __grid_constant__ flame_params::Strided y,
                    const __grid_constant__ flame_params::Numbers numbers) {
  dev::by_block<V, 1, dev::kRowsApart<F>>(extent, [&](auto turns) {
    dev::Lane<T, V, false> up[turns.times];
    dev::Lane<T, V> a[turns.times], b[turns.times];
    long long at[turns.times][2];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[5] = {};
      dev::locate<V>(turns, extent, index, offset, gx, gy, g, x, y);
      at[u][0] = offset[0];
      at[u][1] = offset[1];
      up[u].fetch_from(turns, extent, g, offset[2], count);
      a[u].fetch_from(turns, extent, x, offset[3], count);
      b[u].fetch_from(turns, extent, y, offset[4], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Acc<T> p[V], q[V], r[V];
      up[u].values(g, r);
      a[u].values(x, p);
      b[u].values(y, q);
      dev::put_gradients<F, T, V>(gx, gy, at[u], p, q, r, y.data == nullptr, numbers, count);
    });
  });
}

namespace dev {
// Terms of a gradient that a thread computes at once: a power takes too many registers for more.
template <class F>
inline constexpr int kTermsTogether = kInFlight;
template <>
inline constexpr int kTermsTogether<Pow> = 1;
}  // namespace dev

// The gradient of a broadcast operand, the sum of its terms: streams g and the other operand; its
// own element is the same for all terms.
template <class F, int side>
struct SumOfGradient : dev::Summed {
  static constexpr int kStreams = 2;
  static constexpr bool kOwn = true;
  static constexpr int kLoads = dev::kTermsTogether<F>;
  template <class A>
  static __device__ void fold(A& sum, A g, A other, A own, const flame_params::Numbers& numbers) {
    sum += dev::gradient<F, side>(side == 0 ? own : other, side == 0 ? other : own, g, numbers);
  }
};

// That of add's second operand reads g alone.
template <>
struct SumOfGradient<Add, 1> : dev::Summed {
  template <class A>
  static __device__ void fold(A& sum, A g, const flame_params::Numbers& numbers) {
    sum += Add::gradient_y(A(0), A(0), g, numbers);
  }
};

// Both gradients by one pass over g and the operand that was not broadcast; the sum has the same
// bits as alone, as its order is the same.
template <class F, int side>
struct SumAndGradient : SumOfGradient<F, side> {
  static constexpr bool kEach = true;
  template <class A>
  static __device__ A each(A g, A other, A own, const flame_params::Numbers& numbers) {
    return dev::gradient<F, 1 - side>(side == 0 ? own : other, side == 0 ? other : own, g, numbers);
  }
};

#define EXPORT_BINARY_OF(F, T, V)      \
  DEV_EXPORT(binary_forward<F, T, V>)  \
  DEV_EXPORT(binary_forward<F, T, 1>)  \
  DEV_EXPORT(binary_backward<F, T, V>) \
  DEV_EXPORT(binary_backward<F, T, 1>)
#define EXPORT_BINARY(F)         \
  EXPORT_BINARY_OF(F, float, 4)  \
  EXPORT_BINARY_OF(F, double, 2) \
  EXPORT_BINARY_OF(F, __half, 8) \
  EXPORT_BINARY_OF(F, __nv_bfloat16, 8)
EXPORT_BINARY(Add)
EXPORT_BINARY(Mul)
EXPORT_BINARY(Div)
EXPORT_BINARY(DivTrunc)
EXPORT_BINARY(DivFloor)
EXPORT_BINARY(Pow)

// Those that lib/ops/binary.cpp asks for: g itself is summed by reduce.cu, Mul's gradients are one
// function, a flat one is a fill. Pow gains nothing by vectors.
#define EXPORT_SUM_OF_GRADIENT(...)         \
  EXPORT_REDUCE(SumOfGradient<__VA_ARGS__>) \
  EXPORT_REDUCE_VECTORS(SumOfGradient<__VA_ARGS__>)
EXPORT_REDUCE_VECTORS(SumAndGradient<Add, 1>)
EXPORT_REDUCE_VECTORS(SumAndGradient<Mul, 0>)
EXPORT_SUM_OF_GRADIENT(Add, 1)
EXPORT_SUM_OF_GRADIENT(Mul, 0)
EXPORT_SUM_OF_GRADIENT(Div, 0)
EXPORT_SUM_OF_GRADIENT(Div, 1)
EXPORT_REDUCE(SumOfGradient<Pow, 0>)
EXPORT_REDUCE(SumOfGradient<Pow, 1>)
