// softmax and its gradient of rows that one block's registers cannot hold: each block keeps a
// segment of a row in shared memory, and tells the other blocks of its row the sums of its segment
// through memory. Traffic: forward reads x and writes y once; backward reads x and g and writes dx
// once. A block takes one segment after another, and asks for the next one piece by piece while it
// writes the results of this one.
//
// No block depends on another to run: a segment whose sums have not come after a while is computed
// by whoever waits for it, by the same instructions, so that it does not matter who did.
#include "softmax_exchange.cuh"

namespace dev {

// Of a block; lib/ops/softmax.cpp agrees.
inline constexpr int kSplitThreads = 128;

// A thread's part of kStride elements: a vector, or as many single elements. It alone comes back to
// what it put into shared memory, so that no barrier is needed. Pointers are to the thread's first
// element; `left`: how many elements are there from it on.
template <class T, bool kVectors>
struct Share {
  static constexpr int kN = kVec<T>, kStride = kSplitThreads * kN;
  static constexpr int kApart = kVectors ? 1 : kSplitThreads;

  static __device__ __forceinline__ int first() { return int(threadIdx.x) * (kVectors ? kN : 1); }
  static __device__ __forceinline__ void fetch(T* kept, const T* from, int left) {
    if constexpr (kVectors) {
      if (left > 0) async_copy16(kept, from);
    } else {
#pragma unroll
      for (int j = 0; j < kN; ++j)
        if (j * kApart < left) kept[j * kApart] = from[j * kApart];
    }
  }
  static __device__ __forceinline__ Piece<T> read(const T* kept, int left, float pad) {
    Piece<T> piece;
    if (kVectors && left > 0) return *reinterpret_cast<const Piece<T>*>(kept);
    piece.fill(pad);
    if constexpr (!kVectors) {
#pragma unroll
      for (int j = 0; j < kN; ++j)
        if (j * kApart < left) piece.set(j, kept[j * kApart]);
    }
    return piece;
  }
  static __device__ __forceinline__ void write(T* to, const float* v, int left) {
    if constexpr (kVectors) {
      if (left > 0) *reinterpret_cast<Piece<T>*>(to) = Piece<T>::of(v);
    } else {
#pragma unroll
      for (int j = 0; j < kN; ++j)
        if (j * kApart < left) to[j * kApart] = store<T>(v[j]);
    }
  }
};

// What a block works on: rows of `cols` elements in `segments` segments of `segment`, of which x
// and, for the gradient, g are kept in shared memory. Pointers are the thread's.
template <class T, bool kGrad, bool kVectors>
struct Segments {
  using Part = Share<T, kVectors>;
  // A chunk is so many strides, a group of copies: sums begin before all is there.
  static constexpr int kN = Part::kN, kStride = Part::kStride, kStrides = kGrad ? 2 : 4;
  static constexpr int kChunk = kStrides * kStride;

  const T *x, *g;
  T* out;
  long long cols;
  int segment, segments;
  T *kept, *kept_grad;

  __device__ __forceinline__ Segments(const T* x_, const T* g_, T* out_, long long cols_,
                                      int segment_, int segments_)
      : x(x_ + Part::first()),
        g(g_ + Part::first()),
        out(out_ + Part::first()),
        cols(cols_),
        segment(segment_),
        segments(segments_) {
    kept = dyn_shared<T>() + Part::first();
    kept_grad = kept + (segment + kN - 1) / kN * kN;
  }
  __device__ __forceinline__ long long start(int row, int at) const {
    return row * cols + (long long)at * segment;
  }
  // Elements of segment `at` from the thread's first on.
  __device__ __forceinline__ int left(int at) const {
    return int(min((long long)segment, cols - (long long)at * segment)) - Part::first();
  }

