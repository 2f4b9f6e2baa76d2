// Loads and stores, bit casts, integer intrinsics and arithmetic. Device functions that glibc or
// the CUDA headers already give under the same name and meaning (sqrtf, fmaf, __half2float) are not
// here.
#pragma once
#include <limits>

#include "conformance/sim/shim_core.h"

// The names that CUDA has at global scope, for float and double.
using std::abs;
using std::ceil;
using std::copysign;
using std::cos;
using std::cosh;
using std::erf;
using std::erfc;
using std::exp;
using std::exp2;
using std::expm1;
using std::fabs;
using std::floor;
using std::fma;
using std::fmax;
using std::fmin;
using std::fmod;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::lgamma;
using std::llrint;
using std::log;
using std::log10;
using std::log1p;
using std::log2;
using std::nearbyint;
using std::pow;
using std::rint;
using std::round;
using std::signbit;
using std::sin;
using std::sinh;
using std::sqrt;
using std::tan;
using std::tanh;
using std::trunc;

// -- cache hints change nothing --
#define SIMCU_LOAD(name)      \
  template <class T>          \
  inline T name(const T* p) { \
    return *p;                \
  }
SIMCU_LOAD(__ldg)
SIMCU_LOAD(__ldca)
SIMCU_LOAD(__ldcg)
SIMCU_LOAD(__ldcs)
SIMCU_LOAD(__ldcv)
SIMCU_LOAD(__ldlu)
#undef SIMCU_LOAD
#define SIMCU_STORE(name)                             \
  template <class T>                                  \
  inline void name(T* p, std::type_identity_t<T> v) { \
    *p = v;                                           \
  }
SIMCU_STORE(__stwb)
SIMCU_STORE(__stcg) SIMCU_STORE(__stcs) SIMCU_STORE(__stwt)
#undef SIMCU_STORE

    // -- bit casts --
    inline unsigned __float_as_uint(float v) {
  return __builtin_bit_cast(unsigned, v);
}
inline int __float_as_int(float v) { return __builtin_bit_cast(int, v); }
inline float __uint_as_float(unsigned v) { return __builtin_bit_cast(float, v); }
inline float __int_as_float(int v) { return __builtin_bit_cast(float, v); }
inline long long __double_as_longlong(double v) { return __builtin_bit_cast(long long, v); }
inline double __longlong_as_double(long long v) { return __builtin_bit_cast(double, v); }
inline int __double2hiint(double v) { return int(__double_as_longlong(v) >> 32); }
inline int __double2loint(double v) { return int(__double_as_longlong(v)); }
inline double __hiloint2double(int hi, int lo) {
  return __longlong_as_double((long long)((unsigned long long)unsigned(hi) << 32 | unsigned(lo)));
}

