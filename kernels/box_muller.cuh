// Normal numbers from words (Box & Muller 1958).
#pragma once
#include "math.cuh"
#include "ptx.cuh"

namespace dev {

// sum of c[k] x^(n - 1 - k).
template <int n>
__device__ __forceinline__ float polynomial(const float (&c)[n], float x) {
  float p = c[0];
#pragma unroll
  for (int k = 1; k < n; ++k) p = fmaf(p, x, c[k]);
  return p;
}

// -2 ln(x 2^-32) for x in [1, 2^32]: with the power of two that leaves m in [2/3, 4/3) and f = m -
// 1, f times -2 + f times a polynomial of degree 7 with a relative error of 2.6e-8, or of degree 4
// with 8.8e-6.
template <bool kCoarse>
__device__ __forceinline__ float radius_squared(float x) {
  constexpr int kThirds = 0x3f2aaaab, kScale = 32 << 23;  // 2/3; the exponent of 2^32
  const int bits = __float_as_int(x);
  const int power = (bits - (kThirds + kScale)) & int(0xff800000u);
  const float f = __int_as_float(bits - kScale - power) - 1.0f;
  float p;
  if constexpr (kCoarse) {
    constexpr float kTerms[] = {3.839282746e-01f,  -4.489340226e-01f, 4.974553605e-01f,
                                -6.649273139e-01f, 1.000025302e+00f,  -2.0f};
    p = polynomial(kTerms, f);
  } else {
    constexpr float kTerms[] = {-2.805271447e-01f, 3.077707887e-01f,  -2.799161375e-01f,
                                3.283192217e-01f,  -4.002233744e-01f, 5.001564026e-01f,
                                -6.666639447e-01f, 9.999987483e-01f,  -2.0f};
    p = polynomial(kTerms, f);
  }
  return fmaf(float(power), -2 * 0x1p-23f * 0.69314718055994530942f, f * p);
}

// r cos(2 pi u2) and r sin(2 pi u2). With the half turns n and what is left of the angle, t of them
// in [-1/2, 1/2]: polynomials of t^2, negated for odd n. Errors of sin pi t: 5.3e-9 of it, coarsely
// 9.4e-7; of cos pi t: 1e-7 near 1, 2.3e-8 near 0.
template <bool kCoarse>
__device__ __forceinline__ void box_muller(unsigned a, unsigned b, float* out) {
  const float r = fast_sqrt(radius_squared<kCoarse>(float(max(a + 1, a))));
  constexpr float kWhole = 0x1.8p23f;  // a float above has no fraction: its last bits are n
  const float turned = fmaf(float(b), 0x1p-31f, kWhole);
  const float t = fmaf(float(b), 0x1p-31f, kWhole - turned), q = t * t;
  constexpr float kSin[] = {7.756042563e-02f, -5.982421487e-01f, 2.550069731e+00f,
                            -5.167709685e+00f, 3.141592637e+00f};
  constexpr float kCoarseSin[] = {-5.583965876e-01f, 2.543605200e+00f, -5.167367844e+00f,
                                  3.141589704e+00f};
  constexpr float kCos[] = {2.190433359e-01f, -1.331581678e+00f, 4.058374183e+00f,
                            -4.934792149e+00f, 1.0f};
  const float s = t * (kCoarse ? polynomial(kCoarseSin, q) : polynomial(kSin, q));
  const float c = polynomial(kCos, q);
  // n's last bit added to the sign.
  const float signed_r = __uint_as_float(__float_as_uint(r) + (__float_as_uint(turned) << 31));
  out[0] = signed_r * c;
  out[1] = signed_r * s;
}
__device__ __forceinline__ void box_muller(unsigned long long a, unsigned long long b,
                                           double* out) {
  const double u1 = double((a >> 11) + 1) * 0x1p-53, u2 = double(b >> 11) * 0x1p-53;
  const double r = sqrt(-2.0 * log(u1));
  double s, c;
  sincospi(2 * u2, &s, &c);
  out[0] = r * c;
  out[1] = r * s;
}

}  // namespace dev