  __device__ __forceinline__ void fetch(long long from, int at, int left) const {
    Part::fetch(kept + at, x + from + at, left - at);
    if constexpr (kGrad) Part::fetch(kept_grad + at, g + from + at, left - at);
  }
  __device__ __forceinline__ void fetch_all(long long from, int left) const {
#pragma unroll 1
    for (int at = 0; at < segment; at += kChunk) {
#pragma unroll
      for (int i = 0; i < kStrides; ++i) fetch(from, at + i * kStride, left);
      async_commit();
    }
  }
  // The thread's sums of what was fetched last.
  __device__ __forceinline__ SoftmaxSums<float> sum(int left) const {
    SoftmaxSums<float> sums;
    int groups = (segment + kChunk - 1) / kChunk;
#pragma unroll 1
    for (int at = 0; at < left; at += kChunk) {
      async_wait_but_some(--groups);
      Piece<T> p[kStrides], q[kStrides];
#pragma unroll
      for (int i = 0; i < kStrides; ++i) {
        const int from = at + i * kStride;
        p[i] = Part::read(kept + from, left - from, -inf());
        if constexpr (kGrad) q[i] = Part::read(kept_grad + from, left - from, 0.f);
      }
      if constexpr (kGrad)
        sums.template add_pieces<T>(p, [&](int i, int j) { return q[i].get(j); });
      else
        sums.template add_pieces<T>(p, NoGrad());
    }
    async_wait();
    return sums;
  }
  // Writes the results, and asks for the next segment in their place.
  __device__ __forceinline__ void finish(T* to, int left, const SoftmaxSums<float>& all,
                                         long long next_from, int next_left) const {
    const float inverse = 1.f / all.s, dot = kGrad ? all.d * inverse : 0.f;
#pragma unroll 1
    for (int base = 0; base < segment; base += kChunk) {
#pragma unroll
      for (int i = 0; i < kStrides; ++i) {
        const int at = base + i * kStride;
        if (at < left) {
          const auto p = Part::read(kept + at, left - at, 0.f);
          float v[kN];
#pragma unroll
          for (int j = 0; j < kN; ++j) v[j] = share_of_sum<T>(p.get(j), all.shift) * inverse;
          if constexpr (kGrad) {
            const auto q = Part::read(kept_grad + at, left - at, 0.f);
#pragma unroll
            for (int j = 0; j < kN; ++j) v[j] *= q.get(j) - dot;
          }
          Part::write(to + at, v, left - at);
        }
        if (at < next_left) fetch(next_from, at, next_left);
      }
      async_commit();
    }
  }
};

// Items are the segments of all rows in order, of which a block takes each gridDim.x-th: those of a
// row are worked on at the same time.
template <class T, bool kGrad, bool kVectors>
__device__ __forceinline__ void take_segments(const Segments<T, kGrad, kVectors>& of, Word* parts,
                                              int items) {
  constexpr int kWords = kGrad ? 2 : 1;
  int item = blockIdx.x, row = item / of.segments, own = item - row * of.segments;
  of.fetch_all(of.start(row, own), of.left(own));
  if (of.segments > 1) await_launch_before();  // which filled `parts`
#pragma unroll 1
  while (true) {
    SoftmaxSums<float> all;
    int at = own;
#pragma unroll 1
    while (true) {
      all = of.sum(of.left(at));
      const int absent =
          exchange<kGrad>(all, parts + (long long)row * of.segments * kWords, at, of.segments);
      if (absent < 0 && at == own) break;
      at = absent < 0 ? own : absent;  // the block's own values are wanted last
      of.fetch_all(of.start(row, at), of.left(at));
    }
    item += gridDim.x;
    const bool more = item < items;
    const int next_row = more ? item / of.segments : 0, next = item - next_row * of.segments;
    of.finish(of.out + of.start(row, own), of.left(own), all, of.start(next_row, next),
              more ? of.left(next) : 0);
    if (!more) return;
    row = next_row, own = next;
  }
}

}  // namespace dev

// Fills what the blocks of the next launch tell each other in. That launch may start meanwhile.
__global__ void __launch_bounds__(256) softmax_words(unsigned long long* words, long long count) {
  dev::let_next_launch_start();
  const long long at = dev::global_thread();
  if (at < count) words[at] = dev::kAbsent;
}
DEV_EXPORT(softmax_words)

// x, y: (rows, cols) in `segments` segments of `segment` elements, whole vectors where kVectors;
// items = rows * segments. parts, unless segments is 1: items words, all bits set by the launch
// before. Shared memory: a segment.
template <class T, bool kVectors>
__global__ void __launch_bounds__(dev::kSplitThreads, 6)
    softmax_forward_split(const T* x, T* y, unsigned long long* parts, long long cols, int segment,
                          int segments, int items) {
  const dev::Segments<T, false, kVectors> of(x, nullptr, y, cols, segment, segments);
  dev::take_segments(of, parts, items);
}

// x, g, dx as x and y above; parts: 2 * items words. Shared memory: two segments.
template <class T, bool kVectors>
__global__ void __launch_bounds__(dev::kSplitThreads, 6)
    softmax_backward_split(const T* x, const T* g, T* dx, unsigned long long* parts, long long cols,
                           int segment, int segments, int items) {
  const dev::Segments<T, true, kVectors> of(x, g, dx, cols, segment, segments);
  dev::take_segments(of, parts, items);
}

#define EXPORT_SPLIT(T)                       \
  DEV_EXPORT(softmax_forward_split<T, true>)  \
  DEV_EXPORT(softmax_forward_split<T, false>) \
  DEV_EXPORT(softmax_backward_split<T, true>) \
  DEV_EXPORT(softmax_backward_split<T, false>)
EXPORT_SPLIT(float)
EXPORT_SPLIT(__half)
EXPORT_SPLIT(__nv_bfloat16)
