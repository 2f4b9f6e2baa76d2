// Kernels with one bug each. Tests expect the line numbers of the marked lines.
#include "prelude.cuh"

__global__ void missing_barrier(const float* x, float* y, int n) {
  __shared__ float s[256];
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[n - 1 - int(threadIdx.x)];  // MARK missing_barrier
}
DEV_EXPORT(missing_barrier)

// The second barrier of a tile loop is missing: a fast thread overwrites what a slow one still
// reads.
__global__ void missing_second_barrier(const float* x, float* y, int n) {
  __shared__ float s[128];
  float sum = 0;
  for (int k = 0; k < n; k += 128) {
    s[threadIdx.x] = x[k + threadIdx.x];  // MARK missing_second_barrier
    __syncthreads();
    for (int j = 0; j < 128; ++j) sum += s[j] * float(1 + (j ^ int(threadIdx.x)));
  }
  y[threadIdx.x] = sum;
}
DEV_EXPORT(missing_second_barrier)

__global__ void missing_warp_barrier(const float* x, float* y) {
  __shared__ float s[32];
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[31 - threadIdx.x];  // MARK missing_warp_barrier
}
DEV_EXPORT(missing_warp_barrier)

__global__ void write_past_end(const float* x, float* y, int n) {
  const int i = int(dev::global_thread());
  if (i <= n) y[i] = i < n ? x[i] : 0.0f;  // MARK write_past_end
}
DEV_EXPORT(write_past_end)

__global__ void read_past_end(const float* x, float* y, int n) {
  const int i = int(dev::global_thread());
  if (i < n) y[i] = x[i + 1];  // MARK read_past_end
}
DEV_EXPORT(read_past_end)

__global__ void write_before_start(float* y, int n) {
  const int i = int(dev::global_thread());
  if (i < n) y[i - 1] = 0;  // MARK write_before_start
}
DEV_EXPORT(write_before_start)

__global__ void unwritten_tail(const float* x, float* y, int n) {
  const int i = int(dev::global_thread());
  if (i + 1 < n) y[i] = x[i];
}
DEV_EXPORT(unwritten_tail)

__global__ void divergent_barrier(float* y) {
  if (threadIdx.x < 40)
    __syncthreads();
  else
    __syncwarp();
  if (threadIdx.x >= 40) y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0f, 16);
}
DEV_EXPORT(divergent_barrier)

__global__ void exit_before_barrier(float* y) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  y[threadIdx.x] = 1;
}
DEV_EXPORT(exit_before_barrier)

__global__ void lanes_disagree(float* y) {
  float v = 1;
  if (threadIdx.x < 16)
    v = __shfl_xor_sync(0xffffffffu, v, 1);
  else
    __syncwarp();
  y[threadIdx.x] = v;
}
DEV_EXPORT(lanes_disagree)

__global__ void shuffle_outside_mask(float* y) {
  if (threadIdx.x < 16)
    y[threadIdx.x] = __shfl_sync(0xffffu, 1.0f, 20);  // MARK shuffle_outside_mask
}
DEV_EXPORT(shuffle_outside_mask)

__global__ void mask_without_caller(float* y) { y[threadIdx.x] = __shfl_sync(0xfffeu, 1.0f, 1); }
DEV_EXPORT(mask_without_caller)

__global__ void lost_update(const float* v, float* out) {
  out[0] += v[threadIdx.x];  // MARK lost_update
}
DEV_EXPORT(lost_update)

// Blocks of one launch hand a value on: nothing orders them.
__global__ void chained_blocks(float* y) {
  if (threadIdx.x == 0) y[blockIdx.x + 1] = y[blockIdx.x] + 1;  // MARK chained_blocks
}
DEV_EXPORT(chained_blocks)

// A counter says who comes last, but without a fence not that what the others wrote is there.
__global__ void missing_fence(const float* x, float* partial, unsigned* ticket, float* out,
                              bool before, bool after) {
  __shared__ bool last;
  partial[dev::global_thread()] = x[dev::global_thread()];
  __syncthreads();
  if (threadIdx.x == 0) {
    if (before) __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    if (after) __threadfence();
  }
  __syncthreads();
  if (!last || threadIdx.x != 32) return;
  float sum = 0;
  for (int i = 0; i < int(dev::global_threads()); ++i) sum += partial[i];  // MARK missing_fence
  out[0] = sum;
}
DEV_EXPORT(missing_fence)

// The same with its barrier after the write missing: thread 0's fence is too early for the others.
__global__ void fence_before_barrier(const float* x, float* partial, unsigned* ticket, float* out) {
  __shared__ bool last;
  partial[dev::global_thread()] = x[dev::global_thread()];
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last || threadIdx.x != 0) return;
  float sum = 0;
  for (int i = 0; i < int(dev::global_threads()); ++i)
    sum += partial[i];  // MARK fence_before_barrier
  out[0] = sum;
}
DEV_EXPORT(fence_before_barrier)

__global__ void reads_unwritten(const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x] + 1;  // MARK reads_unwritten
}
DEV_EXPORT(reads_unwritten)

__global__ void misaligned_vector(const float* x, float* y) {
  const float4* from = reinterpret_cast<const float4*>(x + 1);
  float4* to = reinterpret_cast<float4*>(y);
  *to = *from;  // MARK misaligned_vector
}
DEV_EXPORT(misaligned_vector)

__global__ void past_dynamic_shared(float* y) {
  float* s = dyn_shared<float>();
  s[threadIdx.x] = 1;  // MARK past_dynamic_shared
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}
DEV_EXPORT(past_dynamic_shared)

__device__ __noinline__ float deep(float* y, int n) {
  volatile float local[64];
  local[0] = y[0] + float(n);
  return n == 0 ? local[0] : deep(y, n - 1) + local[0];
}
__global__ void stack_overflow(float* y) { y[0] = deep(y, 1000000); }
DEV_EXPORT(stack_overflow)

__global__ void divide_by_zero(int* y, int d) { y[threadIdx.x] = 7 / d; }
DEV_EXPORT(divide_by_zero)

__global__ void traps(float* y, int at) {
  if (int(threadIdx.x) == at) __trap();  // MARK traps
  y[threadIdx.x] = 1;
}
DEV_EXPORT(traps)
