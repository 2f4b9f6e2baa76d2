// softmax and its gradient, along the innermost dim (one row per warp or block) or any other one.
//   y  = exp(x - max) / sum(exp(x - max))
//   dx = y * (g - sum(y * g)), y computed again from x in the accumulator's precision
// Traffic: forward reads x and writes y once; backward reads x and g and writes dx once, as long as
// a row fits into registers or shared memory; longer rows are read twice.
#include "norm_row.cuh"

namespace dev {

// max and sum(exp(x - max)) of the elements seen so far, and sum(exp(x - max) * g) for backward.
template <class A>
struct OnlineSoftmax {
  A m = A(-inf()), s = 0, d = 0;

  __device__ __forceinline__ void add(A x, A g) {
    if (x > m) {
      const A scale = exp_of(m - x);
      const A e = x - x + A(1);  // exp(x - max) is 1, and NaN for an infinite maximum
      s = s * scale + e;
      d = d * scale + e * g;
      m = x;
    } else if (x != A(-inf())) {  // exp(-inf - -inf) would be NaN before a finite one is seen
      const A e = exp_of(x - m);
      s += e;
      d += e * g;
    }
  }
  // What s and d shrink by when the maximum of all is `all`.
  __device__ __forceinline__ A scale_to(A all) const {
    return m == A(-inf()) ? A(0) : exp_of(m - all);
  }
  __device__ __forceinline__ void combine_in_block() {
    const A all = row_max(m), scale = scale_to(all);
    s = row_sum(s * scale);
    d = row_sum(d * scale);
    m = all;
  }
};

}  // namespace dev

// x, y: (rows, cols). The row lives in registers.
template <int kItems, class T>
__global__ void __launch_bounds__(1024)
    softmax_forward_row(const T* x, T* y, long long rows, int cols, bool vectors) {
  using A = dev::Acc<T>;
  const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  dev::RowTile<kItems, T> tile;
  tile.load(x + row * cols, cols, vectors, A(-dev::inf()));
  A m = A(-dev::inf());
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) m = dev::MaxOp{}(m, tile.v[j]);
  m = dev::row_max(m);
  A s = 0;
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) s += tile.v[j] = dev::exp_of(tile.v[j] - m);
  const A inverse = A(1) / dev::row_sum(s);
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) tile.v[j] *= inverse;
  tile.store(y + row * cols, cols, vectors);
}
EXPORT_FLOATING(softmax_forward_row, 1)
EXPORT_FLOATING(softmax_forward_row, 2)
EXPORT_FLOATING(softmax_forward_row, 4)

// x, g, dx: (rows, cols).
template <int kItems, class T>
__global__ void __launch_bounds__(1024)
    softmax_backward_row(const T* x, const T* g, T* dx, long long rows, int cols, bool vectors) {
  using A = dev::Acc<T>;
  const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  dev::RowTile<kItems, T> e, grad;
  e.load(x + row * cols, cols, vectors, A(-dev::inf()));
  grad.load(g + row * cols, cols, vectors, A(0));
  A m = A(-dev::inf());
#pragma unroll
  for (int j = 0; j < e.kSize; ++j) m = dev::MaxOp{}(m, e.v[j]);
  m = dev::row_max(m);
  A s = 0, d = 0;
#pragma unroll
  for (int j = 0; j < e.kSize; ++j) {
    s += e.v[j] = dev::exp_of(e.v[j] - m);
    d += e.v[j] * grad.v[j];
  }
  const A inverse = A(1) / dev::row_sum(s);
  const A dot = dev::row_sum(d) * inverse;
#pragma unroll
  for (int j = 0; j < e.kSize; ++j) e.v[j] = e.v[j] * inverse * (grad.v[j] - dot);
  e.store(dx + row * cols, cols, vectors);
}
EXPORT_FLOATING(softmax_backward_row, 1)
EXPORT_FLOATING(softmax_backward_row, 2)

// Rows too long for registers, one block each: max and sum in one pass, the result in a second one
// from shared memory (`kept`: the block was given cols elements of it) or from memory again.
template <class T>
__global__ void __launch_bounds__(dev::kLongRowThreads<T>)
    softmax_forward_long(const T* x, T* y, long long cols, bool vectors, bool kept) {
  using A = dev::Acc<T>;
  x += (long long)blockIdx.x * cols;
  y += (long long)blockIdx.x * cols;
  T* keep = dyn_shared<T>();
  dev::OnlineSoftmax<A> sums;
  dev::walk_row(x, cols, vectors, [&](long long at, T v) {
    if (kept) keep[at] = v;
    sums.add(dev::load(v), A(0));
  });
  sums.combine_in_block();
  const A m = sums.m, inverse = A(1) / sums.s;
  dev::map_row(kept ? keep : x, y, cols, vectors,
               [=](long long, A v) { return dev::exp_of(v - m) * inverse; });
}
EXPORT_FLOATING(softmax_forward_long)

