// Fixed probes: what the machine can do, measured in every run by code that no op shares, so that a
// machine that changed is told from code that changed.
#include "prelude.cuh"

namespace dev {

// 16-byte loads in flight per thread: enough to fill the memory pipeline at full occupancy.
constexpr int kInFlight = 4;

}  // namespace dev

// The block's sum into its place.
__device__ __forceinline__ void leave_sum(float sum, float* __restrict__ sums) {
  __shared__ float warp_sums[32];
#pragma unroll
  for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (unsigned w = 1; w < blockDim.x / 32; ++w) sum += warp_sums[w];
  sums[blockIdx.x] = sum;
}

// Reads `vectors` float4 once and writes one float a block. Memory traffic: vectors * 16 read.
__global__ void __launch_bounds__(256)
    probe_read(const float4* __restrict__ from, float* __restrict__ sums, long long vectors) {
  const long long step = dev::global_threads();
  float sum = 0;
  for (long long i = dev::global_thread(); i < vectors; i += step * dev::kInFlight) {
    float4 v[dev::kInFlight];
#pragma unroll
    for (int u = 0; u < dev::kInFlight; ++u)
      v[u] = i + u * step < vectors ? from[i + u * step] : make_float4(0, 0, 0, 0);
#pragma unroll
    for (int u = 0; u < dev::kInFlight; ++u) sum += (v[u].x + v[u].y) + (v[u].z + v[u].w);
  }
  leave_sum(sum, sums);
}
DEV_EXPORT(probe_read)

// The same, one tile of neighbouring vectors a block: no block is late because it had more to do.
template <int kThreads, int kLoads>
__global__ void __launch_bounds__(kThreads)
    probe_read_tile(const float4* __restrict__ from, float* __restrict__ sums, long long vectors) {
  const long long first = (long long)blockIdx.x * kThreads * kLoads + threadIdx.x;
  float4 v[kLoads];
#pragma unroll
  for (int u = 0; u < kLoads; ++u)
    v[u] = first + u * kThreads < vectors ? from[first + u * kThreads] : make_float4(0, 0, 0, 0);
  float sum = 0;
#pragma unroll
  for (int u = 0; u < kLoads; ++u) sum += (v[u].x + v[u].y) + (v[u].z + v[u].w);
  leave_sum(sum, sums);
}
DEV_EXPORT(probe_read_tile<256, 2>)
DEV_EXPORT(probe_read_tile<512, 4>)

// to[...] = from[...]. Memory traffic: vectors * 32.
__global__ void __launch_bounds__(256)
    probe_copy(const float4* __restrict__ from, float4* __restrict__ to, long long vectors) {
  const long long first = (long long)blockIdx.x * 256 * dev::kInFlight + threadIdx.x;
  float4 v[dev::kInFlight];
#pragma unroll
  for (int u = 0; u < dev::kInFlight; ++u)
    if (first + u * 256 < vectors) v[u] = from[first + u * 256];
#pragma unroll
  for (int u = 0; u < dev::kInFlight; ++u)
    if (first + u * 256 < vectors) to[first + u * 256] = v[u];
}
DEV_EXPORT(probe_copy)

// The same, one vector a thread.
__global__ void __launch_bounds__(256)
    probe_copy_one(const float4* __restrict__ from, float4* __restrict__ to, long long vectors) {
  const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
  if (i < vectors) to[i] = from[i];
}
DEV_EXPORT(probe_copy_one)

// Memory traffic: vectors * 16 written.
__global__ void __launch_bounds__(256) probe_fill(float4* __restrict__ to, long long vectors) {
  const long long i = (long long)blockIdx.x * 256 + threadIdx.x;
  if (i < vectors) to[i] = make_float4(1, 2, 3, 4);
}
DEV_EXPORT(probe_fill)

// Keeps one warp busy without touching memory, so that the host can queue what is timed behind it:
// a chain of dependent multiply-adds, 4 cycles each on sm_80 to sm_100.
__global__ void probe_spin(float* out, long long rounds) {
  float x = (float)rounds;  // tends to 1
  for (long long i = 0; i < rounds; ++i) x = fmaf(x, 0.5f, 0.5f);
  if (x < 0) *out = x;  // never, and no compiler knows
}
DEV_EXPORT(probe_spin)

// The least a launch can be.
__global__ void probe_nothing() {}
DEV_EXPORT(probe_nothing)
