// Sums and maxima over any set of dims and any strides, of terms computed on the fly, accumulated
// in the accumulator type and rounded once. Two shapes of a block, chosen by the host
// (lib/ops/reduce_plan.h):
//   rows     adjacent threads take adjacent elements of one output (reduced dims are contiguous)
//   columns  adjacent threads take adjacent outputs (kept dims are contiguous)
// blockDim is (lanes, groups) or (groups, lanes): a group makes one output (in vectorised columns
// V), its lanes share the elements. Where outputs are few, gridDim.y splits share them too, and
// reduce_finish adds up their partial results. All sizes are fixed by the shapes: no atomics, the
// same result every time.
//
// An Op states kInputs, Out<T>, start(), term(values..., numbers) and combine(a, b).
#pragma once
#include "elementwise.cuh"

namespace dev {

using flame_params::ReduceOperand;
using flame_params::Reduction;

// Terms that are summed.
struct Summed {
  template <class T>
  using Out = T;
  // The type of operand k in memory.
  template <class T, int k>
  using In = T;
  template <class A>
  static __device__ A start() {
    return A(0);
  }
  template <class A>
  static __device__ A combine(A a, A b) {
    return a + b;
  }
};

// Adds to offset[k] where step `index` of operand k lies, by its kept or its reduced strides.
template <bool kKept>
__device__ __forceinline__ void locate_in(const Reduction& r, int inputs, long long index,
                                          long long* offset) {
  const Extent& extent = kKept ? r.kept : r.reduced;
  for (int d = extent.rank - 1; d >= 0; --d) {
    const long long outer = d > 0 ? quotient(extent, d, index) : 0;
    const long long at = index - outer * extent.size[d];
#pragma unroll
    for (int k = 0; k < 3; ++k)
      if (k < inputs) offset[k] += at * (kKept ? r.in[k].kept[d] : r.in[k].reduced[d]);
    index = outer;
  }
}

__device__ __forceinline__ float as_value(float v) { return v; }
__device__ __forceinline__ double as_value(double v) { return v; }
__device__ __forceinline__ float as_value(__half v) { return load(v); }
__device__ __forceinline__ float as_value(__nv_bfloat16 v) { return load(v); }
__device__ __forceinline__ float as_value(unsigned char v) { return v != 0; }

// V elements of operand k at one step, as values.
template <class T, int V, class A>
__device__ __forceinline__ void values_of(const ReduceOperand& in, long long offset, bool splat,
                                          long long count, A (&out)[V]) {
  const Vec<T, V> raw = fetch<T, V>(in.data, offset, splat, count);
#pragma unroll
  for (int j = 0; j < V; ++j) out[j] = in.data == nullptr ? A(in.scalar) : A(as_value(raw.v[j]));
}

// Folds the elements at one step into acc[V].
template <class Op, class T, int V, class A>
__device__ __forceinline__ void fold(const Reduction& r, const long long* offset, int inner,
                                     long long count, A (&acc)[V]) {
  A a[V], b[V], c[V];
  auto splat = [&](const ReduceOperand& in) {
    return (r.columns ? in.kept[inner] : in.reduced[inner]) == 0;
  };
  values_of<typename Op::template In<T, 0>, V>(r.in[0], offset[0], splat(r.in[0]), count, a);
  if constexpr (Op::kInputs > 1)
    values_of<typename Op::template In<T, 1>, V>(r.in[1], offset[1], splat(r.in[1]), count, b);
  if constexpr (Op::kInputs > 2)
    values_of<typename Op::template In<T, 2>, V>(r.in[2], offset[2], splat(r.in[2]), count, c);
#pragma unroll
  for (int j = 0; j < V; ++j) {
    if (j >= count) continue;
    if constexpr (Op::kInputs == 1)
      acc[j] = Op::combine(acc[j], Op::term(a[j]));
    else if constexpr (Op::kInputs == 2)
      acc[j] = Op::combine(acc[j], Op::term(a[j], b[j]));
    else
      acc[j] = Op::combine(acc[j], Op::term(a[j], b[j], c[j], r.numbers));
  }
}

// Combines over the lanes of a group; the result is lane 0's. shared: blockDim.x * blockDim.y * W.
template <class Op, int W, class A>
__device__ __forceinline__ void combine_lanes(A* acc, int lane, int lanes, int group, int groups) {
  A* shared = dyn_shared<A>();
  A* mine = shared + (lane * groups + group) * W;
#pragma unroll
  for (int j = 0; j < W; ++j) mine[j] = acc[j];
  for (int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) {
#pragma unroll
      for (int j = 0; j < W; ++j) mine[j] = Op::combine(mine[j], mine[half * groups * W + j]);
    }
  }
#pragma unroll
  for (int j = 0; j < W; ++j) acc[j] = mine[j];
}

}  // namespace dev

