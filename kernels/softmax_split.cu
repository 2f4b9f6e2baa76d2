// softmax and its gradient of rows that one block's registers cannot hold: each block keeps a
// segment of a row in shared memory, and tells the other blocks of its row the sums of its segment
// through memory. Traffic: forward reads x and writes y once; backward reads x and g and writes dx
// once. Shared memory is what lets enough bytes be under way while blocks wait for each other.
//
// No block depends on another to run: a segment whose sums have not come after a while is computed
// by whoever waits for it, by the same instructions, so that it does not matter who did.
#include "softmax_sums.cuh"

namespace dev {

// Of a block; lib/ops/softmax.cpp agrees.
inline constexpr int kSplitThreads = 256;

using Word = unsigned long long;
inline constexpr Word kAbsent = ~Word(0);  // what the host fills `parts` with

__device__ __forceinline__ Word packed(float high, float low) {
  const Word word = Word(__float_as_uint(high)) << 32 | __float_as_uint(low);
  return word == kAbsent ? word - 1 : word;  // another NaN
}
__device__ __forceinline__ float high_of(Word word) {
  return __uint_as_float(unsigned(word >> 32));
}
__device__ __forceinline__ float low_of(Word word) { return __uint_as_float(unsigned(word)); }

// Sums of a row from those of its segments, `kWords` words each; for a whole warp. Gives the first
// segment that did not come, or -1.
template <int kWords>
__device__ __forceinline__ int collect(Word* parts, int segments, SoftmaxSums<float>& all) {
  constexpr int kTries = 64;  // of about a microsecond
  const int lane = threadIdx.x % 32;
  all = {};
  for (int first = 0; first < segments; first += 32) {
    const int i = first + lane;
    Word word[kWords];
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
    if (kWords > 1 && i < segments) some.d = low_of(word[kWords - 1]);
    all.add(some);
  }
  all.combine_in_warp();
  return -1;
}

// Publishes the sums of segment `at`, of which every thread brings its part. Gives the first
// segment of the row that is still to be computed; -1: `all` is the row's.
template <int kWords>
__device__ __forceinline__ int exchange(const SoftmaxSums<float>& mine, Word* parts, int at,
                                        int segments, SoftmaxSums<float>& all) {
  __shared__ float of_row[3];
  __shared__ int absent;
  SoftmaxSums<float> sums = mine;
  sums.combine_in_block(false);
  if (threadIdx.x < 32) {
    if (threadIdx.x == 0) {
      if (kWords > 1) atomicExch(&parts[at * kWords + 1], packed(0, sums.d));
      atomicExch(&parts[at * kWords], packed(sums.shift, sums.s));
    }
    const int missing = collect<kWords>(parts, segments, sums);
    if (threadIdx.x == 0)
      of_row[0] = sums.shift, of_row[1] = sums.s, of_row[2] = sums.d, absent = missing;
  }
  __syncthreads();
  all = {of_row[0], of_row[1], of_row[2]};
  return absent;
}

// The segment to go on with: a missing one, else the block's own, whose values are wanted last.
__device__ __forceinline__ bool done_with(int& at, int absent, int own) {
  const bool done = absent < 0 && at == own;
  at = absent < 0 ? own : absent;
  return done;
}

// A thread's share of a segment goes to shared memory; it alone comes back to it, so that no
// barrier is needed.
template <class T>
__device__ __forceinline__ void fetch_segment(T* shared, const T* from, int count, bool vectors) {
  if (vectors) {
    for (int at = threadIdx.x * kVec<T>; at < count; at += blockDim.x * kVec<T>)
      async_copy16(shared + at, from + at);
  } else {
    for (int at = threadIdx.x; at < count; at += blockDim.x) shared[at] = from[at];
  }
}

// Calls f(first, pieces: one of each row) for the thread's share.
template <class T, class F, class... Rows>
__device__ __forceinline__ void for_pieces(int count, bool vectors, F&& f, const Rows*... rows) {
  if (vectors) {
#pragma unroll 2
    for (int at = threadIdx.x * kVec<T>; at < count; at += blockDim.x * kVec<T>)
      f(at, *reinterpret_cast<const Piece<T>*>(rows + at)...);
  } else {
    for (int at = threadIdx.x; at < count; at += blockDim.x) f(at, One<T>{rows[at]}...);
  }
}

}  // namespace dev

