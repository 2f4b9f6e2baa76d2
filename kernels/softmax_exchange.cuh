// How the blocks of a row tell each other the sums of their segments: softmax_split.cu.
#pragma once
#include "softmax_sums.cuh"

namespace dev {

using Word = unsigned long long;
inline constexpr Word kAbsent = ~Word(0);  // what the host fills the words with

__device__ __forceinline__ Word packed(float high, float low) {
  const Word word = Word(__float_as_uint(high)) << 32 | __float_as_uint(low);
  return word == kAbsent ? word - 1 : word;  // another NaN
}
__device__ __forceinline__ float high_of(Word word) {
  return __uint_as_float(unsigned(word >> 32));
}
__device__ __forceinline__ float low_of(Word word) { return __uint_as_float(unsigned(word)); }

// Sums of a row from those of its segments, two words each with kGrad; for a whole warp. Gives the
// first segment that did not come, or -1.
template <bool kGrad>
__device__ __forceinline__ int collect(Word* parts, int segments, SoftmaxSums<float>& all) {
  constexpr int kTries = 64;  // of about a microsecond
  constexpr int kWords = kGrad ? 2 : 1;
  const int lane = threadIdx.x % 32;
  all = {};
#pragma unroll 1
  for (int first = 0; first < segments; first += 32) {
    const int i = first + lane;
    Word word[kWords];
#pragma unroll 1
    for (int tries = 0;; ++tries) {
      bool there = true;
#pragma unroll
      for (int k = 0; k < kWords; ++k) {
        word[k] = i < segments ? load_relaxed(&parts[i * kWords + k]) : packed(-inf(), 0);
        there = there && word[k] != kAbsent;
      }
      const unsigned absent = __ballot_sync(0xffffffffu, !there);
      if (absent == 0) break;
      if (tries == kTries) return first + 31 - __clz(int(absent & -absent));
    }
    SoftmaxSums<float> some{high_of(word[0]), low_of(word[0]), 0};
    if (kGrad && i < segments) some.d = low_of(word[kWords - 1]);
    all.template add<kGrad>(some);
  }
  all.template combine_in_warp<kGrad>();
  return -1;
}

// Publishes the sums of segment `at`, of which every thread brings its part. Gives the first
// segment of the row that is still to be computed; -1: `sums` are now the row's.
template <bool kGrad>
__device__ __forceinline__ int exchange(SoftmaxSums<float>& sums, Word* parts, int at,
                                        int segments) {
  constexpr int kWords = kGrad ? 2 : 1;
  __shared__ float of_row[3];
  __shared__ int absent;
  sums.template combine_in_block<kGrad>(segments == 1);
  if (segments == 1) return -1;
  if (threadIdx.x < 32) {
    if (threadIdx.x == 0) {
      if (kGrad) atomicExch(&parts[at * kWords + 1], packed(0, sums.d));
      atomicExch(&parts[at * kWords], packed(sums.shift, sums.s));
    }
    const int missing = collect<kGrad>(parts, segments, sums);
    if (threadIdx.x == 0) {
      of_row[0] = sums.shift, of_row[1] = sums.s, of_row[2] = sums.d;
      absent = missing;
    }
  }
  __syncthreads();
  sums = {of_row[0], of_row[1], of_row[2]};
  return absent;
}

}  // namespace dev
