// y = f(x) element by element. A functor states forward(x) and gradient(x, g) = g * f'(x), both in
// the accumulator type; a functor with numbers takes them last. The row in lib/ops/unary.cpp says
// whether gradient is given the input or the output as its x. A functor may also state coarse(x)
// and coarse_gradient(x, g) for types of few digits (dev::kCoarse), in as few operations as those
// need.
#include "elementwise.cuh"
#include "math.cuh"
#include "normal_tail.cuh"

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

// x Phi(x) with Phi(x) = erfc(-x / sqrt 2) / 2, which keeps its digits where Phi is tiny. In float
// from the tail Q(|x|): Phi = Q for x < 0, else 1 - Q. Above 15 Q is 0, and x need not be told from
// infinity there; NaN stays.
struct GeluErf {
  static __device__ double forward(double x) {
    return 0.5 * x * dev::erfc(x * -0.70710678118654752440);
  }
  static __device__ float forward(float x) {
    const float a = bounded(x);
    const float positive = x < 0 ? 0.0f : x;
    return fmaf(x < 0 ? x : -a, dev::normal_tail(a).tail, positive);
  }
  static __device__ double gradient(double x, double g) {
    const double phi = 0.39894228040143267794 * dev::exp(-0.5 * x * x);
    return g * (0.5 * dev::erfc(x * -0.70710678118654752440) + x * phi);
  }
  static __device__ float gradient(float x, float g) {
    const float a = bounded(x);
    const dev::NormalTail at = dev::normal_tail(a);
    const float phi = 0.39894228040143267794f * at.half * at.half;
    return g * fmaf(x, phi, x < 0 ? at.tail : 1.0f - at.tail);
  }
  static __device__ float bounded(float x) { return fabsf(x) > 15.0f ? 15.0f : fabsf(x); }
  // max(x, 0) - |x| Q(|x|), where NaN stays in the first term and -0 stays -0.
  static __device__ float coarse(float x) {
    return dev::minus_times_tail(fminf(x, 15.0f), dev::larger_or_nan(x, -0.0f));
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
  // (1 + tanh u) / 2 = 1 / (1 + e^-2u).
  static __device__ float coarse(float x) {
    constexpr float kSlope = -2 * 0.79788456080286535588f * 1.44269504088896340736f;
    const float power = x * fmaf(x * x, 0.044715f * kSlope, kSlope);
    return x * dev::fast_reciprocal(1.0f + dev::fast_exp2(power));
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
    return ratio(x < A(0) ? e : A(1), A(1) + e);
  }
  template <class A>
  static __device__ A gradient(A x, A g) {
    const A e = dev::exp(x < A(0) ? x : -x);
    return g * ratio(e, (A(1) + e) * (A(1) + e));
  }
  // 1 / (1 + e^-x) times 2^20 / 2^20: neither end of the range leaves the normal numbers before the
  // last step.
  static __device__ float coarse(float x) {
    const float e = dev::fast_exp2(fmaf(x, -1.44269504088896340736f, -20.0f));
    return 0x1p-20f * dev::fast_reciprocal(e + 0x1p-20f);
  }
  // (h / (1 + h^2))^2 with h = e^(-|x| / 2), which is not subnormal where its square is.
  static __device__ float coarse_gradient(float x, float g) {
    const float h = dev::fast_exp2(fabsf(x) * -0.72134752044448170368f);
    const float root = h * dev::fast_reciprocal(fmaf(h, h, 1.0f));
    return g * root * root;
  }
  // a / b for a in [0, 1] and b in [1, 4]: the steps of a division that need no look at the range.
  static __device__ double ratio(double a, double b) { return a / b; }
  static __device__ float ratio(float a, float b) {
    const float near = dev::fast_reciprocal(b), inverse = fmaf(near, fmaf(-b, near, 1.0f), near);
    const float q = a * inverse;
    return fmaf(inverse, fmaf(-b, q, a), q);
  }
};

namespace dev {
// F::gradient(x, g) or, where it takes numbers, F::gradient(x, g, numbers). For a coarse T
// F::coarse_gradient(x, g) if there is one.
template <class F, class T, class A>
__device__ __forceinline__ A call_gradient(const Numbers& numbers, A x, A g) {
  if constexpr (kCoarse<T> && requires { F::coarse_gradient(x, g); })
    return F::coarse_gradient(x, g);
  else if constexpr (requires { F::gradient(x, g, numbers); })
    return F::gradient(x, g, numbers);
  else
    return F::gradient(x, g);
}
}  // namespace dev

// Memory traffic: numel * 2 * sizeof(T).
template <class F, class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    unary_forward(const __grid_constant__ flame_params::Extent extent,
                  const __grid_constant__ flame_params::Strided y,
                  const __grid_constant__ flame_params::Strided x,
                  const __grid_constant__ flame_params::Numbers numbers) {
  dev::by_block<V>(extent, [&](auto turns) {
    dev::Lane<T, V, false> in[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[2] = {};
      dev::locate<V>(turns, extent, index, offset, y, x);
      at[u] = offset[0];
      in[u].fetch_from(turns, extent, x, offset[1], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Acc<T> v[V];
      in[u].values(x, v);
#pragma unroll
      for (int j = 0; j < V; ++j) v[j] = dev::call_forward<F, T>(numbers, v[j]);
      dev::put_values<T, V>(y, at[u], v, count);
    });
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
  dev::by_block<V>(extent, [&](auto turns) {
    dev::Lane<T, V, false> in[turns.times], up[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[3] = {};
      dev::locate<V>(turns, extent, index, offset, gx, x, g);
      at[u] = offset[0];
      in[u].fetch_from(turns, extent, x, offset[1], count);
      up[u].fetch_from(turns, extent, g, offset[2], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Acc<T> a[V], b[V];
      in[u].values(x, a);
      up[u].values(g, b);
#pragma unroll
      for (int j = 0; j < V; ++j) b[j] = dev::call_gradient<F, T>(numbers, a[j], b[j]);
      dev::put_values<T, V>(gx, at[u], b, count);
    });
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
