// z = f(x, y) element by element, with broadcasting. A functor states forward(x, y) and the
// gradients gradient_x(x, y, g) = g * df/dx and gradient_y, all in the accumulator type; one that
// takes numbers takes them last. Where an operand was broadcast, its gradient is a sum over the
// broadcast dims: its terms are computed and added in the accumulator type in one kernel
// (SumOfGradient).
#include "math.cuh"
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

struct Div {
  template <class A>
  static __device__ A forward(A x, A y) {
    return x / y;
  }
  template <class A>
  static __device__ A gradient_x(A, A y, A g) {
    return g / y;
  }
  // Not x / y^2: y^2 may overflow or vanish where the quotient does not.
  template <class A>
  static __device__ A gradient_y(A x, A y, A g) {
    return -g * ((x / y) / y);
  }
};

// A rounded quotient is flat: its gradient is 0.
struct Flat {
  template <class A>
  static __device__ A gradient_x(A, A, A) {
    return A(0);
  }
  template <class A>
  static __device__ A gradient_y(A, A, A) {
    return A(0);
  }
};
struct DivTrunc : Flat {
  template <class A>
  static __device__ A forward(A x, A y) {
    return dev::trunc(x / y);
  }
};
// The floor of the exact quotient, as Python's //: the rounded quotient can be one too large.
struct DivFloor : Flat {
  template <class A>
  static __device__ A forward(A x, A y) {
    if (y == A(0)) return x / y;
    const A remainder = dev::fmod(x, y);
    A quotient = (x - remainder) / y;
    if (remainder != A(0) && (y < A(0)) != (remainder < A(0))) quotient -= A(1);
    if (quotient == A(0)) return x / y < A(0) ? A(-0.0) : A(0);
    const A whole = dev::floor(quotient);
    return quotient - whole > A(0.5) ? whole + A(1) : whole;
  }
};

struct Pow {
  static constexpr bool kManyRegisters = true;
  template <class A>
  static __device__ A forward(A x, A y) {
    return dev::pow(x, y);
  }
  template <class A>
  static __device__ A gradient_x(A x, A y, A g) {
    return y == A(0) ? A(0) : g * (y * dev::pow(x, y - A(1)));
  }
  template <class A>
  static __device__ A gradient_y(A x, A y, A g) {
    return x == A(0) && y >= A(0) ? A(0) : g * (dev::pow(x, y) * dev::log(x));
  }
};

namespace dev {
// Vectors that a thread of a backward holds at once.
template <class F>
__device__ constexpr int together() {
  if constexpr (requires { F::kManyRegisters; })
    return 1;
  else
    return kUnroll;
}

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

template <class F, int side, class T, int V>
__device__ __forceinline__ void put_gradient(const Strided& to, long long offset,
                                             const Lane<T, V>& up, const Strided& g,
                                             const Lane<T, V>& a, const Strided& x,
                                             const Lane<T, V>& b, const Strided& y,
                                             const Numbers& numbers, long long count) {
  Acc<T> result[V];
  if constexpr (together<F>() == 1) {
#pragma unroll
    for (int j = 0; j < V; ++j)
      result[j] = gradient<F, side>(a.get(x, j), b.get(y, j), up.get(g, j), numbers);
  } else {
    Acc<T> p[V], q[V], r[V];
    up.values(g, r);
    a.values(x, p);
    b.values(y, q);
#pragma unroll
    for (int j = 0; j < V; ++j) result[j] = gradient<F, side>(p[j], q[j], r[j], numbers);
  }
  put_values<T, V>(to, offset, result, count);
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
  dev::by_block<V>(extent, [&](auto turns) {
    dev::Lane<T, V> a[turns.times], b[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[3] = {};
      dev::locate(extent, index, offset, out, x, y);
      at[u] = offset[0];
      a[u].fetch_from(extent, x, offset[1], count);
      b[u].fetch_from(extent, y, offset[2], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Acc<T> p[V], q[V];
      a[u].values(x, p);
      b[u].values(y, q);
#pragma unroll
      for (int j = 0; j < V; ++j) p[j] = dev::call_forward<F>(numbers, p[j], q[j]);
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
  dev::by_block<V, dev::kUnroll, dev::together<F>()>(extent, [&](auto turns) {
    dev::Lane<T, V> up[turns.times], a[turns.times], b[turns.times];
    long long at[turns.times][2];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[5] = {};
      dev::locate(extent, index, offset, gx, gy, g, x, y);
      at[u][0] = offset[0];
      at[u][1] = offset[1];
      up[u].fetch_from(extent, g, offset[2], count);
      a[u].fetch_from(extent, x, offset[3], count);
      b[u].fetch_from(extent, y, offset[4], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      if (gx.data != nullptr)
        dev::put_gradient<F, 0, T, V>(gx, at[u][0], up[u], g, a[u], x, b[u], y, numbers, count);
      if (gy.data != nullptr)
        dev::put_gradient<F, 1, T, V>(gy, at[u][1], up[u], g, a[u], x, b[u], y, numbers, count);
    });
  });
}

// The gradient of a broadcast operand; operands g, x, y.
template <class F, int side>
struct SumOfGradient : dev::Summed {
  static constexpr int kInputs = 3;
  template <class A>
  static __device__ A term(A g, A x, A y, const flame_params::Numbers& numbers) {
    return dev::gradient<F, side>(x, y, g, numbers);
  }
};

#define EXPORT_BINARY_OF(F, T, V)      \
  DEV_EXPORT(binary_forward<F, T, V>)  \
  DEV_EXPORT(binary_forward<F, T, 1>)  \
  DEV_EXPORT(binary_backward<F, T, V>) \
  DEV_EXPORT(binary_backward<F, T, 1>)
#define EXPORT_BINARY(F)                \
  EXPORT_BINARY_OF(F, float, 4)         \
  EXPORT_BINARY_OF(F, double, 2)        \
  EXPORT_BINARY_OF(F, __half, 8)        \
  EXPORT_BINARY_OF(F, __nv_bfloat16, 8) \
  EXPORT_REDUCE(SumOfGradient<F, 0>)    \
  EXPORT_REDUCE(SumOfGradient<F, 1>)
EXPORT_BINARY(Add)
EXPORT_BINARY(Mul)
EXPORT_BINARY(Div)
EXPORT_BINARY(DivTrunc)
EXPORT_BINARY(DivFloor)
EXPORT_BINARY(Pow)
