// layer_norm and its gradients: one row per warp or block.
//   y = (x - mean) * rstd * w + b, rstd = 1 / sqrt(var + eps), var = sum((x - mean)^2) / cols
//   with xhat = (x - mean) * rstd and h = g * w:
//   dx = rstd * (h - mean(h) - xhat * mean(h * xhat)),  dw = sum over rows of g * xhat,  db of g
// The variance is taken about the mean, never as E[x^2] - E[x]^2, which cancels.
// Traffic: forward reads x, writes y; backward reads x and g once, writes dx (rows too long for
// registers, or not all gradients wanted: a pass for dx and a pass for dw and db).
#include "norm_fused.cuh"
#include "norm_row.cuh"

namespace dev {

// v at `column` of an optional affine parameter.
template <class T>
__device__ __forceinline__ Acc<T> affine(const T* p, long long column, Acc<T> absent) {
  return p ? load(p[column]) : absent;
}

}  // namespace dev

// x, y: (rows, cols); weight, bias: (cols) or null; mean, rstd: (rows), written for backward, or
// null. The row lives in registers; more than 2 items of a half type must be vectors.
template <int kItems, class T>
__global__ void __launch_bounds__(1024)
    layer_norm_forward_row(const T* x, const T* weight, const T* bias, T* y, dev::Acc<T>* mean_out,
                           dev::Acc<T>* rstd_out, long long rows, int cols, dev::Acc<T> eps,
                           bool may_be_vectors) {
  using A = dev::Acc<T>;
  const bool vectors = (sizeof(T) == 2 && kItems > 2) || may_be_vectors;
  const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  dev::RowTile<kItems, T> tile;
  tile.load(x + row * cols, cols, vectors, A(0));
  A sum = 0;
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) sum += tile.v[j];
  const A inverse = A(1) / A(cols), mean = dev::row_total<0>(sum) * inverse;
  A squares = 0;
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const bool whole = vectors && tile.column(i * tile.kN, true) < cols;
#pragma unroll
    for (int j = i * tile.kN; j < (i + 1) * tile.kN; ++j) {
      tile.v[j] -= mean;
      if (whole || (!vectors && tile.column(j, false) < cols)) squares += tile.v[j] * tile.v[j];
    }
  }
  const A rstd = A(1) / dev::sqrt_of(dev::row_total<1>(squares) * inverse + eps);
  y += row * cols;
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) tile.v[j] *= rstd;
  if (vectors) {  // a piece of each parameter at a time: registers are short
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int at = tile.column(i * tile.kN, true);
      if (at >= cols) continue;
      A* v = tile.v + i * tile.kN;
      if (weight) {
        const auto w = *reinterpret_cast<const dev::Piece<T>*>(weight + at);
#pragma unroll
        for (int k = 0; k < tile.kN; ++k) v[k] *= w.get(k);
      }
      if (bias) {
        const auto b = *reinterpret_cast<const dev::Piece<T>*>(bias + at);
#pragma unroll
        for (int k = 0; k < tile.kN; ++k) v[k] += b.get(k);
      }
      *reinterpret_cast<dev::Piece<T>*>(y + at) = dev::Piece<T>::of(v);
    }
  } else {
    if (weight) tile.combine(weight, cols, false, [=](A v, A w) { return v * w; });
    if (bias) tile.combine(bias, cols, false, [=](A v, A b) { return v + b; });
    tile.store(y, cols, false);
  }
  if (mean_out && threadIdx.x == 0) {
    mean_out[row] = mean;
    rstd_out[row] = rstd;
  }
}
EXPORT_FLOATING(layer_norm_forward_row, 1)
EXPORT_FLOATING(layer_norm_forward_row, 2)
EXPORT_FLOATING(layer_norm_forward_row, 3)
EXPORT_FLOATING(layer_norm_forward_row, 4)

