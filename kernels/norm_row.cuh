// One row of a row-major matrix spread over the threads of a warp or a block.
#pragma once
#include "reduce_block.cuh"

namespace dev {

// Threads of a block that takes one long row; double needs more registers.
template <class T>
inline constexpr int kLongRowThreads = sizeof(T) == 8 ? 256 : 1024;

// The row in registers. Thread t holds the 16-byte pieces t, t + threads, ... when `vectors` (the
// row starts on 16 bytes and its length is whole pieces), else the elements t, t + threads, ...;
// both are coalesced. blockDim.x * kItems * kVec<T> >= cols.
template <int kItems, class T>
struct RowTile {
  static constexpr int kN = kVec<T>;
  static constexpr int kSize = kItems * kN;
  Acc<T> v[kSize];

  // Elements past the end read as `pad`.
  __device__ __forceinline__ void load(const T* row, int cols, bool vectors, Acc<T> pad) {
    const int t = threadIdx.x, threads = blockDim.x;
    if (vectors) {
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        const int at = (i * threads + t) * kN;
        if (at < cols) {
          const auto piece = *reinterpret_cast<const Vec<T, kN>*>(row + at);
#pragma unroll
          for (int j = 0; j < kN; ++j) v[i * kN + j] = dev::load(piece.v[j]);
        } else {
#pragma unroll
          for (int j = 0; j < kN; ++j) v[i * kN + j] = pad;
        }
      }
    } else {
#pragma unroll
      for (int j = 0; j < kSize; ++j) {
        const int at = j * threads + t;
        v[j] = at < cols ? dev::load(row[at]) : pad;
      }
    }
  }

  // Rounds once.
  __device__ __forceinline__ void store(T* row, int cols, bool vectors) const {
    const int t = threadIdx.x, threads = blockDim.x;
    if (vectors) {
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        const int at = (i * threads + t) * kN;
        Vec<T, kN> piece;
#pragma unroll
        for (int j = 0; j < kN; ++j) piece.v[j] = dev::store<T>(v[i * kN + j]);
        if (at < cols) *reinterpret_cast<Vec<T, kN>*>(row + at) = piece;
      }
    } else {
#pragma unroll
      for (int j = 0; j < kSize; ++j) {
        const int at = j * threads + t;
        if (at < cols) row[at] = dev::store<T>(v[j]);
      }
    }
  }
  // v[j] = f(v[j], element of `row` in the same column); one piece of `row` at a time.
  template <class F>
  __device__ __forceinline__ void combine(const T* row, int cols, bool vectors, F&& f) {
    const int t = threadIdx.x, threads = blockDim.x;
    if (vectors) {
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        const int at = (i * threads + t) * kN;
        if (at >= cols) continue;
        const auto piece = *reinterpret_cast<const Vec<T, kN>*>(row + at);
#pragma unroll
        for (int j = 0; j < kN; ++j) v[i * kN + j] = f(v[i * kN + j], dev::load(piece.v[j]));
      }
    } else {
#pragma unroll
      for (int j = 0; j < kSize; ++j) {
        const int at = j * threads + t;
        if (at < cols) v[j] = f(v[j], dev::load(row[at]));
      }
    }
  }
  // Which column v[j] is.
  __device__ __forceinline__ int column(int j, bool vectors) const {
    const int t = threadIdx.x, threads = blockDim.x;
    return vectors ? (j / kN * threads + t) * kN + j % kN : j * threads + t;
  }
};

// f(column, element) for this thread's share of a row of any length: the same share at every call
// with the same row, so that a thread may come back to what it kept itself without a barrier.
template <class T, class F>
__device__ __forceinline__ void walk_row(const T* row, long long cols, bool vectors, F&& f) {
  constexpr int kN = kVec<T>;
  const int t = threadIdx.x, threads = blockDim.x;
  if (vectors) {
    for (long long at = (long long)t * kN; at < cols; at += (long long)threads * kN) {
      const auto piece = *reinterpret_cast<const Vec<T, kN>*>(row + at);
#pragma unroll
      for (int j = 0; j < kN; ++j) f(at + j, piece.v[j]);
    }
  } else {
    for (long long at = t; at < cols; at += threads) f(at, row[at]);
  }
}

// The same over two rows at once: f(column, element of a, element of b).
template <class T, class F>
__device__ __forceinline__ void walk_rows(const T* a, const T* b, long long cols, bool vectors,
                                          F&& f) {
  constexpr int kN = kVec<T>;
  const int t = threadIdx.x, threads = blockDim.x;
  if (vectors) {
    for (long long at = (long long)t * kN; at < cols; at += (long long)threads * kN) {
      const auto p = *reinterpret_cast<const Vec<T, kN>*>(a + at);
      const auto q = *reinterpret_cast<const Vec<T, kN>*>(b + at);
#pragma unroll
      for (int j = 0; j < kN; ++j) f(at + j, p.v[j], q.v[j]);
    }
  } else {
    for (long long at = t; at < cols; at += threads) f(at, a[at], b[at]);
  }
}

// out[column] = f(column, element of in), rounded once; `in` may lie in shared memory.
template <class T, class F>
__device__ __forceinline__ void map_row(const T* in, T* out, long long cols, bool vectors, F&& f) {
  constexpr int kN = kVec<T>;
  const int t = threadIdx.x, threads = blockDim.x;
  if (vectors) {
    for (long long at = (long long)t * kN; at < cols; at += (long long)threads * kN) {
      auto piece = *reinterpret_cast<const Vec<T, kN>*>(in + at);
#pragma unroll
      for (int j = 0; j < kN; ++j) piece.v[j] = dev::store<T>(f(at + j, dev::load(piece.v[j])));
      *reinterpret_cast<Vec<T, kN>*>(out + at) = piece;
    }
  } else {
    for (long long at = t; at < cols; at += threads)
      out[at] = dev::store<T>(f(at, dev::load(in[at])));
  }
}

// out[column] = f(column, element of a, element of b).
template <class T, class F>
__device__ __forceinline__ void map_rows(const T* a, const T* b, T* out, long long cols,
                                         bool vectors, F&& f) {
  constexpr int kN = kVec<T>;
  const int t = threadIdx.x, threads = blockDim.x;
  if (vectors) {
    for (long long at = (long long)t * kN; at < cols; at += (long long)threads * kN) {
      auto p = *reinterpret_cast<const Vec<T, kN>*>(a + at);
      const auto q = *reinterpret_cast<const Vec<T, kN>*>(b + at);
#pragma unroll
      for (int j = 0; j < kN; ++j)
        p.v[j] = dev::store<T>(f(at + j, dev::load(p.v[j]), dev::load(q.v[j])));
      *reinterpret_cast<Vec<T, kN>*>(out + at) = p;
    }
  } else {
    for (long long at = t; at < cols; at += threads)
      out[at] = dev::store<T>(f(at, dev::load(a[at]), dev::load(b[at])));
  }
}

}  // namespace dev
