// layer_norm and its gradients: one row per warp or block.
//   y = (x - mean) * rstd * w + b, rstd = 1 / sqrt(var + eps), var = sum((x - mean)^2) / cols
//   with xhat = (x - mean) * rstd and h = g * w:
//   dx = rstd * (h - mean(h) - xhat * mean(h * xhat)),  dw = sum over rows of g * xhat,  db of g
// The variance is taken about the mean, never as E[x^2] - E[x]^2, which cancels.
// Traffic: forward reads x, writes y; backward reads x and g twice (dx; dw and db), writes dx.
#include "norm_row.cuh"

namespace dev {

// v at `column` of an optional affine parameter.
template <class T>
__device__ __forceinline__ Acc<T> affine(const T* p, long long column, Acc<T> absent) {
  return p ? load(p[column]) : absent;
}

}  // namespace dev

// x, y: (rows, cols); weight, bias: (cols) or null; mean, rstd: (rows), written for backward, or
// null. The row lives in registers.
template <int kItems, class T>
__global__ void __launch_bounds__(1024)
    layer_norm_forward_row(const T* x, const T* weight, const T* bias, T* y, dev::Acc<T>* mean_out,
                           dev::Acc<T>* rstd_out, long long rows, int cols, dev::Acc<T> eps,
                           bool vectors) {
  using A = dev::Acc<T>;
  const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  dev::RowTile<kItems, T> tile;
  tile.load(x + row * cols, cols, vectors, A(0));
  A sum = 0;
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) sum += tile.v[j];
  const A mean = dev::row_sum(sum) / A(cols);
  A squares = 0;
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) {
    tile.v[j] -= mean;
    if (tile.column(j, vectors) < cols) squares += tile.v[j] * tile.v[j];
  }
  const A rstd = A(1) / dev::sqrt_of(dev::row_sum(squares) / A(cols) + eps);
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) tile.v[j] *= rstd;
  if (weight) tile.combine(weight, cols, vectors, [](A v, A w) { return v * w; });
  if (bias) tile.combine(bias, cols, vectors, [](A v, A b) { return v + b; });
  tile.store(y + row * cols, cols, vectors);
  if (mean_out && threadIdx.x == 0) {
    mean_out[row] = mean;
    rstd_out[row] = rstd;
  }
}
EXPORT_FLOATING(layer_norm_forward_row, 1)
EXPORT_FLOATING(layer_norm_forward_row, 2)
EXPORT_FLOATING(layer_norm_forward_row, 4)

// Rows too long for registers, one block each; read once when `kept` in shared memory, else thrice.
template <class T>
__global__ void __launch_bounds__(dev::kLongRowThreads<T>)
    layer_norm_forward_long(const T* x, const T* weight, const T* bias, T* y, dev::Acc<T>* mean_out,
                            dev::Acc<T>* rstd_out, long long cols, dev::Acc<T> eps, bool vectors,
                            bool kept) {
  using A = dev::Acc<T>;
  x += (long long)blockIdx.x * cols;
  y += (long long)blockIdx.x * cols;
  T* keep = dyn_shared<T>();
  A sum = 0;
  dev::walk_row(x, cols, vectors, [&](long long at, T v) {
    if (kept) keep[at] = v;
    sum += dev::load(v);
  });
  const A mean = dev::row_sum(sum) / A(cols);
  const T* row = kept ? keep : x;
  A squares = 0;
  dev::walk_row(row, cols, vectors, [&](long long, T v) {
    const A d = dev::load(v) - mean;
    squares += d * d;
  });
  const A rstd = A(1) / dev::sqrt_of(dev::row_sum(squares) / A(cols) + eps);
  dev::map_row(row, y, cols, vectors, [=](long long at, A v) {
    return (v - mean) * rstd * dev::affine(weight, at, A(1)) + dev::affine(bias, at, A(0));
  });
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
  dev::walk_rows(x, g, cols, vectors, [&](long long at, T v, T w) {
    const A h = dev::load(w) * dev::affine(weight, at, A(1));
    sum += h;
    dot += h * (dev::load(v) - m) * r;
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

// dw, db: (cols), either may be null.
template <class T>
__global__ void __launch_bounds__(256)
    layer_norm_affine_finish(const dev::Acc<T>* partial, T* dw, T* db, long long chunks,
                             long long cols) {
  const long long i = dev::global_thread(), col = i % cols;
  T* out = i < cols ? dw : db;
  if (i >= 2 * cols || !out) return;
  dev::Acc<T> sum = 0;
  for (long long chunk = 0; chunk < chunks; ++chunk)
    sum += partial[(i / cols * chunks + chunk) * cols + col];
  out[col] = dev::store<T>(sum);
}
EXPORT_FLOATING(layer_norm_affine_finish)
