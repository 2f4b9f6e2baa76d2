// All three gradients of layer_norm in one pass; norm.cu says what they are and exports the kernel.
#pragma once
#include "norm_row.cuh"

// dx and the partial sums of dw and db in one pass over x and g, rows of whole vectors. Block b
// takes the rows b, b + gridDim.x, ...; a thread keeps the sums of the columns it holds in
// registers, and asks for the next row while it works on this one. partial: (2, gridDim.x, cols).
// dx or partial may be null: a gradient has the same bits whether or not the others were asked for.
template <int kItems, class T>
__global__ void __launch_bounds__(sizeof(T) == 2 && kItems == 1 ? 384 : 512,
                                  sizeof(T) == 2 && kItems == 1 ? 2 : 1)
    layer_norm_backward_fused(const T* x, const T* g, const T* weight, const dev::Acc<T>* mean,
                              const dev::Acc<T>* rstd, T* dx, dev::Acc<T>* partial, long long rows,
                              int cols) {
  using A = dev::Acc<T>;
  using Raw = dev::RawTile<kItems, T>;
  constexpr int kN = Raw::kN;
  Raw x_raw, g_raw, x_next, g_next, w_raw;
  dev::RowTile<kItems, T> dw, db;
#pragma unroll
  for (int j = 0; j < Raw::kSize; ++j) dw.v[j] = db.v[j] = 0;
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    x_next.piece[i].fill(A(0)), g_next.piece[i].fill(A(0)), w_raw.piece[i].fill(A(1));
  }
  if (weight) w_raw.load(weight, cols, true, A(0));
  const A inverse = A(1) / A(cols);
  long long row = blockIdx.x;
  A m_next = 0, r_next = 0;
  // Past the end of a row the registers keep their zeros.
  const auto ask = [&](long long from) {
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int at = (i * int(blockDim.x) + int(threadIdx.x)) * kN;
      if (at >= cols) continue;
      x_next.piece[i] = *reinterpret_cast<const dev::Piece<T>*>(x + from * cols + at);
      g_next.piece[i] = *reinterpret_cast<const dev::Piece<T>*>(g + from * cols + at);
    }
    m_next = mean[from], r_next = rstd[from];
  };
  if (row < rows) ask(row);
  int buffer = 0;
#pragma unroll 1
  for (; row < rows; row += gridDim.x) {
    x_raw = x_next, g_raw = g_next;
    const A m = m_next, r = r_next;
    if (row + gridDim.x < rows) ask(row + gridDim.x);
    A sum = 0, dot = 0;
    A xhat[Raw::kSize], h[Raw::kSize];
#pragma unroll
    for (int j = 0; j < Raw::kSize; ++j) {
      const A grad = g_raw.get(j);
      xhat[j] = (x_raw.get(j) - m) * r;
      h[j] = grad * w_raw.get(j);
      dw.v[j] += grad * xhat[j];
      db.v[j] += grad;
      sum += h[j];
      dot += h[j] * xhat[j];
    }
    dev::row_sum_two(sum, dot, buffer);
    buffer ^= 1;
    sum *= inverse, dot *= inverse;
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      A out[kN];
#pragma unroll
      for (int k = 0; k < kN; ++k) {
        const int j = i * kN + k;
        out[k] = r * (h[j] - sum - xhat[j] * dot);
      }
      const int at = (i * int(blockDim.x) + int(threadIdx.x)) * kN;
      if (dx && at < cols)
        *reinterpret_cast<dev::Piece<T>*>(dx + row * cols + at) = dev::Piece<T>::of(out);
    }
  }
  if (!partial) return;
  A* to = partial + (long long)blockIdx.x * cols;
  const long long other = (long long)gridDim.x * cols;
#pragma unroll
  for (int j = 0; j < Raw::kSize; ++j) {
    const int column = dw.column(j, true);
    if (column >= cols) continue;
    to[column] = dw.v[j];
    to[other + column] = db.v[j];
  }
}
