// softmax and its gradient along any dim but the innermost: x is (outer, cols, inner), a line is
// one (outer, inner) pair. A block keeps 128 bytes of neighbouring lines times a segment of their
// columns in shared memory; the blocks of the same lines tell each other the sums of their segments
// through memory. Traffic: forward reads x and writes y once; backward reads x and g and writes dx
// once.
//
// No block depends on another to run: see softmax_split.cu.
#include "softmax_exchange.cuh"

namespace dev {

// Threads of a block: vectors of a row, rows at once. lib/ops/softmax.cpp agrees.
inline constexpr int kWide = 8, kTall = 32, kColumnThreads = kWide * kTall;
inline constexpr int kWarpsTall = 8;

// The sums of each line of a block, from its warps or from other blocks.
template <int kLines, bool kGrad>
struct LineSums {
  float shift[kWarpsTall][kLines], s[kWarpsTall][kLines], d[kGrad ? kWarpsTall : 1][kLines];

  __device__ __forceinline__ void put(int part, int line, const SoftmaxSums<float>& sums) {
    shift[part][line] = sums.shift, s[part][line] = sums.s;
    if constexpr (kGrad) d[part][line] = sums.d;
  }
  template <int kParts>
  __device__ __forceinline__ SoftmaxSums<float> total(int line) const {
    SoftmaxSums<float> all;
#pragma unroll
    for (int p = 0; p < kParts; ++p) all.shift = larger(all.shift, shift[p][line]);
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const SoftmaxSums<float> part{shift[p][line], 0, 0};
      const float weight = part.template weight_in<kGrad>(all.shift);
      all.s += s[p][line] * weight;
      if constexpr (kGrad) all.d += d[p][line] * weight;
    }
    return all;
  }
};

// Sums of a line from its segments first, first + step, ...; words: (segments, 1 or 2, kLines), the
// thread's line. Gives a segment that did not come, or -1.
template <int kLines, bool kGrad>
__device__ __forceinline__ int collect_line(Word* words, int first, int step, int segments,
                                            SoftmaxSums<float>& all) {
  constexpr int kTries = 64, kAtOnce = kGrad ? 4 : 8, kWords = kGrad ? 2 : 1;
#pragma unroll 1
  for (; first < segments; first += kAtOnce * step) {
    Word word[kAtOnce][kWords];
    int absent = 0;
#pragma unroll 1
    for (int tries = 0; tries <= kTries && absent >= 0; ++tries) {
      absent = -1;
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u)
#pragma unroll
        for (int k = 0; k < kWords; ++k) {
          const int at = first + u * step;
          word[u][k] =
              at < segments ? load_relaxed(&words[(at * kWords + k) * kLines]) : packed(-inf(), 0);
        }
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u)
#pragma unroll
        for (int k = 0; k < kWords; ++k)
          if (word[u][k] == kAbsent) absent = first + u * step;
    }
    if (absent >= 0) return absent;
    float top = all.shift;
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) top = larger(top, high_of(word[u][0]));
    const float weight = all.template weight_in<kGrad>(top);
    all = {top, all.s * weight, all.d * weight};
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const SoftmaxSums<float> part{high_of(word[u][0]), 0, 0};
      const float of_part = part.template weight_in<kGrad>(top);
      all.s += low_of(word[u][0]) * of_part;
      if constexpr (kGrad) all.d += low_of(word[u][kWords - 1]) * of_part;
    }
  }
  return -1;
}

// What a block works on; pointers are the thread's. kMany: see softmax_sums.cuh.
template <class T, bool kGrad, bool kMany>
struct Columns {
  static constexpr int kN = kVec<T>, kLines = kWide * kN, kParts = kColumnThreads / kLines;
  static constexpr int kStep = kColumnThreads * kN;  // in shared memory
  static constexpr int kRound = 8;                   // rows of a thread between two looks

  const T *x, *g;
  T* out;
  Word* words;  // of the strip
  T *kept, *kept_grad;
  long long inner;
  int cols, segment, segments, line;
  bool live;