// x, y: (rows, cols) in `segments` segments of `segment` elements, one block each; parts: (rows,
// segments) words. Shared memory: a segment.
template <class T>
__global__ void __launch_bounds__(dev::kSplitThreads, 6)
    softmax_forward_split(const T* x, T* y, unsigned long long* parts, long long cols, int segment,
                          int segments, bool vectors) {
  const long long row = blockIdx.x / segments;
  const int own = int(blockIdx.x - row * segments);
  x += row * cols, y += row * cols, parts += row * segments;
  T* const kept = dyn_shared<T>();
  dev::SoftmaxSums<float> all;
  int at = own, count = 0;
#pragma unroll 1
  while (true) {
    const long long first = (long long)at * segment;
    count = int(min((long long)segment, cols - first));
    dev::fetch_segment(kept, x + first, count, vectors);
    dev::async_wait();
    dev::SoftmaxSums<float> mine;
    dev::for_pieces<T>(
        count, vectors,
        [&]<class P>(int, const P& p) {
          float v[P::kSize];
#pragma unroll
          for (int j = 0; j < P::kSize; ++j) v[j] = p.get(j);
          mine.add_values<T>(v, dev::NoGrad());
        },
        kept);
    if (dev::done_with(at, dev::exchange<1>(mine, parts, at, segments, all), own)) break;
  }
  y += (long long)own * segment;
  const float inverse = 1.f / all.s;
  dev::for_pieces<T>(
      count, vectors,
      [&]<class P>(int i, const P& p) {
        float v[P::kSize];
#pragma unroll
        for (int j = 0; j < P::kSize; ++j)
          v[j] = dev::exp_from<T, true>(p.get(j), all.shift) * inverse;
        dev::put(y + i, p, v);
      },
      kept);
}
DEV_EXPORT(softmax_forward_split<float>)
DEV_EXPORT(softmax_forward_split<__half>)
DEV_EXPORT(softmax_forward_split<__nv_bfloat16>)

// x, g, dx as x and y above; parts: (rows, segments, 2) words. Shared memory: two segments.
template <class T>
__global__ void __launch_bounds__(dev::kSplitThreads, 6)
    softmax_backward_split(const T* x, const T* g, T* dx, unsigned long long* parts, long long cols,
                           int segment, int segments, bool vectors) {
  const long long row = blockIdx.x / segments;
  const int own = int(blockIdx.x - row * segments);
  x += row * cols, g += row * cols, dx += row * cols, parts += row * segments * 2;
  T* const kept = dyn_shared<T>();
  T* const kept_grad = kept + (segment + dev::kVec<T> - 1) / dev::kVec<T> * dev::kVec<T>;
  dev::SoftmaxSums<float> all;
  int at = own, count = 0;
#pragma unroll 1
  while (true) {
    const long long first = (long long)at * segment;
    count = int(min((long long)segment, cols - first));
    dev::fetch_segment(kept, x + first, count, vectors);
    dev::fetch_segment(kept_grad, g + first, count, vectors);
    dev::async_wait();
    dev::SoftmaxSums<float> mine;
    dev::for_pieces<T>(
        count, vectors,
        [&]<class P>(int, const P& p, const P& q) {
          float v[P::kSize];
#pragma unroll
          for (int j = 0; j < P::kSize; ++j) v[j] = p.get(j);
          mine.add_values<T>(v, [&](int j) { return q.get(j); });
        },
        kept, kept_grad);
    if (dev::done_with(at, dev::exchange<2>(mine, parts, at, segments, all), own)) break;
  }
  dx += (long long)own * segment;
  const float inverse = 1.f / all.s, dot = all.d * inverse;
  dev::for_pieces<T>(
      count, vectors,
      [&]<class P>(int i, const P& p, const P& q) {
        float v[P::kSize];
#pragma unroll
        for (int j = 0; j < P::kSize; ++j)
          v[j] = dev::exp_from<T, true>(p.get(j), all.shift) * inverse * (q.get(j) - dot);
        dev::put(dx + i, p, v);
      },
      kept, kept_grad);
}
DEV_EXPORT(softmax_backward_split<float>)
DEV_EXPORT(softmax_backward_split<__half>)
DEV_EXPORT(softmax_backward_split<__nv_bfloat16>)
