// Kernels without a bug, one for each way that threads work together.
#include "prelude.cuh"

__global__ void __launch_bounds__(256) add(const float* __restrict__ a, const float* __restrict__ b,
                                           float* __restrict__ c, long long n) {
  const long long i = dev::global_thread() * 4;
  if (i + 4 <= n) {
    const float4 x = __ldg(reinterpret_cast<const float4*>(a + i));
    const float4 y = __ldg(reinterpret_cast<const float4*>(b + i));
    *reinterpret_cast<float4*>(c + i) = make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
  } else {
    for (long long j = i; j < n; ++j) c[j] = a[j] + b[j];
  }
}
DEV_EXPORT(add)

template <class T>
__device__ T warp_sum(T v) {
#pragma unroll
  for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  return v;
}

template <int kThreads>
__device__ float block_sum(float v) {
  __shared__ float part[kThreads / 32];
  v = warp_sum(v);
  __syncthreads();
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  float r = 0;
  for (int w = 0; w < kThreads / 32; ++w) r += part[w];
  return r;
}

template <int kThreads>
__global__ void block_sums(const float* x, float* out, long long n) {
  float v = 0;
  for (long long i = dev::global_thread(); i < n; i += dev::global_threads()) v += x[i];
  v = block_sum<kThreads>(v);
  if (threadIdx.x == 0) out[blockIdx.x] = v;
}
DEV_EXPORT(block_sums<256>)

// The last block to come adds up what all wrote: fences on both sides of the counter.
__global__ void sum_by_last(const float* x, float* partial, unsigned* ticket, float* out) {
  __shared__ bool last;
  partial[dev::global_thread()] = x[dev::global_thread()];
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    if (last) atomicExch(ticket, 0u);
    __threadfence();
  }
  __syncthreads();
  if (!last || threadIdx.x != 32) return;
  float sum = 0;
  for (int i = 0; i < int(dev::global_threads()); ++i) sum += partial[i];
  out[0] = sum;
}
DEV_EXPORT(sum_by_last)

// One block a row, the row kept in dynamic shared memory.
template <class T, int kThreads>
__global__ void row_softmax(const T* x, T* y, int columns) {
  float* row = dyn_shared<float>();
  __shared__ float most[kThreads / 32];
  x += (long long)blockIdx.x * columns;
  y += (long long)blockIdx.x * columns;
  float m = -dev::inf();
  for (int i = threadIdx.x; i < columns; i += kThreads) {
    row[i] = dev::load(x[i]);
    m = fmaxf(m, row[i]);
  }
  for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, o));
  if (threadIdx.x % 32 == 0) most[threadIdx.x / 32] = m;
  __syncthreads();
  for (int w = 0; w < kThreads / 32; ++w) m = fmaxf(m, most[w]);
  float s = 0;
  for (int i = threadIdx.x; i < columns; i += kThreads) s += row[i] = expf(row[i] - m);
  s = block_sum<kThreads>(s);
  for (int i = threadIdx.x; i < columns; i += kThreads) y[i] = dev::store<T>(row[i] / s);
}
DEV_EXPORT(row_softmax<float, 128>)
DEV_EXPORT(row_softmax<__nv_bfloat16, 128>)

template <int kTile>
__global__ void tiled_matmul(const float* a, const float* b, float* c, int m, int n, int k) {
  __shared__ float as[kTile][kTile + 1], bs[kTile][kTile + 1];
  const int tx = threadIdx.x, ty = threadIdx.y;
  const int row = blockIdx.y * kTile + ty, column = blockIdx.x * kTile + tx;
  float sum = 0;
  for (int at = 0; at < k; at += kTile) {
    as[ty][tx] = row < m && at + tx < k ? a[row * k + at + tx] : 0.0f;
    bs[ty][tx] = column < n && at + ty < k ? b[(at + ty) * n + column] : 0.0f;
    __syncthreads();
    for (int j = 0; j < kTile; ++j) sum += as[ty][j] * bs[j][tx];
    __syncthreads();
  }
  if (row < m && column < n) c[row * n + column] = sum;
}
DEV_EXPORT(tiled_matmul<16>)

// A struct by value.
struct Affine {
  float scale, shift;
  int n;
};
__global__ void affine(const float* x, float* y, const __grid_constant__ Affine p) {
  const long long i = dev::global_thread();
  if (i < p.n) y[i] = p.scale * x[i] + p.shift;
}
DEV_EXPORT(affine)

// Integer atomics: the only ones whose result does not depend on the order.
__global__ void histogram(const int* values, int* counts, unsigned long long* sum, int n) {
  const int i = int(dev::global_thread());
  if (i >= n) return;
  atomicAdd(&counts[values[i]], 1);
  atomicAdd(sum, (unsigned long long)values[i]);
}
DEV_EXPORT(histogram)

// Neighbouring threads write neighbouring bytes.
__global__ void is_positive(const float* x, unsigned char* y, int n) {
  const int i = int(dev::global_thread());
  if (i < n) y[i] = x[i] > 0;
}
DEV_EXPORT(is_positive)

__global__ void no_arguments() { __syncthreads(); }
DEV_EXPORT(no_arguments)

// cp.async through the simulator's model of it; `groups` of two are waited for.
__global__ void async_reverse(const float* x, float* y, int groups) {
  __shared__ __align__(16) float s[2][128];
  const int t = int(threadIdx.x);
  for (int g = 0; g < 2; ++g) {
    if (t < 32) simcu::async_copy(&s[g][4 * t], x + 128 * g + 4 * t, 16, simcu::Loc::current());
    simcu::async_commit();
  }
  simcu::async_wait(unsigned(2 - groups));
  __syncthreads();
  for (int g = 0; g < groups; ++g) y[128 * g + t] = s[g][127 - t];
}
DEV_EXPORT(async_reverse)
