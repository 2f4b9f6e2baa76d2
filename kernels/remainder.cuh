// The rest of a 64-bit number, given as two words, by a range that the host knows: a division would
// be a call.
#pragma once
#include "prelude.cuh"

namespace dev {

__device__ __forceinline__ unsigned long long join(unsigned high, unsigned low) {
  return (unsigned long long)high << 32 | low;
}

// z mod range.
struct AnyRange {
  unsigned long long range, reciprocal;
  __device__ __forceinline__ explicit AnyRange(const flame_params::Range& r)
      : range(r.size), reciprocal(r.reciprocal) {}
  // z / range is above the estimate of the quotient by less than 2, so that at most one more range
  // fits.
  __device__ __forceinline__ unsigned long long operator()(unsigned high, unsigned low) const {
    const unsigned long long z = join(high, low);
    const unsigned long long rest = z - __umul64hi(z, reciprocal) * range;
    return rest >= range ? rest - range : rest;
  }
};

// The same for a range up to 2^16. With fold = 2^32 mod range, high * fold + low has the same rest
// and at most 48 bits; once more, and at most 33; once more, and it fits a word. Then as above.
struct SmallRange {
  unsigned range, reciprocal, fold;
  __device__ __forceinline__ explicit SmallRange(const flame_params::Range& r)
      : range(unsigned(r.size)), reciprocal(unsigned(r.reciprocal >> 32)), fold(r.fold) {}
  __device__ __forceinline__ unsigned long long operator()(unsigned high, unsigned low) const {
    const unsigned long long once = (unsigned long long)high * fold + low;
    const unsigned long long twice = (once >> 32) * fold + unsigned(once);
    const unsigned word = unsigned(twice >> 32) * fold + unsigned(twice);
    const unsigned rest = word - __umulhi(word, reciprocal) * range;
    return min(rest, rest - range);
  }
};

// The same by doubles, where those are fast: they have a pipe of their own, beside the one that the
// products of integers wait for. A double 1.5 * 2^52 + n, |n| < 2^51, has n in its last bits.
struct SmallRangeByDouble {
  static constexpr double kOrigin = 0x1.8p52;
  static constexpr int kHighWord = 0x43380000;  // of the origin
  double range, inverse, fold, from_fold, from_inverse;
  unsigned whole;
  // The inverse is such that the origin times it is an integer.
  __device__ __forceinline__ explicit SmallRangeByDouble(const flame_params::Range& r)
      : range(double(unsigned(r.size))),
        inverse(r.inverse),
        fold(double(r.fold)),
        from_fold(-kOrigin * fold),
        from_inverse(kOrigin - kOrigin * inverse),
        whole(unsigned(r.size)) {}
  // All products and sums are exact but the quotient's, which is rounded to an integer that is off
  // by less than 0.6: what rests is above -range and below range.
  __device__ __forceinline__ unsigned long long operator()(unsigned high, unsigned low) const {
    const double folded = fma(__hiloint2double(kHighWord, int(high)), fold, from_fold);
    const double once = folded + __hiloint2double(kHighWord, int(low));
    const double quotient = fma(once, inverse, from_inverse) - kOrigin;
    const auto rest = unsigned(__double2loint(fma(-quotient, range, once)));
    return min(rest, rest + whole);
  }
};

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ == 800 || __CUDA_ARCH__ == 900 || __CUDA_ARCH__ == 1000
using ShortRange = SmallRangeByDouble;
#else
using ShortRange = SmallRange;  // doubles are 64 times slower than floats
#endif

}  // namespace dev