  // Strips are 128 bytes of lines of each outer index in turn.
  __device__ __forceinline__ void start(long long strip, long long strips) {
    line = int(threadIdx.x) % kWide * kN;
    const long long at = strip % strips * kLines + line;
    live = at < inner;
    const long long first = strip / strips * cols * inner + at;
    x += first, out += first;
    if constexpr (kGrad) g += first;
    words += strip * segments * kLines * (kGrad ? 2 : 1);
    kept = dyn_shared<T>() + int(threadIdx.x) * kN;
    kept_grad = kept + segment * kLines;
  }
  // Calls f(place in shared memory, row) for the thread's share of a segment, whole rounds of
  // kRound.
  template <class F>
  __device__ __forceinline__ void for_rows(int at, F&& f) const {
    const int first = at * segment + int(threadIdx.x) / kWide;
#pragma unroll 1
    for (int round = 0; round < segment; round += kRound * kTall)
#pragma unroll
      for (int i = 0; i < kRound; ++i) f((round / kTall + i) * kStep, first + round + i * kTall);
  }
  __device__ __forceinline__ void fetch(int at) const {
    const int end = live ? cols : 0;
    for_rows(at, [&](int k, int row) {
      if (row < end) {
        async_copy16(kept + k, x + row * inner);
        if constexpr (kGrad) async_copy16(kept_grad + k, g + row * inner);
      } else {
        reinterpret_cast<Piece<T>*>(kept + k)->fill(-inf());
        if constexpr (kGrad) reinterpret_cast<Piece<T>*>(kept_grad + k)->fill(0.f);
      }
    });
    async_wait();
  }
  __device__ __forceinline__ static Piece<T> piece(const T* kept) {
    return *reinterpret_cast<const Piece<T>*>(kept);
  }

  // Of the thread's lines in its warp.
  __device__ __forceinline__ void sum(int at, SoftmaxSums<float> (&sums)[kN]) const {
    Piece<T> top;
    top.fill(-inf());
    for_rows(at, [&](int k, int) { raise(top, piece(kept + k)); });
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      float m = top.get(j);
      m = larger(m, __shfl_xor_sync(0xffffffffu, m, 8));
      sums[j].shift = larger(m, __shfl_xor_sync(0xffffffffu, m, 16));
    }
    float from[kN];
#pragma unroll
    for (int j = 0; j < kN; ++j) from[j] = sums[j].shift == -inf() ? 0.f : sums[j].shift;
    for_rows(at, [&](int k, int) {
      const Piece<T> p = piece(kept + k);
      Piece<T> q;
      if constexpr (kGrad) q = piece(kept_grad + k);
#pragma unroll
      for (int j = 0; j < kN; ++j) {
        const float e = term_of_sum<T, kGrad, kMany>(p.get(j), from[j]);
        sums[j].s += e;
        if constexpr (kGrad) sums[j].d += e * q.get(j);
      }
    });
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const auto over_rows = [](float v) {
        v += __shfl_xor_sync(0xffffffffu, v, 8);
        return v + __shfl_xor_sync(0xffffffffu, v, 16);
      };
      sums[j].s = over_rows(sums[j].s);
      if constexpr (kGrad) sums[j].d = over_rows(sums[j].d);
    }
  }

  // Publishes the sums of segment `at`. -1: part 0 of `lines` holds shift, 1 / s and d / s of whole
  // lines; else a segment that is still to be computed.
  __device__ __forceinline__ int exchange(int at, const SoftmaxSums<float> (&sums)[kN],
                                          LineSums<kLines, kGrad>& lines) const {
    __shared__ int absent;
    const int lane = threadIdx.x % 32, l = threadIdx.x % kLines, part = threadIdx.x / kLines;
    if (lane < kWide)
#pragma unroll
      for (int j = 0; j < kN; ++j) lines.put(threadIdx.x / 32, line + j, sums[j]);
    if (threadIdx.x == 0) absent = -1;
    __syncthreads();
    SoftmaxSums<float> all;
    if (part == 0) {
      all = lines.template total<kWarpsTall>(l);
      if (segments > 1) {
        Word* const to = words + at * kLines * (kGrad ? 2 : 1) + l;
        if constexpr (kGrad) atomicExch(to + kLines, packed(0, all.d));
        atomicExch(to, packed(all.shift, all.s));
      }
    }
    __syncthreads();
    if (segments > 1) {
      all = {};
      const int missing = collect_line<kLines, kGrad>(words + l, part, kParts, segments, all);
      if (missing >= 0) atomicMax(&absent, missing);
      lines.put(part, l, all);
      __syncthreads();
      if (part == 0) all = lines.template total<kParts>(l);
    }
    if (part == 0) {  // what is line l's, is this thread's now
      const float inverse = 1.f / all.s;
      lines.put(0, l, {all.shift, inverse, all.d * inverse});
    }
    __syncthreads();
    return absent;
  }

  __device__ __forceinline__ void finish(int at, const LineSums<kLines, kGrad>& lines) const {
    float shift[kN], inverse[kN], dot[kN];
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      shift[j] = lines.shift[0][line + j];
      inverse[j] = lines.s[0][line + j];
      if constexpr (kGrad) dot[j] = lines.d[0][line + j];
    }
    const int end = live ? cols : 0;
    for_rows(at, [&](int k, int row) {
      const Piece<T> p = piece(kept + k);
      float v[kN];
#pragma unroll
      for (int j = 0; j < kN; ++j) v[j] = share_of_sum<T, kMany>(p.get(j), shift[j]) * inverse[j];
      if constexpr (kGrad) {
        const Piece<T> q = piece(kept_grad + k);
#pragma unroll
        for (int j = 0; j < kN; ++j) v[j] *= q.get(j) - dot[j];
      }
      if (row < end) *reinterpret_cast<Piece<T>*>(out + row * inner) = Piece<T>::of(v);
    });
  }

  __device__ __forceinline__ void run(int own) const {
    __shared__ LineSums<kLines, kGrad> lines;
    int at = own;
    fetch(at);
    if (segments > 1) await_launch_before();  // which filled the words
#pragma unroll 1
    while (true) {
      SoftmaxSums<float> sums[kN];
      sum(at, sums);
      const int absent = exchange(at, sums, lines);
      if (absent < 0 && at == own) break;
      at = absent < 0 ? own : absent;  // the block's own values are wanted last
      __syncthreads();
      fetch(at);
    }
    finish(own, lines);
  }
};

}  // namespace dev

