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
  // A half of each word is one element's. where: the number of a step. 3.5 instructions an element
  // instead of 9. A NaN stays the maximum, so that no other NaN is counted.
  struct Pair {
    unsigned maximum, count, where;
  };
  static constexpr bool kPairs = true;
  static constexpr int kPairSteps = 65535;
  template <class T>
  static __device__ Pair start_pair() {
    return {dev::round_pair<T>(-dev::inf(), -dev::inf()), 0, 0};
  }
  template <class T>
  static __device__ void fold_pair(Pair& p, unsigned x, unsigned which) {
    const unsigned maximum = dev::larger_or_nan_pair(p.maximum, x, T());
    const unsigned stays = dev::equal_pair(p.maximum, maximum, T());
    const unsigned equal = dev::equal_pair(x, maximum, T());
    p.maximum = maximum;
    p.count = (p.count & stays) + (equal & 0x10001u);
    p.where = (p.where & ~equal) | (which & equal);
  }
  template <class T>
  static __device__ bool asks_again(const Pair& p) {
    return dev::equal_pair(p.maximum, p.maximum, T()) != 0xffffffffu;
  }
  template <class T>
  static __device__ dev::Peak<float> of_pair(const Pair& p, int half) {
    const int shift = 16 * half;
    return {dev::widen<T>(p.maximum, half), float(p.count >> shift & 0xffffu), 0,
            p.where >> shift & 0xffffu};
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
