// An output's maxima for who needs their gradient: the largest element, how many share it, and
// where the only one lies.
#pragma once
#include "ptx.cuh"
#include "reduce_walk.cuh"

namespace dev {
// The largest of what are no NaNs, how many share it, how many NaNs there are, and where the last
// of those that share it is.
template <class A>
struct Peak {
  A maximum, count, nans;
  unsigned where;
};
template <class A>
__device__ __forceinline__ Peak<A> shuffle(const Peak<A>& p, int distance) {
  return {shuffle(p.maximum, distance), shuffle(p.count, distance), shuffle(p.nans, distance),
          __shfl_xor_sync(0xffffffffu, p.where, distance)};
}

// What is kept of an output's maxima, in an accumulator's place. From 0 on: there is one, at this
// offset in the input's memory. Else the bits of a number, minus how many there are.
template <class A>
struct Record;
template <>
struct Record<float> {
  using type = int;
  static __device__ __forceinline__ float one_at(long long offset) {
    return __int_as_float((int)offset);
  }
  static __device__ __forceinline__ float count(int record) { return -__int_as_float(record); }
  static constexpr long long kEnd = 1ll << 31;
};
template <>
struct Record<double> {
  using type = long long;
  static __device__ __forceinline__ double one_at(long long offset) {
    return __longlong_as_double(offset);
  }
  static __device__ __forceinline__ double count(long long record) {
    return -__longlong_as_double(record);
  }
  static constexpr long long kEnd = 1ll << 62;
};
}  // namespace dev

// The larger; NaN if either is.
__device__ __forceinline__ float larger_of(float a, float b) { return dev::larger_or_nan(a, b); }
__device__ __forceinline__ double larger_of(double a, double b) { return a > b || a != a ? a : b; }

// The maximum, and second: a Record, so that the backward need not count, and where one element is
// the maximum need not look for it.
struct MaxAndCount : dev::Plain {
  static constexpr bool kWhere = true;
  template <class A>
  using State = dev::Peak<A>;
  template <class A>
  static __device__ dev::Peak<A> start() {
    return {-A(dev::inf()), A(0), A(0), 0};
  }
  template <class A>
  static __device__ void fold(dev::Peak<A>& p, A x, unsigned which) {
    p.count = x > p.maximum ? A(0) : p.count;
    p.maximum = x > p.maximum ? x : p.maximum;
    const bool equal = x == p.maximum;
    p.count += equal ? A(1) : A(0);
    p.where = equal ? which : p.where;
    p.nans += x != x ? A(1) : A(0);
  }
  template <class A>
  static __device__ dev::Peak<A> combine(const dev::Peak<A>& a, const dev::Peak<A>& b) {
    const A top = a.maximum > b.maximum ? a.maximum : b.maximum;
    const A of_a = a.maximum == top ? a.count : A(0), of_b = b.maximum == top ? b.count : A(0);
    return {top, of_a + of_b, a.nans + b.nans, of_a > A(0) ? a.where : b.where};
  }
  // Without a count of NaNs: one stays the maximum, so that the others are not seen. Of half types
  // a half of each word is one element's.
  template <class T, bool kHalf = sizeof(T) == 2>
  struct Brief {
    T maximum, count;
    unsigned where;  // the number of a step
  };
  template <class T>
  struct Brief<T, true> {
    unsigned maximum, count, where;
  };
  static constexpr bool kBrief = true;
  static constexpr int kPairSteps = 65535;
  template <class T>
  static __device__ Brief<T> start_brief() {
    if constexpr (sizeof(T) == 2)
      return {dev::round_pair<T>(-dev::inf(), -dev::inf()), 0, 0};
    else
      return {-T(dev::inf()), 0, 0};
  }
  template <class T, class X>
  static __device__ void fold_brief(Brief<T>& p, X x, unsigned which) {
    if constexpr (sizeof(T) == 2) {
      const unsigned maximum = dev::larger_or_nan_pair(p.maximum, x, T());
      const unsigned stays = dev::equal_pair(p.maximum, maximum, T());
      const unsigned equal = dev::equal_pair(x, maximum, T());
      p.maximum = maximum;
      p.count = (p.count & stays) + (equal & 0x10001u);
      p.where = (p.where & ~equal) | (which & equal);
    } else {
      // A first -inf is no larger, but then is in step 0 if it is the only one.
      p.count += x == p.maximum ? T(1) : T(0);
      p.count = x > p.maximum ? T(1) : p.count;
      p.where = x > p.maximum ? which : p.where;
      p.maximum = larger_of(p.maximum, x);
    }
  }
  template <class T>
  static __device__ bool asks_again(const Brief<T>& p) {
    if constexpr (sizeof(T) == 2)
      return dev::equal_pair(p.maximum, p.maximum, T()) != 0xffffffffu;
    else
      return p.maximum != p.maximum;
  }
  template <class T>
  static __device__ dev::Peak<dev::Acc<T>> of_brief(const Brief<T>& p, int half) {
    if constexpr (sizeof(T) == 2) {
      const int shift = 16 * half;
      return {dev::widen<T>(p.maximum, half), float(p.count >> shift & 0xffffu), 0,
              p.where >> shift & 0xffffu};
    } else {
      return {p.maximum, p.count, 0, p.where};
    }
  }
  template <class T, class A, class Place>
  static __device__ void finish(const dev::Peak<A>& p, Place place, long long output, T* out,
                                A* second) {
    using Record = dev::Record<A>;
    const bool nan = p.nans > A(0);
    out[output] = dev::store<T>(nan ? A(dev::nan()) : p.maximum);
    const long long offset = !nan && p.count == A(1) ? place() : -1;
    second[output] =
        offset >= 0 && offset < Record::kEnd ? Record::one_at(offset) : -(nan ? p.nans : p.count);
  }
};
