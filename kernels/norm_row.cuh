// One row of a row-major matrix spread over the threads of a warp or a block.
#pragma once
#include "norm_piece.cuh"
#include "reduce_block.cuh"

namespace dev {

// Threads of a block that takes one long row; double needs more registers.
template <class T>
inline constexpr int kLongRowThreads = sizeof(T) == 8 ? 256 : 1024;

// The row as stored, in registers. Thread t holds the 16-byte pieces t, t + threads, ... when
// `vectors` (the row starts on 16 bytes and its length is whole pieces), else the elements t,
// t + threads, ...; both are coalesced. blockDim.x * kItems * kVec<T> >= cols.
// Nothing is converted before every load is under way: a conversion would wait for its load.
template <int kItems, class T>
struct RawTile {
  static constexpr int kN = kVec<T>;
  static constexpr int kSize = kItems * kN;
  Piece<T> piece[kItems];

  // Elements past the end read as `pad`, which T holds exactly.
  __device__ __forceinline__ void load(const T* row, int cols, bool vectors, Acc<T> pad) {
    const int t = threadIdx.x, threads = blockDim.x;
#pragma unroll
    for (int i = 0; i < kItems; ++i) piece[i].fill(pad);
    if (vectors) {
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        const int at = (i * threads + t) * kN;
        if (at < cols) piece[i] = *reinterpret_cast<const Piece<T>*>(row + at);
      }
    } else {
#pragma unroll
      for (int j = 0; j < kSize; ++j) {
        const int at = j * threads + t;
        if (at < cols) piece[j / kN].set(j % kN, row[at]);
      }
    }
  }
  __device__ __forceinline__ Acc<T> get(int j) const { return piece[j / kN].get(j % kN); }
};

// The same as numbers to calculate with.
template <int kItems, class T>
struct RowTile {
  static constexpr int kN = kVec<T>;
  static constexpr int kSize = kItems * kN;
  Acc<T> v[kSize];

  __device__ __forceinline__ void load(const T* row, int cols, bool vectors, Acc<T> pad) {
    RawTile<kItems, T> raw;
    raw.load(row, cols, vectors, pad);
#pragma unroll
    for (int j = 0; j < kSize; ++j) v[j] = raw.get(j);
  }

  // Rounds once.
  __device__ __forceinline__ void store(T* row, int cols, bool vectors) const {
    const int t = threadIdx.x, threads = blockDim.x;
    if (vectors) {
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        const int at = (i * threads + t) * kN;
        if (at < cols) *reinterpret_cast<Piece<T>*>(row + at) = Piece<T>::of(v + i * kN);
      }
    } else {
#pragma unroll
      for (int j = 0; j < kSize; ++j) {
        const int at = j * threads + t;
        if (at < cols) row[at] = dev::store<T>(v[j]);
      }
    }
  }
  // v[j] = f(v[j], element of `row` in the same column).
  template <class F>
  __device__ __forceinline__ void combine(const T* row, int cols, bool vectors, F&& f) {
    RawTile<kItems, T> raw;
    raw.load(row, cols, vectors, Acc<T>(0));
#pragma unroll
    for (int j = 0; j < kSize; ++j) v[j] = f(v[j], raw.get(j));
  }
  // Which column v[j] is.
  __device__ __forceinline__ int column(int j, bool vectors) const {
    const int t = threadIdx.x, threads = blockDim.x;
    return vectors ? (j / kN * threads + t) * kN + j % kN : j * threads + t;
  }
};

// The sum over a row's threads behind one barrier: whoever calls again takes another `kBuffer`.
template <int kBuffer, class A>
__device__ __forceinline__ A row_total(A v) {
  v = warp_reduce(v, AddOp{});
  if (blockDim.x == 32) return v;
  __shared__ A part[32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  if (lane == 0) part[warp] = v;
  __syncthreads();
  return warp_reduce(lane < warps ? part[lane] : A(0), AddOp{});
}

// Calls f(first column, pieces: one of each row) for this thread's share of rows of any length,
// kAhead pieces of each under way at once. The share is the same at every call with the same row,
// so that a thread may come back to what it kept itself without a barrier. Where rows are not
// `vectors`, pieces are single elements; of double too, for which exp is a call that few values
// should outlive.
template <class T, class F, class... Rows>
__device__ __forceinline__ void walk_pieces(long long cols, bool vectors, F&& f, Rows... rows) {
  constexpr int kN = kVec<T>;
  constexpr int kAhead = sizeof...(Rows) == 1 ? 4 : 2;
  const int t = threadIdx.x, threads = blockDim.x;
  if (sizeof(T) < 8 && vectors) {
    const long long step = (long long)threads * kN;
    for (long long at = (long long)t * kN; at < cols; at += kAhead * step) {
      Piece<T> ahead[kAhead][sizeof...(Rows)];
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        int k = 0;
        if (at + u * step < cols)
          ((ahead[u][k++] = *reinterpret_cast<const Piece<T>*>(rows + at + u * step)), ...);
      }
#pragma unroll
      for (int u = 0; u < kAhead; ++u)
        if (at + u * step < cols) f(at + u * step, ahead[u]);
    }
  } else {
#pragma unroll(sizeof(T) == 8 ? 1 : 4)
    for (long long at = t; at < cols; at += threads) {
      const One<T> one[] = {One<T>{rows[at]}...};
      f(at, one);
    }
  }
}

// f(column, element) for this thread's share of a row.
template <class T, class F>
__device__ __forceinline__ void walk_row(const T* row, long long cols, bool vectors, F&& f) {
  walk_pieces<T>(
      cols, vectors,
      [&]<class P>(long long at, const P* p) {
#pragma unroll
        for (int j = 0; j < P::kSize; ++j) f(at + j, p[0].get(j));
      },
      row);
}

// The same over two rows at once: f(column, element of a, element of b).
template <class T, class F>
__device__ __forceinline__ void walk_rows(const T* a, const T* b, long long cols, bool vectors,
                                          F&& f) {
  walk_pieces<T>(
      cols, vectors,
      [&]<class P>(long long at, const P* p) {
#pragma unroll
        for (int j = 0; j < P::kSize; ++j) f(at + j, p[0].get(j), p[1].get(j));
      },
      a, b);
}

// out[column] = f(column, element of in), rounded once; `in` may lie in shared memory.
template <class T, class F>
__device__ __forceinline__ void map_row(const T* in, T* out, long long cols, bool vectors, F&& f) {
  walk_pieces<T>(
      cols, vectors,
      [&]<class P>(long long at, const P* p) {
        Acc<T> v[P::kSize];
#pragma unroll
        for (int j = 0; j < P::kSize; ++j) v[j] = f(at + j, p[0].get(j));
        put(out + at, p[0], v);
      },
      in);
}

// out[column] = f(column, element of a, element of b).
template <class T, class F>
__device__ __forceinline__ void map_rows(const T* a, const T* b, T* out, long long cols,
                                         bool vectors, F&& f) {
  walk_pieces<T>(
      cols, vectors,
      [&]<class P>(long long at, const P* p) {
        Acc<T> v[P::kSize];
#pragma unroll
        for (int j = 0; j < P::kSize; ++j) v[j] = f(at + j, p[0].get(j), p[1].get(j));
        put(out + at, p[0], v);
      },
      a, b);
}

}  // namespace dev