// `strips` strips of lines for each outer index, `segments` blocks for each strip, of `segment`
// columns, a multiple of 256. words, unless segments is 1: (strips, segments, 128 / sizeof(T)), all
// bits set by the launch before. inner is whole vectors. Shared memory: 128 * segment bytes.
template <class T, bool kMany>
__global__ void __launch_bounds__(dev::kColumnThreads, 3)
    softmax_forward_columns(const T* x, T* y, unsigned long long* words, int cols, long long inner,
                            int segment, int segments, long long strips) {
  dev::Columns<T, false, kMany> of{x, nullptr, y, words};
  of.cols = cols, of.inner = inner, of.segment = segment, of.segments = segments;
  const long long strip = blockIdx.x / segments;
  of.start(strip, strips);
  of.run(int(blockIdx.x - strip * segments));
}

// As above; words: (strips, segments, 2, 128 / sizeof(T)). Shared memory: 256 * segment bytes.
template <class T, bool kMany>
__global__ void __launch_bounds__(dev::kColumnThreads, 3)
    softmax_backward_columns(const T* x, const T* g, T* dx, unsigned long long* words, int cols,
                             long long inner, int segment, int segments, long long strips) {
  dev::Columns<T, true, kMany> of{x, g, dx, words};
  of.cols = cols, of.inner = inner, of.segment = segment, of.segments = segments;
  const long long strip = blockIdx.x / segments;
  of.start(strip, strips);
  of.run(int(blockIdx.x - strip * segments));
}

#define EXPORT_COLUMNS(T, kMany)                \
  DEV_EXPORT(softmax_forward_columns<T, kMany>) \
  DEV_EXPORT(softmax_backward_columns<T, kMany>)
EXPORT_COLUMNS(float, true)
EXPORT_COLUMNS(__half, true)
EXPORT_COLUMNS(__half, false)
EXPORT_COLUMNS(__nv_bfloat16, true)
EXPORT_COLUMNS(__nv_bfloat16, false)
