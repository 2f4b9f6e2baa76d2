// softmax and its gradient, along the innermost dim (one row per warp or block) or any other one.
//   y  = exp(x - max) / sum(exp(x - max))
//   dx = y * (g - sum(y * g)), y computed again from x in the accumulator's precision
// Traffic: forward reads x and writes y once; backward reads x and g and writes dx once, as long as
// a row fits into registers or shared memory; longer rows are read twice.
#include "softmax_online.cuh"
#include "softmax_sums.cuh"

// x, y: (rows, cols). The row lives in registers.
template <int kItems, class T>
__global__ void __launch_bounds__(1024)
    softmax_forward_row(const T* x, T* y, long long rows, int cols, bool vectors) {
  using A = dev::Acc<T>;
  const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  dev::RowTile<kItems, T> tile;
  tile.load(x + row * cols, cols, vectors, A(-dev::inf()));
  A factor;
  if constexpr (sizeof(T) == 2) {  // instructions are what such rows wait for: one barrier
    // Values first: a scale times 1 / sum would lose its bits among the subnormals.
    const dev::SoftmaxSums<A> mine = dev::exponentials<T>(tile.v, dev::NoGrad());
    dev::SoftmaxSums<A> all = mine;
    all.template combine_in_block<false>(true);
    const A scale = mine.scale_to(all.shift);
#pragma unroll
    for (int j = 0; j < tile.kSize; ++j) tile.v[j] *= scale;
    factor = A(1) / all.s;
  } else {
    A m = A(-dev::inf());
#pragma unroll
    for (int j = 0; j < tile.kSize; ++j) m = dev::MaxOp{}(m, tile.v[j]);
    m = dev::row_max(m);
    A s = 0;
#pragma unroll
    for (int j = 0; j < tile.kSize; ++j) s += tile.v[j] = dev::exp_of(tile.v[j] - m);
    factor = A(1) / dev::row_sum(s);
  }
#pragma unroll
  for (int j = 0; j < tile.kSize; ++j) tile.v[j] *= factor;
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
  dev::RawTile<kItems, T> x_raw, g_raw;
  x_raw.load(x + row * cols, cols, vectors, A(-dev::inf()));
  g_raw.load(g + row * cols, cols, vectors, A(0));
  dev::RowTile<kItems, T> e;
  A factor, dot;
  if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int j = 0; j < e.kSize; ++j) e.v[j] = x_raw.get(j);
    const dev::SoftmaxSums<A> mine = dev::exponentials<T>(e.v, [&](int j) { return g_raw.get(j); });
    dev::SoftmaxSums<A> all = mine;
    all.template combine_in_block<true>(true);
    const A inverse = A(1) / all.s;
    const A scale = mine.scale_to(all.shift);
#pragma unroll
    for (int j = 0; j < e.kSize; ++j) e.v[j] *= scale;
    factor = inverse, dot = all.d * inverse;
  } else {
    A m = A(-dev::inf());
#pragma unroll
    for (int j = 0; j < e.kSize; ++j) m = dev::MaxOp{}(m, x_raw.get(j));
    m = dev::row_max(m);
    A s = 0, d = 0;
#pragma unroll
    for (int j = 0; j < e.kSize; ++j) {
      s += e.v[j] = dev::exp_of(x_raw.get(j) - m);
      d += e.v[j] * g_raw.get(j);
    }
    dev::row_sum_two(s, d);
    factor = A(1) / s, dot = d * factor;
  }
#pragma unroll
  for (int j = 0; j < e.kSize; ++j) e.v[j] = e.v[j] * factor * (g_raw.get(j) - dot);
  e.store(dx + row * cols, cols, vectors);
}
EXPORT_FLOATING(softmax_backward_row, 1)
EXPORT_FLOATING(softmax_backward_row, 2)

// Rows too long for registers, one block each: max and sum in one pass, the result in a second one
// from shared memory (the first `kept` elements, whole strides of the block or the row) and from
// memory again, where the rest is likely still in the L2 cache.
template <class T>
__global__ void __launch_bounds__(dev::kLongRowThreads<T>)
    softmax_forward_long(const T* x, T* y, long long cols, bool vectors, long long kept) {
  using A = dev::Acc<T>;
  x += (long long)blockIdx.x * cols;
  y += (long long)blockIdx.x * cols;
  T* keep = dyn_shared<T>();
  dev::OnlineSoftmax<A> sums;
  dev::walk_pieces<T>(
      cols, vectors,
      [&]<class P>(long long at, const P* p) {
        if (at < kept) *reinterpret_cast<P*>(keep + at) = p[0];
        A v[P::kSize], none[P::kSize];
#pragma unroll
        for (int j = 0; j < P::kSize; ++j) v[j] = p[0].get(j), none[j] = 0;
        sums.add(v, none);
      },
      x);
  sums.combine_in_block();
  const A m = sums.m, inverse = A(1) / sums.s;
  const auto f = [=](long long, A v) { return dev::exp_of(v - m) * inverse; };
  dev::map_row(keep, y, kept, vectors, f);
  dev::map_row(x + kept, y + kept, cols - kept, vectors, f);
}
EXPORT_FLOATING(softmax_forward_long)

