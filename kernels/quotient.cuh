// The quotients of div as functors of kernels/binary.cu.
#pragma once
#include "math.cuh"
#include "packed.cuh"
#include "ptx.cuh"

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

  // Coarsely by a reciprocal, which is normal where y lies within.
  static __device__ __forceinline__ bool has_reciprocal(float y) {
    return (fabsf(y) >= 0x1p-126f) & (fabsf(y) <= 0x1p126f);
  }
  template <bool kCoarse, class A, int V>
  requires(kCoarse) static __device__ __forceinline__
      void forward_all(A (&x)[V], const A (&y)[V], bool) {
    bool good = true;
#pragma unroll
    for (int j = 0; j < V; ++j) good &= has_reciprocal(y[j]);
    if (good) {
#pragma unroll
      for (int j = 0; j < V; ++j) x[j] *= dev::fast_reciprocal(y[j]);
      return;
    }
#pragma unroll 1
    for (int j = 0; j < V; ++j)
      dev::set_element(x, j, forward(dev::element(x, j), dev::element(y, j)));
  }
  template <bool kBoth, bool kCoarse, class A, int V>
  requires(kCoarse) static __device__ __forceinline__
      void gradient_all(A (&x)[V], A (&y)[V], const A (&g)[V], bool) {
    bool good = true;
#pragma unroll
    for (int j = 0; j < V; ++j) good &= has_reciprocal(y[j]);
    if (good) {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        const float inverse = dev::fast_reciprocal(y[j]), by_x = g[j] * inverse;
        if (kBoth) y[j] = -g[j] * (x[j] * inverse * inverse);
        x[j] = by_x;
      }
      return;
    }
#pragma unroll 1
    for (int j = 0; j < V; ++j) {
      const A over = dev::element(x, j), under = dev::element(y, j), up = dev::element(g, j);
      dev::set_element(x, j, gradient_x(over, under, up));
      if (kBoth) dev::set_element(y, j, gradient_y(over, under, up));
    }
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