// As above; shared memory then holds x and g, 2 * cols elements (the second row starts on 16
// bytes).
template <class T>
__global__ void __launch_bounds__(dev::kLongRowThreads<T>)
    softmax_backward_long(const T* x, const T* g, T* dx, long long cols, bool vectors, bool kept) {
  using A = dev::Acc<T>;
  const long long start = (long long)blockIdx.x * cols;
  x += start, g += start, dx += start;
  T* keep_x = dyn_shared<T>();
  T* keep_g = keep_x + (cols + dev::kVec<T> - 1) / dev::kVec<T> * dev::kVec<T>;
  dev::OnlineSoftmax<A> sums;
  dev::walk_rows(x, g, cols, vectors, [&](long long at, T v, T w) {
    if (kept) keep_x[at] = v, keep_g[at] = w;
    sums.add(dev::load(v), dev::load(w));
  });
  sums.combine_in_block();
  const A m = sums.m, inverse = A(1) / sums.s, dot = sums.d * inverse;
  dev::map_rows(kept ? keep_x : x, kept ? keep_g : g, dx, cols, vectors,
                [=](long long, A v, A w) { return dev::exp_of(v - m) * inverse * (w - dot); });
}
EXPORT_FLOATING(softmax_backward_long)

// Any other dim: x is (outer, cols, inner), a line is one (outer, inner) pair. A block of (32, R)
// threads takes 32 neighbouring lines, so that a warp's accesses are coalesced; row r of the block
// takes the columns r, r + R, ...
template <class T, class G>
__device__ __forceinline__ dev::OnlineSoftmax<dev::Acc<T>> strided_sums(const T* x, G grad_at,
                                                                        long long cols,
                                                                        long long inner,
                                                                        bool live) {
  using A = dev::Acc<T>;
  __shared__ A parts[3][16][32];
  dev::OnlineSoftmax<A> sums;
  if (live)
    for (long long c = threadIdx.y; c < cols; c += blockDim.y)
      sums.add(dev::load(x[c * inner]), grad_at(c));
  parts[0][threadIdx.y][threadIdx.x] = sums.m;
  parts[1][threadIdx.y][threadIdx.x] = sums.s;
  parts[2][threadIdx.y][threadIdx.x] = sums.d;
  __syncthreads();
  dev::OnlineSoftmax<A> all;
  for (int r = 0; r < int(blockDim.y); ++r) all.m = dev::MaxOp{}(all.m, parts[0][r][threadIdx.x]);
  for (int r = 0; r < int(blockDim.y); ++r) {
    dev::OnlineSoftmax<A> part;
    part.m = parts[0][r][threadIdx.x];
    const A scale = part.scale_to(all.m);
    all.s += parts[1][r][threadIdx.x] * scale;
    all.d += parts[2][r][threadIdx.x] * scale;
  }
  return all;
}

template <class T>
__global__ void __launch_bounds__(512)
    softmax_forward_strided(const T* x, T* y, long long lines, long long cols, long long inner) {
  using A = dev::Acc<T>;
  const long long line = (long long)blockIdx.x * 32 + threadIdx.x;
  const bool live = line < lines;
  const long long start = live ? line / inner * cols * inner + line % inner : 0;
  const auto sums = strided_sums(
      x + start, [](long long) { return A(0); }, cols, inner, live);
  const A inverse = A(1) / sums.s;
  if (live)
    for (long long c = threadIdx.y; c < cols; c += blockDim.y) {
      const long long at = start + c * inner;
      y[at] = dev::store<T>(dev::exp_of(dev::load(x[at]) - sums.m) * inverse);
    }
}
EXPORT_FLOATING(softmax_forward_strided)

template <class T>
__global__ void __launch_bounds__(512)
    softmax_backward_strided(const T* x, const T* g, T* dx, long long lines, long long cols,
                             long long inner) {
  using A = dev::Acc<T>;
  const long long line = (long long)blockIdx.x * 32 + threadIdx.x;
  const bool live = line < lines;
  const long long start = live ? line / inner * cols * inner + line % inner : 0;
  const auto sums = strided_sums(
      x + start, [=](long long c) { return dev::load(g[start + c * inner]); }, cols, inner, live);
  const A inverse = A(1) / sums.s, dot = sums.d * inverse;
  if (live)
    for (long long c = threadIdx.y; c < cols; c += blockDim.y) {
      const long long at = start + c * inner;
      const A y = dev::exp_of(dev::load(x[at]) - sums.m) * inverse;
      dx[at] = dev::store<T>(y * (dev::load(g[at]) - dot));
    }
}
EXPORT_FLOATING(softmax_backward_strided)
