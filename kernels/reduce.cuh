// Sums and maxima over any set of dims and any strides, of terms computed on the fly, accumulated
// in the accumulator type and rounded once. Two shapes of a block, chosen by the host
// (lib/ops/reduce_plan.h):
//   rows     adjacent threads take adjacent elements of one output (reduced dims are contiguous)
//   columns  adjacent threads take adjacent outputs (kept dims are contiguous)
// blockDim is (lanes, groups) or (groups, lanes): a group makes one output (in vectorised columns
// V), its lanes share the elements, kInFlight loads at a time. Where outputs are few, gridDim.y
// splits share them too, and reduce_finish adds up their partial results. All sizes are fixed by
// the shapes: no atomics, the same result every time.
//
// Operands: one or two streams, read as vectors where all are contiguous there, and (kOwn) a third
// that has one element for each output. An Op states kStreams, kOwn, State<A> (what a lane
// carries), start(), fold(state, first[, second][, own, numbers]), combine(a, b) and finish(state,
// divisor, output, out, second result).
#pragma once
#include "reduce_walk.cuh"

namespace dev {

// Combines over the lanes of a group, neighbouring threads of the block; the result is lane 0's.
// The block is one or more whole warps. shared: a state a warp.
template <class Op, class S>
__device__ __forceinline__ S combine_row(S v, int lane, int lanes, int group) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    if (distance < lanes) v = Op::combine(v, shuffle(v, distance));
  if (lanes <= 32) return v;
  S* shared = dyn_shared<S>();
  const int warps = lanes / 32;
  const int first = group * warps;
  if (lane % 32 == 0) shared[first + lane / 32] = v;
  __syncthreads();
  if (lane == 0)
    for (int w = 1; w < warps; ++w) v = Op::combine(v, shared[first + w]);
  return v;
}

// Combines over the lanes (threadIdx.y) of each group's V columns, and gives column c of the block
// to use(c, state). shared: blockDim.x * blockDim.y * V.
template <class Op, int V, class S, class Use>
__device__ __forceinline__ void combine_columns(const S (&acc)[V], Use use) {
  constexpr int kSerial = 8;
  S* shared = dyn_shared<S>();
  const int columns = blockDim.x * V;
  const int thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int j = 0; j < V; ++j) shared[thread * V + j] = acc[j];
  __syncthreads();
  int lanes = blockDim.y;
  for (; lanes > kSerial; lanes /= 2) {
    const int half = lanes / 2 * columns;
    for (int c = thread; c < half; c += blockDim.x * blockDim.y)
      shared[c] = Op::combine(shared[c], shared[half + c]);
    __syncthreads();
  }
  for (int c = thread; c < columns; c += blockDim.x * blockDim.y) {
    S total = shared[c];
    for (int lane = 1; lane < lanes; ++lane) total = Op::combine(total, shared[lane * columns + c]);
    use(c, total);
  }
}

template <class Op, class T, int V, bool kPlain>
__device__ __forceinline__ void reduce_block(const Reduction& r, T* out, void* partial,
                                             Acc<T>* second) {
  using State = typename Op::template State<Acc<T>>;
  const int wide = r.columns ? V : 1;  // outputs of a group
  const int lane = r.columns ? threadIdx.y : threadIdx.x;
  const int lanes = r.columns ? blockDim.y : blockDim.x;
  const int groups = r.columns ? blockDim.x : blockDim.y;
  const long long first_group = (long long)blockIdx.x * groups;
  const long long group = first_group + (r.columns ? threadIdx.x : threadIdx.y);
  const long long first = first_group * wide, output = group * wide, outputs = r.kept.numel;

  Walk<Op, T, V, kPlain> walk(r, group, output < outputs);
  if (output < outputs) {
    const long long steps = r.columns ? r.reduced.numel : (r.reduced.numel + V - 1) / V;
    const long long begin = blockIdx.y * r.chunk;
    walk.run(begin, min(begin + r.chunk, steps), lane, lanes);
  }
  auto finish = [&](long long o, const State& state) {
    if (o >= outputs) return;
    if (r.splits > 1)
      static_cast<State*>(partial)[blockIdx.y * outputs + o] = state;
    else
      Op::finish(state, r.divisor, o, out, second);
  };
  if (r.columns) {
    combine_columns<Op, V>(walk.acc, [&](int c, const State& state) { finish(first + c, state); });
  } else {
#pragma unroll
    for (int j = 1; j < V; ++j) walk.acc[0] = Op::combine(walk.acc[0], walk.acc[j]);
    const State state = combine_row<Op>(walk.acc[0], lane, lanes, threadIdx.y);
    if (lane == 0) finish(output, state);
  }
}

}  // namespace dev

