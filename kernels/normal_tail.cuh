// The tail of the normal distribution in float.
#pragma once
#include "math.cuh"
#include "ptx.cuh"

namespace dev {

// For x >= 0 or NaN: Q(x) = erfc(x / sqrt 2) / 2, and density exp(-x^2 / 2) = half^2. Q / density
// is t times a polynomial of degree 8 in t = 1 / (1 + 0.270000011f x), fitted to [0, 14.5] with a
// relative error of 3.3e-8; above, both are 0 in float. The square root of the density is what is
// computed, as it is not subnormal where Q is.
struct NormalTail {
  float half, tail;
};
__device__ __forceinline__ NormalTail normal_tail(float x) {
  const float t = fast_reciprocal(fmaf(0.270000011f, x, 1.0f));
  float p = 2.896120399e-02f;
  p = fmaf(p, t, -1.264863461e-01f);
  p = fmaf(p, t, 1.697871089e-01f);
  p = fmaf(p, t, -6.921186298e-02f);
  p = fmaf(p, t, 1.078263745e-01f);
  p = fmaf(p, t, 7.204929739e-02f);
  p = fmaf(p, t, 1.018106937e-01f);
  p = fmaf(p, t, 1.075428650e-01f);
  p = fmaf(p, t, 1.077206582e-01f);
  // log2(e) / 4.
  const float half = fast_exp2(x * x * -0.36067376022224085f);
  return {half, p * t * half * half};
}

// from - |x| Q(|x|) for x up to 15, to within 2^-16 of either term: with t = 1 / (|x| + 3.25) t
// times a polynomial of degree 5 in t, with a relative error of 4.6e-6. The density is computed
// times 2^20, so that it is not subnormal where the product is not, and p times 2^-20, which would
// be no good to an x that is tiny itself. NaN for x = -inf, as inf * 0.
__device__ __forceinline__ float minus_times_tail(float x, float from) {
  constexpr float kUnit = 0x1p-20f;
  const float t = fast_reciprocal(fabsf(x) + 3.25f);
  float p = -8.854597977e+01f * kUnit;
  p = fmaf(p, t, 6.873424367e+01f * kUnit);
  p = fmaf(p, t, 8.409188507e-01f * kUnit);
  p = fmaf(p, t, 4.676025428e+00f * kUnit);
  p = fmaf(p, t, 1.255142950e+00f * kUnit);
  p = fmaf(p, t, 3.997254927e-01f * kUnit);
  // log2(e) / 2.
  const float density = fast_exp2(fmaf(x * -0.72134752044448170368f, x, 20.0f));
  return fmaf(fabsf(x) * density, -(p * t), from);
}

}  // namespace dev