// out[o] = combination of the terms of output o, / divisor; partial[o * splits + split] where there
// are splits. lanes is a power of two; dynamic shared memory: 256 accumulators, in columns 256 * V.
// Memory traffic: every operand once, out once.
template <class Op, class T, int V>
__global__ void __launch_bounds__(dev::kThreads)
    reduce(const __grid_constant__ flame_params::Reduction r, typename Op::template Out<T>* out,
           dev::Acc<T>* partial) {
  using A = dev::Acc<T>;
  const int lane = r.columns ? threadIdx.y : threadIdx.x;
  const int lanes = r.columns ? blockDim.y : blockDim.x;
  const int group = r.columns ? threadIdx.x : threadIdx.y;
  const int groups = r.columns ? blockDim.x : blockDim.y;
  const long long output = ((long long)blockIdx.x * groups + group) * (r.columns ? V : 1);
  const long long outputs = r.kept.numel;

  A acc[V];
#pragma unroll
  for (int j = 0; j < V; ++j) acc[j] = Op::template start<A>();
  if (output < outputs) {
    long long base[3] = {};
    dev::locate_in<true>(r, Op::kInputs, r.columns ? output / V : output, base);
    const int inner = (r.columns ? r.kept.rank : r.reduced.rank) - 1;
    const long long steps = r.columns ? r.reduced.numel : (r.reduced.numel + V - 1) / V;
    const long long begin = blockIdx.y * r.chunk;
    const long long end = min(begin + r.chunk, steps);

    for (long long i = begin + lane; i < end; i += lanes) {
      long long offset[3] = {base[0], base[1], base[2]};
      dev::locate_in<false>(r, Op::kInputs, i, offset);
      dev::fold<Op, T, V>(r, offset, inner, r.columns ? outputs - output : r.reduced.numel - i * V,
                          acc);
    }
  }
  if (r.columns) {
    dev::combine_lanes<Op, V>(acc, lane, lanes, group, groups);
  } else {
#pragma unroll
    for (int j = 1; j < V; ++j) acc[0] = Op::combine(acc[0], acc[j]);
    dev::combine_lanes<Op, 1>(acc, lane, lanes, group, groups);
  }
  if (lane != 0) return;
#pragma unroll
  for (int j = 0; j < V; ++j) {
    if (output + j >= outputs || (j > 0 && !r.columns)) continue;
    if (r.splits > 1)
      partial[(output + j) * r.splits + blockIdx.y] = acc[j];
    else
      out[output + j] = dev::store<typename Op::template Out<T>>(acc[j] / A(r.divisor));
  }
}

// out[o] = combination of partial[o][0..splits), / divisor. blockDim (32, 8): a warp an output.
template <class Op, class T>
__global__ void __launch_bounds__(dev::kThreads)
    reduce_finish(const dev::Acc<T>* partial, typename Op::template Out<T>* out,
                  const long long outputs, const int splits, const double divisor) {
  using A = dev::Acc<T>;
  const long long output = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  A acc = Op::template start<A>();
  if (output < outputs)
    for (int i = threadIdx.x; i < splits; i += 32)
      acc = Op::combine(acc, partial[output * splits + i]);
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    acc = Op::combine(acc, __shfl_down_sync(0xffffffffu, acc, distance));
  if (output < outputs && threadIdx.x == 0)
    out[output] = dev::store<typename Op::template Out<T>>(acc / A(divisor));
}

#define EXPORT_REDUCE_OF(T, V, ...)     \
  DEV_EXPORT(reduce<__VA_ARGS__, T, V>) \
  DEV_EXPORT(reduce_finish<__VA_ARGS__, T>)
// An op whose loads need no vectors: its operands' strides seldom agree.
#define EXPORT_REDUCE(...)                 \
  EXPORT_REDUCE_OF(float, 1, __VA_ARGS__)  \
  EXPORT_REDUCE_OF(double, 1, __VA_ARGS__) \
  EXPORT_REDUCE_OF(__half, 1, __VA_ARGS__) \
  EXPORT_REDUCE_OF(__nv_bfloat16, 1, __VA_ARGS__)
