// All three gradients of layer_norm in one pass; norm.cu says what they are and exports the kernel.
#pragma once
#include "norm_row.cuh"
#include "ptx.cuh"

namespace dev {

// Rows that a block has under way: more gain nothing (H200). lib/ops/norm.cpp agrees.
inline constexpr int kRowsAhead = 2;

// The rows of x and g that a thread has under way, its own pieces of them: a ring in dynamic shared
// memory, kRowsAhead rows of 2 * kItems pieces. A thread reads only what it copied itself, so that
// no barrier is needed; pieces past the end of a row are zero.
template <int kItems, class T>
struct RowRing {
  using Raw = RawTile<kItems, T>;
  const T *x, *g;
  int cols;
  long long at, stride;  // this thread's place in the row to ask for, and on to the block's next
  int to = 0, from = 0;  // in pieces

  __device__ __forceinline__ Piece<T>* slot(int row, int stream, int item) const {
    return dyn_shared<Piece<T>>() + row + (stream * kItems + item) * int(blockDim.x) +
           int(threadIdx.x);
  }
  __device__ __forceinline__ int pitch() const { return 2 * kItems * int(blockDim.x); }
  __device__ __forceinline__ void advance(int& row) const {
    row += pitch();
    if (row == kRowsAhead * pitch()) row = 0;
  }
  __device__ __forceinline__ int column(int item) const {
    return (item * int(blockDim.x) + int(threadIdx.x)) * Raw::kN;
  }
  __device__ __forceinline__ void clear() const {
#pragma unroll
    for (int i = 0; i < kItems; ++i)
      if (column(i) >= cols)
#pragma unroll 1
        for (int row = 0; row < kRowsAhead * pitch(); row += pitch())
          slot(row, 0, i)->fill(Acc<T>(0)), slot(row, 1, i)->fill(Acc<T>(0));
  }
  // Asks for the block's next row, or for nothing, which counts as well.
  __device__ __forceinline__ void ask(bool there) {
    if (there) {
#pragma unroll
      for (int i = 0; i < kItems; ++i) {
        const int further = i * int(blockDim.x) * Raw::kN;
        if (column(i) >= cols) continue;
        async_copy16(slot(to, 0, i), x + at + further);
        async_copy16(slot(to, 1, i), g + at + further);
      }
    }
    async_commit();
    at += stride;
    advance(to);
  }
  // The row that was asked for first.
  __device__ __forceinline__ void take(Raw& x_raw, Raw& g_raw) {
    async_wait_but<kRowsAhead - 1>();
#pragma unroll
    for (int i = 0; i < kItems; ++i)
      x_raw.piece[i] = *slot(from, 0, i), g_raw.piece[i] = *slot(from, 1, i);
    advance(from);
  }
};

// Numbers of the rows that a block takes, `from` of each: a lane has that of every 32nd, and asks
// for the next 32 as many rows ahead: asked for one row ahead, they arrive behind what the ring has
// under way (3 to 4 % slower with half types, H200).
template <class A>
struct RowNumbers {
  const A* from;
  long long rows, row;  // that of this lane among the next 32
  A now = 0, ahead = 0;
  __device__ __forceinline__ void ask() {
    now = ahead;
    ahead = row < rows ? from[row] : A(0);
    row += 32ll * gridDim.x;
  }
  // Of the block's row `k`, which are gone through in order; all lanes call it.
  __device__ __forceinline__ A get(int k) const { return __shfl_sync(0xffffffffu, now, k % 32); }
};

// The sums of a and of b over a block of up to 512 threads, behind one barrier: each half of a warp
// sums one of them, then every thread what the warps have. `buffer`: 0 and 1 by turns.
template <class A>
struct PairSums {
  static constexpr int kWarps = 16, kAtOnce = 4;
  struct alignas(2 * sizeof(A)) Pair {
    A v[2];
  };
  Pair (*part)[kWarps];  // [2][kWarps] in shared memory; before the first barrier:
  __device__ __forceinline__ void clear() const {
    const int warps = int(blockDim.x) / 32, t = int(threadIdx.x);
    if (t >= warps && t < kWarps) part[0][t] = part[1][t] = Pair{};
  }
  __device__ __forceinline__ void add_up(A& a, A& b, int buffer) const {
    const int lane = int(threadIdx.x) % 32, half = lane / 16;
    A mine = (half ? b : a) + __shfl_xor_sync(0xffffffffu, half ? a : b, 16);
#pragma unroll
    for (int distance = 8; distance > 0; distance /= 2)
      mine += __shfl_xor_sync(0xffffffffu, mine, distance);
    if (lane % 16 == 0) part[buffer][threadIdx.x / 32].v[half] = mine;
    __syncthreads();
    a = b = A(0);
#pragma unroll 1
    for (int warp = 0; warp < int(blockDim.x) / 32; warp += kAtOnce)
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k)
        a += part[buffer][warp + k].v[0], b += part[buffer][warp + k].v[1];
  }
};