// -- integers --
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; ++i) r |= (x >> i & 1u) << (31 - i);
  return r;
}
inline unsigned long long __brevll(unsigned long long x) {
  return (unsigned long long)__brev(unsigned(x)) << 32 | __brev(unsigned(x >> 32));
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
  const unsigned long long both = (unsigned long long)y << 32 | x;
  unsigned r = 0;
  for (int i = 0; i < 4; ++i) r |= unsigned(both >> (s >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return r;
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned shift) {
  return unsigned((((unsigned long long)hi << 32 | lo) << (shift & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned shift) {
  return unsigned(((unsigned long long)hi << 32 | lo) >> (shift & 31));
}
inline unsigned __umulhi(unsigned a, unsigned b) {
  return unsigned((unsigned long long)a * b >> 32);
}
inline int __mulhi(int a, int b) { return int((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffffu) * (b & 0xffffffu); }

// -- conversions; out of range and NaN as PTX cvt does it: clamped, NaN to zero --
namespace simcu {
template <class To, class From>
inline To saturate_cast(From v) {
  if (std::isnan(v)) return To(0);
  if (v >= From(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
  if (v <= From(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
  return static_cast<To>(v);
}
}  // namespace simcu
#define SIMCU_CONVERT(from, From, to, To)                                                    \
  inline To __##from##2##to##_rn(From v) { return simcu::saturate_cast<To>(std::rint(v)); }  \
  inline To __##from##2##to##_rz(From v) { return simcu::saturate_cast<To>(std::trunc(v)); } \
  inline To __##from##2##to##_rd(From v) { return simcu::saturate_cast<To>(std::floor(v)); } \
  inline To __##from##2##to##_ru(From v) { return simcu::saturate_cast<To>(std::ceil(v)); }
SIMCU_CONVERT(float, float, int, int)
SIMCU_CONVERT(float, float, uint, unsigned)
SIMCU_CONVERT(float, float, ll, long long)
SIMCU_CONVERT(float, float, ull, unsigned long long)
SIMCU_CONVERT(double, double, int, int)
SIMCU_CONVERT(double, double, uint, unsigned)
SIMCU_CONVERT(double, double, ll, long long)
SIMCU_CONVERT(double, double, ull, unsigned long long)
#undef SIMCU_CONVERT
inline float __int2float_rn(int v) { return float(v); }
inline float __uint2float_rn(unsigned v) { return float(v); }
inline float __ll2float_rn(long long v) { return float(v); }
inline float __ull2float_rn(unsigned long long v) { return float(v); }
inline double __int2double_rn(int v) { return double(v); }
inline double __uint2double_rn(unsigned v) { return double(v); }
inline double __ll2double_rn(long long v) { return double(v); }
inline double __ull2double_rn(unsigned long long v) { return double(v); }
inline float __double2float_rn(double v) { return float(v); }

// -- arithmetic --
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __frsqrt_rn(float a) { return float(1.0 / std::sqrt(double(a))); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline double __drcp_rn(double a) { return 1.0 / a; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline float __exp10f(float x) { return std::pow(10.0f, x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __log10f(float x) { return std::log10(x); }
inline float __tanf(float x) { return std::tan(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline void __sincosf(float x, float* s, float* c) { *s = std::sin(x), *c = std::cos(x); }
// glibc declares functions of these names, so they can only be macros here.
#define __expf(x) (std::exp(static_cast<float>(x)))
#define __logf(x) (std::log(static_cast<float>(x)))
#define __sinf(x) (std::sin(static_cast<float>(x)))
#define __cosf(x) (std::cos(static_cast<float>(x)))
inline float rsqrtf(float x) { return float(1.0 / std::sqrt(double(x))); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float rcbrtf(float x) { return 1.0f / std::cbrt(x); }
inline float exp10f(float x) { return float(std::pow(10.0, double(x))); }
inline float normcdff(float x) {
  return float(0.5 * std::erfc(-double(x) * 0.70710678118654752440));
}
inline double normcdf(double x) { return 0.5 * std::erfc(-x * 0.70710678118654752440); }
inline float sinpif(float x) {
  return float(std::sin(3.14159265358979323846 * std::fmod(double(x), 2.0)));
}
inline float cospif(float x) {
  return float(std::cos(3.14159265358979323846 * std::fmod(double(x), 2.0)));
}
inline double sinpi(double x) { return std::sin(3.14159265358979323846 * std::fmod(x, 2.0)); }
inline double cospi(double x) { return std::cos(3.14159265358979323846 * std::fmod(x, 2.0)); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }
inline void sincospi(double x, double* s, double* c) { *s = sinpi(x), *c = cospi(x); }

// Both operands of one type, which is stricter than CUDA and keeps kernels clear of surprises.
// Floating ones ignore a NaN, as fmin and fmax do.
template <class T>
requires std::is_arithmetic_v<T>
inline T min(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
  return b < a ? b : a;
}
template <class T>
requires std::is_arithmetic_v<T>
inline T max(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
  return a < b ? b : a;
}

[[noreturn]] inline void __trap(SIMCU_LOC) { simcu::trap(loc); }
inline long long clock64() { return 0; }
