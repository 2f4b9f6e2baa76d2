// Reductions over the threads of a warp, of a block, or of whichever of the two holds one row.
// Deterministic: the order of the operations depends on the block's shape alone.
#pragma once
#include "prelude.cuh"

namespace dev {

struct AddOp {
  template <class A>
  __device__ __forceinline__ A operator()(A a, A b) const {
    return a + b;
  }
};
// The larger; NaN only if both are (the sums that follow a maximum carry NaN on their own).
__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double larger(double a, double b) { return fmax(a, b); }
struct MaxOp {
  template <class A>
  __device__ __forceinline__ A operator()(A a, A b) const {
    return larger(a, b);
  }
};

__device__ __forceinline__ float exp_of(float v) { return expf(v); }
__device__ __forceinline__ double exp_of(double v) { return exp(v); }
__device__ __forceinline__ float sqrt_of(float v) { return sqrtf(v); }
__device__ __forceinline__ double sqrt_of(double v) { return sqrt(v); }

// All 32 lanes get the result, bit for bit the same one: a butterfly of a commutative operation.
template <class Op, class A>
__device__ __forceinline__ A warp_reduce(A v, Op op) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) v = op(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}

// All threads of a block of 32, 64, ..., 1024 threads (threadIdx.x only) get the result.
template <class Op, class A>
__device__ __forceinline__ A block_reduce(A v, A identity, Op op) {
  __shared__ A part[32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  v = warp_reduce(v, op);
  __syncthreads();  // `part` may still be read by an earlier call
  if (lane == 0) part[warp] = v;
  __syncthreads();
  return warp_reduce(lane < warps ? part[lane] : identity, op);
}

// One row per warp when blockDim.x is 32 (threadIdx.y then tells the rows apart), else per block.
template <class Op, class A>
__device__ __forceinline__ A row_reduce(A v, A identity, Op op) {
  return blockDim.x == 32 ? warp_reduce(v, op) : block_reduce(v, identity, op);
}
template <class A>
__device__ __forceinline__ A row_sum(A v) {
  return row_reduce(v, A(0), AddOp{});
}
template <class A>
__device__ __forceinline__ A row_max(A v) {
  return row_reduce(v, A(-inf()), MaxOp{});
}

// Both sums at the cost of one barrier; once in a kernel.
template <class A>
__device__ __forceinline__ void row_sum_two(A& a, A& b) {
  a = warp_reduce(a, AddOp{});
  b = warp_reduce(b, AddOp{});
  if (blockDim.x == 32) return;
  __shared__ A part[2][32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  if (lane == 0) {
    part[0][warp] = a;
    part[1][warp] = b;
  }
  __syncthreads();
  a = warp_reduce(lane < warps ? part[0][lane] : A(0), AddOp{});
  b = warp_reduce(lane < warps ? part[1][lane] : A(0), AddOp{});
}

}  // namespace dev