// As above; shared memory then holds x and g, 2 * kept elements (the second row starts on 16
// bytes).
template <class T>
__global__ void __launch_bounds__(dev::kLongRowThreads<T>)
    softmax_backward_long(const T* x, const T* g, T* dx, long long cols, bool vectors,
                          long long kept) {
  using A = dev::Acc<T>;
  const long long start = (long long)blockIdx.x * cols;
  x += start, g += start, dx += start;
  T* keep_x = dyn_shared<T>();
  T* keep_g = keep_x + (kept + dev::kVec<T> - 1) / dev::kVec<T> * dev::kVec<T>;
  dev::OnlineSoftmax<A> sums;
  dev::walk_pieces<T>(
      cols, vectors,
      [&]<class P>(long long at, const P* p) {
        if (at < kept) {
          *reinterpret_cast<P*>(keep_x + at) = p[0];
          *reinterpret_cast<P*>(keep_g + at) = p[1];
        }
        A v[P::kSize], w[P::kSize];
#pragma unroll
        for (int j = 0; j < P::kSize; ++j) v[j] = p[0].get(j), w[j] = p[1].get(j);
        sums.add(v, w);
      },
      x, g);
  sums.combine_in_block();
  const A m = sums.m, inverse = A(1) / sums.s, dot = sums.d * inverse;
  const auto f = [=](long long, A v, A w) { return dev::exp_of(v - m) * inverse * (w - dot); };
  dev::map_rows(keep_x, keep_g, dx, kept, vectors, f);
  dev::map_rows(x + kept, g + kept, dx + kept, cols - kept, vectors, f);
}
EXPORT_FLOATING(softmax_backward_long)

// Any other dim: x is (outer, cols, inner), a line is one (outer, inner) pair. A block of (32, R)
// threads takes 32 neighbouring lines, so that a warp's accesses are coalesced; row r of the block
// takes the columns r, r + R, ..., kAhead of them under way at once.
template <class T, class G>
__device__ __forceinline__ dev::OnlineSoftmax<dev::Acc<T>> strided_sums(const T* x, G grad_at,
                                                                        long long cols,
                                                                        long long inner,
                                                                        bool live) {
  using A = dev::Acc<T>;
  constexpr int kAhead = sizeof(T) == 8 ? 1 : 4;  // double would spill
  __shared__ A parts[3][16][32];
  dev::OnlineSoftmax<A> sums;
  const int step = blockDim.y;
  if (live)
    for (long long c = threadIdx.y; c < cols; c += kAhead * step) {
      A v[kAhead], g[kAhead];
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        const long long at = c + u * step;
        v[u] = at < cols ? dev::load(x[at * inner]) : A(-dev::inf());
        g[u] = at < cols ? grad_at(at) : A(0);
      }
      sums.add(v, g);
    }
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
  if (!live) return;
  constexpr int kAhead = sizeof(T) == 8 ? 1 : 8;
  const int step = blockDim.y;
  for (long long c = threadIdx.y; c < cols; c += kAhead * step) {
    T v[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
      if (c + u * step < cols) v[u] = x[start + (c + u * step) * inner];
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
      if (c + u * step < cols)
        y[start + (c + u * step) * inner] =
            dev::store<T>(dev::exp_of(dev::load(v[u]) - sums.m) * inverse);
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
  if (!live) return;
  if constexpr (sizeof(T) == 8) {  // exp is a call: the fewer values outlive it the better
    for (long long c = threadIdx.y; c < cols; c += blockDim.y) {
      const long long at = start + c * inner;
      const A share = dev::exp_of(dev::load(x[at]) - sums.m) * inverse;
      dx[at] = dev::store<T>(share * (dev::load(g[at]) - dot));
    }
    return;
  }
  constexpr int kAhead = 4;
  const int step = blockDim.y;
  for (long long c = threadIdx.y; c < cols; c += kAhead * step) {
    T v[kAhead], w[kAhead];
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
      if (c + u * step < cols) {
        v[u] = x[start + (c + u * step) * inner];
        w[u] = g[start + (c + u * step) * inner];
      }
#pragma unroll
    for (int u = 0; u < kAhead; ++u)
      if (c + u * step < cols) {
        const A share = dev::exp_of(dev::load(v[u]) - sums.m) * inverse;
        dx[start + (c + u * step) * inner] = dev::store<T>(share * (dev::load(w[u]) - dot));
      }
  }
}
EXPORT_FLOATING(softmax_backward_strided)
