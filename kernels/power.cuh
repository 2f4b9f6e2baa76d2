// x^y in float with one logarithm for all that is made of it: x^y = 2^(y log2 x), x^(y - 1), ln x.
// Errors in units of 2^-24 of the result: up to 3.5 of log2 x (where y log2 x is near 125; in
// proportion below) and 4 of the hardware's 2^x; the math library's powf has 8.
#pragma once
#include "math.cuh"
#include "packed.cuh"
#include "ptx.cuh"

namespace dev {

// log2 x = high + low, low up to a hundredth of high, for positive, normal, finite x; anything else
// gives some number.
struct Log2 {
  float high, low;
};
// x = m 2^k with m in [2^-1/2, 2^1/2); log2 m = 2 / ln 2 * atanh s with s = (m - 1) / (m + 1),
// which is s * 2 / ln 2 plus s^3 times a polynomial of degree 2 in s^2 with a relative error
// of 8.1e-10.
__device__ __forceinline__ Log2 log2_of(float x) {
  constexpr float kHigh = 2.885390043e+00f, kLow = 3.851926067e-08f;  // 2 / ln 2
  const int bits = __float_as_int(x);
  const int power = (bits - 0x3f3504f3) & int(0xff800000u);
  const float f = __int_as_float(bits - power) - 1.0f;
  const float inverse = fast_reciprocal(f + 2.0f), s = f * inverse, q = s * s;
  const float rest = fmaf(-s, f, fmaf(-2.0f, s, f));  // f - s (2 + f), of which no digit is lost
  float p = fmaf(q, 4.309579432e-01f, 5.767540336e-01f);
  p = fmaf(p, q, 9.617982507e-01f);
  p = fmaf(p, q, kLow);
  const float part = s * kHigh;
  const float k = float(power), sum = fmaf(k, 0x1p-23f, part);
  float low = fmaf(s, kHigh, -part) + (part - fmaf(k, -0x1p-23f, sum));
  low = fmaf(rest * inverse, fmaf(q, kHigh, kHigh), low);  // times atanh's slope 1 + s^2
  return {sum, fmaf(s, p, low)};
}

__device__ __forceinline__ bool is_positive_normal(float x) {
  return __float_as_uint(x) - 0x00800000u < 0x7f000000u;
}

// x^y by log2 x; `good` becomes false where the result is not between 2^-125 and 2^125.
__device__ __forceinline__ float power(const Log2& log, float y, bool& good) {
  constexpr float kWhole = 0x1.8p23f;  // a float above has no fraction: its last bits are the whole
  const float product = log.high * y;
  const float low = fmaf(log.low, y, fmaf(log.high, y, -product));
  const float whole = product + kWhole;
  const float x = fast_exp2(product - (whole - kWhole) + low);
  good = good && fabsf(product) < 125.0f;
  return __uint_as_float(__float_as_uint(x) + (__float_as_uint(whole) << 23));
}

// For results that are rounded to 8 digits: within 2^-16 of x^y by the hardware's logarithm, as
// long as what it is off by, 2^-22 or that part of log2 x, is not multiplied by more than 32 or 64.
// No base that is not positive, normal and finite, and no NaN, gives a product within.
inline constexpr float kFewTimes = 32.0f, kCoarsePower = 62.0f;

}  // namespace dev

// pow(x, y). In float by the logarithm above, and one by one where that does not hold: a base that
// is not positive and normal, a result near the ends of the range. Squares and cubes, which allow
// any base, are products.
struct Pow {
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

  // Those of V powers that float has no fast way for, one by one.
  template <class A, int V>
  static __device__ __forceinline__ void the_rest(A (&out)[V], const A (&x)[V], const A (&y)[V],
                                                  unsigned left) {
#pragma unroll 1
    for (; left != 0; left &= left - 1) {
      const int j = __ffs(int(left)) - 1;
      const A base = dev::element(x, j), exponent = dev::element(y, j);
      dev::set_element(out, j, forward(base, exponent));
    }
  }
  // V powers in place of x. `number`: all exponents are one number.
  template <bool kCoarse, class A, int V>
  static __device__ __forceinline__ void forward_all(A (&x)[V], const A (&y)[V], bool number) {
    if (number && (y[0] == A(2) || y[0] == A(3))) {
#pragma unroll
      for (int j = 0; j < V; ++j) x[j] = x[j] * (y[0] == A(2) ? x[j] : x[j] * x[j]);
      return;
    }
    unsigned left = (1u << V) - 1;
    A out[V] = {};
    if constexpr (kCoarse) {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        const float power = y[j] * dev::fast_log2(x[j]);
        out[j] = dev::fast_exp2(power);
        const bool good = (fabsf(power) < dev::kCoarsePower) & (fabsf(y[j]) < dev::kFewTimes);
        left &= ~(unsigned(good) << j);
      }
    } else if constexpr (sizeof(A) == 4) {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        bool good = dev::is_positive_normal(x[j]);
        out[j] = dev::power(dev::log2_of(x[j]), y[j], good);
        left &= ~(unsigned(good) << j);
      }
    }
    the_rest(out, x, y, left);
#pragma unroll
    for (int j = 0; j < V; ++j) x[j] = out[j];
  }

  // V gradients of x, and with kBoth of y, in place of them.
  template <bool kBoth, bool kCoarse, class A, int V>
  static __device__ __forceinline__ void gradient_all(A (&x)[V], A (&y)[V], const A (&g)[V],
                                                      bool number) {
    if (!kBoth && number && (y[0] == A(2) || y[0] == A(3))) {
#pragma unroll
      for (int j = 0; j < V; ++j) x[j] = g[j] * (y[0] * (y[0] == A(2) ? x[j] : x[j] * x[j]));
      return;
    }
    unsigned left = (1u << V) - 1;
    A by_x[V] = {}, by_y[V] = {};
    if constexpr (kCoarse) {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        const float log = dev::fast_log2(x[j]), power = y[j] * log;
        const float less = fmaf(y[j], log, -log);  // (y - 1) log2 x
        by_x[j] = y[j] == 0 ? 0 : g[j] * (y[j] * dev::fast_exp2(less));
        if (kBoth) by_y[j] = g[j] * (dev::fast_exp2(power) * (log * 0.69314718055994530942f));
        const bool good = (fabsf(power) < dev::kCoarsePower) & (fabsf(less) < dev::kCoarsePower) &
                          (fabsf(y[j]) < dev::kFewTimes);
        left &= ~(unsigned(good) << j);
      }
    } else if constexpr (sizeof(A) == 4) {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        const dev::Log2 log = dev::log2_of(x[j]);
        const float natural = (log.high + log.low) * 0.69314718055994530942f;
        bool good = dev::is_positive_normal(x[j]) && y[j] != 0;
        by_x[j] = g[j] * (y[j] * dev::power(log, y[j] - 1, good));
        if (kBoth) by_y[j] = g[j] * (dev::power(log, y[j], good) * natural);
        left &= ~(unsigned(good) << j);
      }
    }
#pragma unroll 1
    for (; left != 0; left &= left - 1) {
      const int j = __ffs(int(left)) - 1;
      const A base = dev::element(x, j), exponent = dev::element(y, j), up = dev::element(g, j);
      dev::set_element(by_x, j, gradient_x(base, exponent, up));
      if (kBoth) dev::set_element(by_y, j, gradient_y(base, exponent, up));
    }
#pragma unroll
    for (int j = 0; j < V; ++j) x[j] = by_x[j], y[j] = by_y[j];
  }
};
