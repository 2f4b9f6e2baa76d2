// y = f(x) element by element. A functor states forward(x) and gradient(x, g) = g * f'(x), both in
// the accumulator type; a functor with numbers takes them last. The row in lib/ops/unary.cpp says
// whether gradient is given the input or the output as its x.
#include "elementwise.cuh"
#include "math.cuh"

struct Exp {
  template <class A>
  static __device__ A forward(A x) {
    return dev::exp(x);
  }
  template <class A>
  static __device__ A gradient(A x, A g) {
    return g * dev::exp(x);
  }
};

// NaN is neither above nor below 0, and stays. The gradient is given the output.
struct Relu {
  template <class A>
  static __device__ A forward(A x) {
    return x <= A(0) ? A(0) : x;
  }
  template <class A>
  static __device__ A gradient(A y, A g) {
    return y <= A(0) ? A(0) : g;
  }
};

// x Phi(x) with Phi(x) = erfc(-x / sqrt 2) / 2, which keeps its digits where Phi is tiny.
struct GeluErf {
  template <class A>
  static __device__ A forward(A x) {
    return A(0.5) * x * dev::erfc(x * A(-0.70710678118654752440));
  }
  template <class A>
  static __device__ A gradient(A x, A g) {
    const A phi = A(0.39894228040143267794) * dev::exp(A(-0.5) * x * x);
    return g * (A(0.5) * dev::erfc(x * A(-0.70710678118654752440)) + x * phi);
  }
};

// Hendrycks & Gimpel 2016: x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  template <class A>
  static __device__ A forward(A x) {
    return A(0.5) * x * (A(1) + dev::tanh(inner(x)));
  }
  template <class A>
  static __device__ A gradient(A x, A g) {
    const A t = dev::tanh(inner(x));
    const A slope = A(0.79788456080286535588) * (A(1) + A(3 * 0.044715) * x * x);
    return g * A(0.5) * ((A(1) + t) + x * (A(1) - t * t) * slope);
  }
  template <class A>
  static __device__ A inner(A x) {
    return A(0.79788456080286535588) * (x + A(0.044715) * x * x * x);
  }
};

// By e^-|x|, which cannot overflow.
struct Sigmoid {
  template <class A>
  static __device__ A forward(A x) {
    const A e = dev::exp(x < A(0) ? x : -x);
    return (x < A(0) ? e : A(1)) / (A(1) + e);
  }
  template <class A>
  static __device__ A gradient(A x, A g) {
    const A e = dev::exp(x < A(0) ? x : -x);
    return g * e / ((A(1) + e) * (A(1) + e));
  }
};

// Memory traffic: numel * 2 * sizeof(T).
template <class F, class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    unary_forward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided y,
                  const __grid_constant__ flame_params::Strided x,
                  const __grid_constant__ flame_params::Numbers numbers) {
  dev::Lane<T, V> in[dev::kUnroll];
  long long at[dev::kUnroll];
  dev::for_vectors<V>(extent, [&](int u, long long index, long long count) {
    long long offset[2] = {};
    dev::locate(extent, index, offset, y, x);
    at[u] = offset[0];
    in[u].fetch_from(extent, x, offset[1], count);
  });
  dev::for_vectors<V>(extent, [&](int u, long long, long long count) {
    dev::Vec<T, V> out;
#pragma unroll
    for (int j = 0; j < V; ++j)
      out.v[j] = dev::store<T>(dev::call_forward<F>(numbers, in[u].get(x, j)));
    dev::put<T, V>(y, at[u], out, count);
  });
}

// gx = gradient(x, g). Memory traffic: numel * 3 * sizeof(T).
template <class F, class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    unary_backward(const __grid_constant__ flame_params::Extent extent,
                   const __grid_constant__ flame_params::Strided gx,
                   const __grid_constant__ flame_params::Strided x,
                   const __grid_constant__ flame_params::Strided g,
                   const __grid_constant__ flame_params::Numbers numbers) {
  dev::Lane<T, V> in[dev::kUnroll], up[dev::kUnroll];
  long long at[dev::kUnroll];
  dev::for_vectors<V>(extent, [&](int u, long long index, long long count) {
    long long offset[3] = {};
    dev::locate(extent, index, offset, gx, x, g);
    at[u] = offset[0];
    in[u].fetch_from(extent, x, offset[1], count);
    up[u].fetch_from(extent, g, offset[2], count);
  });
  dev::for_vectors<V>(extent, [&](int u, long long, long long count) {
    dev::Vec<T, V> out;
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const dev::Acc<T> a = in[u].get(x, j), b = up[u].get(g, j);
      if constexpr (requires { F::gradient(a, b, numbers); })
        out.v[j] = dev::store<T>(F::gradient(a, b, numbers));
      else
        out.v[j] = dev::store<T>(F::gradient(a, b));
    }
    dev::put<T, V>(gx, at[u], out, count);
  });
}

#define EXPORT_UNARY_OF(F, T, V)      \
  DEV_EXPORT(unary_forward<F, T, V>)  \
  DEV_EXPORT(unary_forward<F, T, 1>)  \
  DEV_EXPORT(unary_backward<F, T, V>) \
  DEV_EXPORT(unary_backward<F, T, 1>)
#define EXPORT_UNARY(F)         \
  EXPORT_UNARY_OF(F, float, 4)  \
  EXPORT_UNARY_OF(F, double, 2) \
  EXPORT_UNARY_OF(F, __half, 8) \
  EXPORT_UNARY_OF(F, __nv_bfloat16, 8)
EXPORT_UNARY(Exp)
EXPORT_UNARY(Relu)
EXPORT_UNARY(Sigmoid)
EXPORT_UNARY(GeluErf)
EXPORT_UNARY(GeluTanh)