// Rows too long for registers, one block each; the first `kept` elements stay in shared memory, the
// others are read thrice.
template <class T>
__global__ void __launch_bounds__(dev::kLongRowThreads<T>)
    layer_norm_forward_long(const T* x, const T* weight, const T* bias, T* y, dev::Acc<T>* mean_out,
                            dev::Acc<T>* rstd_out, long long cols, dev::Acc<T> eps, bool vectors,
                            long long kept) {
  using A = dev::Acc<T>;
  x += (long long)blockIdx.x * cols;
  y += (long long)blockIdx.x * cols;
  T* keep = dyn_shared<T>();
  A sum = 0;
  dev::walk_pieces<T>(
      cols, vectors,
      [&]<class P>(long long at, const P* p) {
        if (at < kept) *reinterpret_cast<P*>(keep + at) = p[0];
#pragma unroll
        for (int j = 0; j < P::kSize; ++j) sum += p[0].get(j);
      },
      x);
  const A mean = dev::row_sum(sum) / A(cols);
  A squares = 0;
  const auto square = [&](long long, A v) {
    const A d = v - mean;
    squares += d * d;
  };
  dev::walk_row(keep, kept, vectors, square);
  dev::walk_row(x + kept, cols - kept, vectors, square);
  const A rstd = A(1) / dev::sqrt_of(dev::row_sum(squares) / A(cols) + eps);
  const auto f = [=](long long at, A v) {
    return (v - mean) * rstd * dev::affine(weight, at, A(1)) + dev::affine(bias, at, A(0));
  };
  dev::map_row(keep, y, kept, vectors, f);
  dev::map_row(x + kept, y + kept, cols - kept, vectors,
               [=](long long at, A v) { return f(kept + at, v); });
  if (mean_out && threadIdx.x == 0) {
    mean_out[blockIdx.x] = mean;
    rstd_out[blockIdx.x] = rstd;
  }
}
EXPORT_FLOATING(layer_norm_forward_long)

// x, g, dx: (rows, cols); mean, rstd: (rows).
template <int kItems, class T>
__global__ void __launch_bounds__(1024)
    layer_norm_backward_row(const T* x, const T* g, const T* weight, const dev::Acc<T>* mean,
                            const dev::Acc<T>* rstd, T* dx, long long rows, int cols,
                            bool vectors) {
  using A = dev::Acc<T>;
  const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  dev::RowTile<kItems, T> xhat, h;
  h.load(g + row * cols, cols, vectors, A(0));
  if (weight) h.combine(weight, cols, vectors, [](A v, A w) { return v * w; });
  xhat.load(x + row * cols, cols, vectors, A(0));
  const A m = mean[row], r = rstd[row];
  A sum = 0, dot = 0;
#pragma unroll
  for (int j = 0; j < h.kSize; ++j) {
    xhat.v[j] = (xhat.v[j] - m) * r;
    sum += h.v[j];
    dot += h.v[j] * xhat.v[j];
  }
  sum = dev::row_sum(sum) / A(cols);
  dot = dev::row_sum(dot) / A(cols);
#pragma unroll
  for (int j = 0; j < h.kSize; ++j) h.v[j] = r * (h.v[j] - sum - xhat.v[j] * dot);
  h.store(dx + row * cols, cols, vectors);
}
EXPORT_FLOATING(layer_norm_backward_row, 1)
EXPORT_FLOATING(layer_norm_backward_row, 2)

EXPORT_FLOATING(layer_norm_backward_fused, 1)
EXPORT_FLOATING(layer_norm_backward_fused, 2)