// out[o] = combination of the terms of output o, / divisor; partial[split * outputs + o] where
// there are splits. lanes and groups are powers of two, in rows together 32 threads or more.
// second: an Op's second result, or null. Dynamic shared memory: in rows a state a warp, in columns
// V states a thread. Memory traffic: every operand once, out once.
template <class Op, class T, int V>
__global__ void __launch_bounds__(dev::kThreads, 2)
    reduce(const __grid_constant__ flame_params::Reduction r, T* out, void* partial,
           dev::Acc<T>* second) {
  dev::reduce_block<Op, T, V, true>(r, out, partial, second);
}

// The same for dims and sizes of any number (V is 1).
template <class Op, class T>
__global__ void __launch_bounds__(dev::kThreads, 2)
    reduce_any(const __grid_constant__ flame_params::Reduction r, T* out, void* partial,
               dev::Acc<T>* second) {
  dev::reduce_block<Op, T, 1, false>(r, out, partial, second);
}

// out[o] = combination of partial[0..splits)[o], / divisor. blockDim is (groups, lanes).
template <class Op, class T>
__global__ void __launch_bounds__(dev::kThreads)
    reduce_finish(const void* partial, T* out, dev::Acc<T>* second, const long long outputs,
                  const int splits, const double divisor) {
  using State = typename Op::template State<dev::Acc<T>>;
  const long long first = (long long)blockIdx.x * blockDim.x;
  const long long output = first + threadIdx.x;
  State acc[1] = {Op::template start<dev::Acc<T>>()};
  if (output < outputs) {
#pragma unroll 4
    for (int i = threadIdx.y; i < splits; i += blockDim.y)
      acc[0] = Op::combine(acc[0], static_cast<const State*>(partial)[i * outputs + output]);
  }
  if (blockDim.x == 1 && blockDim.y >= 32) {
    const State state = dev::combine_row<Op>(acc[0], threadIdx.y, blockDim.y, 0);
    if (threadIdx.y == 0) Op::finish(state, divisor, output, out, second);
    return;
  }
  dev::combine_columns<Op, 1>(acc, [&](int c, const State& state) {
    if (first + c < outputs) Op::finish(state, divisor, first + c, out, second);
  });
}

#define EXPORT_REDUCE(...)                          \
  DEV_EXPORT(reduce<__VA_ARGS__, float, 1>)         \
  DEV_EXPORT(reduce<__VA_ARGS__, double, 1>)        \
  DEV_EXPORT(reduce<__VA_ARGS__, __half, 1>)        \
  DEV_EXPORT(reduce<__VA_ARGS__, __nv_bfloat16, 1>) \
  DEV_EXPORT(reduce_any<__VA_ARGS__, float>)        \
  DEV_EXPORT(reduce_any<__VA_ARGS__, double>)       \
  DEV_EXPORT(reduce_any<__VA_ARGS__, __half>)       \
  DEV_EXPORT(reduce_any<__VA_ARGS__, __nv_bfloat16>)
// 16 bytes of T an access.
#define EXPORT_REDUCE_VECTORS(...)           \
  DEV_EXPORT(reduce<__VA_ARGS__, float, 4>)  \
  DEV_EXPORT(reduce<__VA_ARGS__, double, 2>) \
  DEV_EXPORT(reduce<__VA_ARGS__, __half, 8>) \
  DEV_EXPORT(reduce<__VA_ARGS__, __nv_bfloat16, 8>)
// All sums share Sum's, in reduce.cu.
#define EXPORT_REDUCE_FINISH(...)                \
  DEV_EXPORT(reduce_finish<__VA_ARGS__, float>)  \
  DEV_EXPORT(reduce_finish<__VA_ARGS__, double>) \
  DEV_EXPORT(reduce_finish<__VA_ARGS__, __half>) \
  DEV_EXPORT(reduce_finish<__VA_ARGS__, __nv_bfloat16>)
