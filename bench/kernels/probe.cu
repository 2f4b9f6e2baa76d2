// Fixed probes: what the machine can do, measured in every run by code that no op shares, so that a
// machine that changed is told from code that changed.
#include "prelude.cuh"

namespace dev {

// 16-byte loads in flight per thread: enough to fill the memory pipeline at full occupancy.
constexpr int kInFlight = 4;

}  // namespace dev

// Reads `vectors` float4 once and writes one float a block. Memory traffic: vectors * 16 read.
__global__ void __launch_bounds__(256)
    probe_read(const float4* __restrict__ from, float* __restrict__ sums, long long vectors) {
  __shared__ float warp_sums[8];
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
#pragma unroll
  for (int o = 16; o; o >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, o);
  if (threadIdx.x % 32 == 0) warp_sums[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < 8; ++w) sum += warp_sums[w];
    sums[blockIdx.x] = sum;
  }
}
DEV_EXPORT(probe_read)

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
