// Matrix products where the vendor library is absent, declines, or is not wanted; and the sum over
// broadcast batches that gradients of matmul need.
#include "prelude.cuh"

namespace dev {

inline constexpr int kTile = 64;   // C tile of a block: 64 x 64
inline constexpr int kDepth = 16;  // of k at a time
inline constexpr int kEach = 4;    // C patch of a thread: 4 x 4

// tile[d][i] = element (first + i, k0 + d) of an operand with the given strides, 0 outside. 256
// threads walk along the dim whose stride is 1, so that a warp's reads are coalesced.
template <class T>
__device__ __forceinline__ void load_tile(Acc<T> (*tile)[kTile + 1], const T* from, long long first,
                                          long long k0, long long extent, long long k,
                                          long long stride, long long k_stride) {
  for (int e = threadIdx.x; e < kTile * kDepth; e += 256) {
    const int i = k_stride == 1 ? e / kDepth : e % kTile;
    const int d = k_stride == 1 ? e % kDepth : e / kTile;
    const bool inside = first + i < extent && k0 + d < k;
    tile[d][i] = inside ? load(from[(first + i) * stride + (k0 + d) * k_stride]) : Acc<T>(0);
  }
}

}  // namespace dev

// C = alpha * A * B + beta * C for each batch; accumulated in float (double for double) and rounded
// once. One block per 64 x 64 tile of C, tiles numbered through all batches. A and B are read
// n / 64 and m / 64 times. C is not read when beta is 0.
template <class T, class Out>
__global__ void __launch_bounds__(256)
    gemm_tiled(const T* a, const T* b, Out* c, const __grid_constant__ flame_params::Gemm p) {
  using A = dev::Acc<T>;
  using namespace dev;
  __shared__ A tile_a[kDepth][kTile + 1], tile_b[kDepth][kTile + 1];
  const long long tiles_n = (p.n + kTile - 1) / kTile, tiles_m = (p.m + kTile - 1) / kTile;
  long long tile = blockIdx.x;
  const long long col0 = tile % tiles_n * kTile;
  tile /= tiles_n;
  const long long row0 = tile % tiles_m * kTile;
  const long long batch = tile / tiles_m;
  a += batch * p.a_batch, b += batch * p.b_batch, c += batch * p.c_batch;

  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  A sum[kEach][kEach] = {};
  for (long long k0 = 0; k0 < p.k; k0 += kDepth) {
    load_tile(tile_a, a, row0, k0, p.m, p.k, p.a_row, p.a_col);
    load_tile(tile_b, b, col0, k0, p.n, p.k, p.b_col, p.b_row);
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      A left[kEach], right[kEach];
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        left[i] = tile_a[d][ty + 16 * i];
        right[i] = tile_b[d][tx + 16 * i];
      }
#pragma unroll
      for (int i = 0; i < kEach; ++i)
#pragma unroll
        for (int j = 0; j < kEach; ++j) sum[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i)
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const long long row = row0 + ty + 16 * i, col = col0 + tx + 16 * j;
      if (row >= p.m || col >= p.n) continue;
      Out& out = c[row * p.c_row + col];
      A value = A(p.alpha) * sum[i][j];
      if (p.beta != 0) value += A(p.beta) * load(out);
      out = store<Out>(value);
    }
}
DEV_EXPORT(gemm_tiled<float, float>)
DEV_EXPORT(gemm_tiled<double, double>)
DEV_EXPORT(gemm_tiled<__half, __half>)
DEV_EXPORT(gemm_tiled<__half, float>)
DEV_EXPORT(gemm_tiled<__nv_bfloat16, __nv_bfloat16>)
DEV_EXPORT(gemm_tiled<__nv_bfloat16, float>)

// Reads 16-byte vectors, all zero, so that the cache holds these and nothing else. It would write
// if one were not zero, which the compiler cannot know. Memory traffic: vectors * 16 read.
__global__ void __launch_bounds__(256)
    gemm_displace(const float4* from, float* to, long long vectors) {
  const long long step = dev::global_threads();
  float seen = 0;
  for (long long i = dev::global_thread(); i < vectors; i += 4 * step) {
    float4 part[4];
#pragma unroll
    for (int k = 0; k < 4; ++k)
      part[k] = i + k * step < vectors ? from[i + k * step] : make_float4(0, 0, 0, 0);
#pragma unroll
    for (int k = 0; k < 4; ++k) seen += (part[k].x + part[k].y) + (part[k].z + part[k].w);
  }
  if (seen != 0) to[0] = seen;
}
DEV_EXPORT(gemm_displace)

// to[i] = the sum of `from` over the dims that an operand was broadcast along, in their order; one
// rounding. `from` is in the accumulator's type. Reads `from` once, coalesced along the kept dims.
template <class T>
__global__ void __launch_bounds__(256)
    gemm_batch_sum(const dev::Acc<T>* from, T* to,
                   const __grid_constant__ flame_params::BatchSum p) {
  for (long long i = dev::global_thread(); i < p.kept.numel; i += dev::global_threads()) {
    long long rest = i, start = 0;
    for (int d = p.kept.rank - 1; d >= 0; --d) {
      const long long outer = dev::divide(rest, p.kept.size[d]);
      start += (rest - outer * p.kept.size[d]) * p.kept_stride[d];
      rest = outer;
    }
    dev::Acc<T> sum = 0;
    for (long long r = 0; r < p.summed.numel; ++r) {
      long long left = r, at = start;
      for (int d = p.summed.rank - 1; d >= 0; --d) {
        const long long outer = dev::divide(left, p.summed.size[d]);
        at += (left - outer * p.summed.size[d]) * p.summed_stride[d];
        left = outer;
      }
      sum += from[at];
    }
    to[i] = dev::store<T>(sum);
  }
}
EXPORT_FLOATING(gemm_batch_sum)