// Threads that a processor has registers for; plan_fused of lib/ops/norm.cpp agrees.
template <int kItems, class T>
inline constexpr int kFusedThreads = sizeof(T) > 2 ? 640
                                     : kItems == 1 ? 768
                                                   : 512;

}  // namespace dev

// dx and the partial sums of dw and db in one pass over x and g, rows of whole vectors. Block b
// takes the rows b, b + gridDim.x, ...; a thread keeps the sums of the columns it holds in
// registers. partial: (2, gridDim.x, cols). dx or partial may be null: a gradient has the same bits
// whether or not the others were asked for. Memory traffic: rows * cols * 3 * sizeof(T).
template <int kItems, class T>
__global__ void __launch_bounds__((dev::kFusedThreads<kItems, T>), 1)
    layer_norm_backward_fused(const T* x, const T* g, const T* weight, const dev::Acc<T>* mean,
                              const dev::Acc<T>* rstd, T* dx, dev::Acc<T>* partial, long long rows,
                              int cols) {
  using A = dev::Acc<T>;
  using Raw = dev::RawTile<kItems, T>;
  using Sums = dev::PairSums<A>;
  constexpr int kN = Raw::kN;
  __shared__ typename Sums::Pair parts[2][Sums::kWarps];
  const Sums sums{parts};
  dev::RowTile<kItems, T> dw, db;
  A w[Raw::kSize];
#pragma unroll
  for (int j = 0; j < Raw::kSize; ++j) dw.v[j] = db.v[j] = 0, w[j] = 1;
  const long long stride = (long long)gridDim.x * cols;
  const int first = int(threadIdx.x) * kN;
  dev::RowRing<kItems, T> ring{x, g, cols, (long long)blockIdx.x * cols + first, stride};
  const long long mine = blockIdx.x + (long long)(threadIdx.x % 32) * gridDim.x;
  dev::RowNumbers<A> means{mean, rows, mine}, rstds{rstd, rows, mine};
  means.ask(), rstds.ask();
  long long asked = blockIdx.x, at = ring.at;
#pragma unroll 1
  for (int k = 0; k < dev::kRowsAhead; ++k, asked += gridDim.x) ring.ask(asked < rows);
  ring.clear();
  sums.clear();
  if (weight) {
    Raw raw;
    raw.load(weight, cols, true, A(0));
#pragma unroll
    for (int j = 0; j < Raw::kSize; ++j) w[j] = raw.get(j);
  }
  const A inverse = A(1) / A(cols);
  const int count = int((rows - blockIdx.x + gridDim.x - 1) / gridDim.x);
#pragma unroll 1
  for (int k = 0; k < count; ++k, asked += gridDim.x, at += stride) {
    Raw x_raw, g_raw;
    ring.take(x_raw, g_raw);
    if (k % 32 == 0) means.ask(), rstds.ask();
    const A m = means.get(k), r = rstds.get(k);
    A sum = 0, dot = 0;
    A xhat[Raw::kSize], h[Raw::kSize];
#pragma unroll
    for (int j = 0; j < Raw::kSize; ++j) {
      const A grad = g_raw.get(j);
      xhat[j] = (x_raw.get(j) - m) * r;
      h[j] = grad * w[j];
      dw.v[j] += grad * xhat[j];
      db.v[j] += grad;
      sum += h[j];
      dot += h[j] * xhat[j];
    }
    ring.ask(asked < rows);
    sums.add_up(sum, dot, k % 2);
    // r * (h - mean of h - xhat * mean of h xhat)
    sum *= inverse * r, dot *= inverse * r;
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      A out[kN];
#pragma unroll
      for (int j = 0; j < kN; ++j) out[j] = r * h[i * kN + j] - sum - xhat[i * kN + j] * dot;
      if (dx && ring.column(i) < cols)
        *reinterpret_cast<dev::Piece<T>*>(dx + at + i * int(blockDim.x) * kN) =
            dev::Piece<T>::of(out);
    }
  }
  dev::let_next_launch_start();  // layer_norm_affine_finish awaits the end of this one
  if (!partial) return;
  A* to = partial + (long long)blockIdx.x * cols;
#pragma unroll
  for (int j = 0; j < Raw::kSize; ++j) {
    const int column = dw.column(j, true);
    if (column >= cols) continue;
    to[column] = dw.v[j];
    to[stride + column] = db.v[j];
  }
}