// Rows too long for registers: x and g read twice.
template <class T>
__global__ void __launch_bounds__(dev::kLongRowThreads<T>)
    layer_norm_backward_long(const T* x, const T* g, const T* weight, const dev::Acc<T>* mean,
                             const dev::Acc<T>* rstd, T* dx, long long cols, bool vectors) {
  using A = dev::Acc<T>;
  const long long start = (long long)blockIdx.x * cols;
  x += start, g += start, dx += start;
  const A m = mean[blockIdx.x], r = rstd[blockIdx.x];
  A sum = 0, dot = 0;
  dev::walk_rows(x, g, cols, vectors, [&](long long at, A v, A w) {
    const A h = w * dev::affine(weight, at, A(1));
    sum += h;
    dot += h * (v - m) * r;
  });
  sum = dev::row_sum(sum) / A(cols);
  dot = dev::row_sum(dot) / A(cols);
  dev::map_rows(x, g, dx, cols, vectors, [=](long long at, A v, A w) {
    return r * (w * dev::affine(weight, at, A(1)) - sum - (v - m) * r * dot);
  });
}
EXPORT_FLOATING(layer_norm_backward_long)

// Partial sums of dw and db over a chunk of rows: (32, 8) threads take 32 columns, coalesced; the
// eight rows of threads take every eighth row of the chunk. partial: (2, chunks, cols).
template <class T>
__global__ void __launch_bounds__(256)
    layer_norm_affine_partial(const T* x, const T* g, const dev::Acc<T>* mean,
                              const dev::Acc<T>* rstd, dev::Acc<T>* partial, long long rows,
                              long long cols, long long chunk_rows) {
  using A = dev::Acc<T>;
  __shared__ A parts[2][8][32];
  const long long column_blocks = (cols + 31) / 32, chunk = blockIdx.x / column_blocks;
  const long long col = blockIdx.x % column_blocks * 32 + threadIdx.x;
  const long long end = min(rows, (chunk + 1) * chunk_rows);
  A dw = 0, db = 0;
  if (col < cols)
    for (long long row = chunk * chunk_rows + threadIdx.y; row < end; row += 8) {
      const A v = dev::load(g[row * cols + col]);
      dw += v * (dev::load(x[row * cols + col]) - mean[row]) * rstd[row];
      db += v;
    }
  parts[0][threadIdx.y][threadIdx.x] = dw;
  parts[1][threadIdx.y][threadIdx.x] = db;
  __syncthreads();
  if (threadIdx.y >= 2 || col >= cols) return;
  A sum = 0;
  for (int r = 0; r < 8; ++r) sum += parts[threadIdx.y][r][threadIdx.x];
  const long long chunks = (rows + chunk_rows - 1) / chunk_rows;
  partial[(threadIdx.y * chunks + chunk) * cols + col] = sum;
}
EXPORT_FLOATING(layer_norm_affine_partial)

// dw, db: (cols), either may be null. (32, 32) threads take 32 columns: row r of the block adds the
// chunks r, r + 32, ..., so that few loads follow one another, then a warp adds up each column.
template <class T>
__global__ void __launch_bounds__(1024)
    layer_norm_affine_finish(const dev::Acc<T>* partial, T* dw, T* db, long long chunks,
                             long long cols) {
  using A = dev::Acc<T>;
  constexpr int kSide = 32;
  __shared__ A parts[kSide][kSide + 1];
  const long long column_blocks = (cols + kSide - 1) / kSide, which = blockIdx.x / column_blocks;
  const long long first = blockIdx.x % column_blocks * kSide;
  T* out = which == 0 ? dw : db;
  if (!out) return;
  dev::await_launch_before();
  A sum = 0;
  if (first + threadIdx.x < cols) {
    const A* from = partial + which * chunks * cols + first + threadIdx.x;
#pragma unroll 8
    for (long long chunk = threadIdx.y; chunk < chunks; chunk += kSide) sum += from[chunk * cols];
  }
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  sum = dev::warp_reduce(parts[threadIdx.x][threadIdx.y], dev::AddOp{});
  if (threadIdx.x == 0 && first + threadIdx.y < cols) out[first + threadIdx.y] = dev::store<T>(sum);
}
EXPORT_FLOATING(layer_norm_affine_finish)
