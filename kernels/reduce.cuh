// Sums and maxima over any set of dims and any strides, of terms computed on the fly, accumulated
// in the accumulator type and rounded once. Two shapes of a block, chosen by the host
// (lib/ops/reduce_plan.h):
//   rows     adjacent threads take adjacent elements of one output (reduced dims are contiguous)
//   columns  adjacent threads take adjacent outputs (kept dims are contiguous)
// blockDim is (lanes, groups) or (groups, lanes): a group makes one output (in vectorised columns
// V), its lanes share the elements. Where outputs are few, gridDim.y splits share them too, and the
// last of these blocks to come adds up their partial results, split by split. All sizes and orders
// are fixed by the shapes: the same result every time.
//
// Operands: one or two streams, read as vectors where all are contiguous there, and (kOwn) a third
// that has one element for each output. An Op states kStreams, kOwn, State<A> (what a lane
// carries), start(), fold(state, first[, second][, own, numbers]), combine(a, b) and finish(state,
// divisor, output, out, second result); kEach and each() where there is a result for each term too;
// kWhere where it matters which term is which.
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
  if (lane < 32) {
    v = shared[first + lane % warps];
#pragma unroll 1
    for (int distance = warps / 2; distance > 0; distance /= 2)
      v = Op::combine(v, shuffle(v, distance));
  }
  return v;
}

// Combines the lanes' states in shared memory, [lane][column], and gives that of column c to
// use(c, state). A power of two of lanes. No loop is unrolled: they are short, and code that has to
// come from memory first is time.
template <class Op, class S, class Use>
__device__ __forceinline__ void combine_lanes(S* shared, int columns, int lanes, Use use) {
  constexpr int kSerial = 8;
  const int threads = blockDim.x * blockDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
  __syncthreads();
#pragma unroll 1
  for (; lanes > kSerial; lanes /= 2) {
    const int half = lanes / 2 * columns;
#pragma unroll 1
    for (int c = thread; c < half; c += threads)
      shared[c] = Op::combine(shared[c], shared[half + c]);
    __syncthreads();
  }
#pragma unroll 1
  for (int c = thread; c < columns; c += threads) {
    S total = shared[c];
#pragma unroll 1
    for (int lane = 1; lane < lanes; ++lane) total = Op::combine(total, shared[lane * columns + c]);
    use(c, total);
  }
}

// Whether this block is the last to come of the `blocks` that count in `ticket`. What all of them
// wrote before is then there to be read. The ticket is zero before and after: the next launch of
// the stream finds it so.
__device__ __forceinline__ bool last_to_come(unsigned* ticket, unsigned blocks) {
  bool last = false;
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0) {
    last = count_one(ticket) == blocks - 1;
    if (last) atomicExch(ticket, 0u);
  }
  return __syncthreads_or(last);
}

// What lanes have of a row is combined; where there are splits, then what these have, in an order
// that does not depend on which block comes last.
template <class Op, class S, class Finish>
__device__ __forceinline__ void finish_rows(const Reduction& r, S state, const S& start,
                                            long long output, S* partial, unsigned* tickets,
                                            Finish finish) {
  const int lane = threadIdx.x, lanes = blockDim.x;
  const bool there = output < r.kept.numel;
#pragma unroll 1
  for (bool split = r.splits > 1;; split = false) {
    state = combine_row<Op>(state, lane, lanes, threadIdx.y);
    if (!split) break;
    if (lane == 0 && there) partial[blockIdx.y * r.kept.numel + output] = state;
    if (!last_to_come(&tickets[blockIdx.x], gridDim.y)) return;
    state = start;
#pragma unroll 1
    for (int i = lane; i < r.splits && there; i += lanes)
      state = Op::combine(state, partial[i * r.kept.numel + output]);
  }
  if (lane == 0 && there) finish(output, state);
}

// Likewise of the columns from `first` on, powers of two of them and of threads.
template <class Op, int V, class S, class Finish>
__device__ __forceinline__ void finish_columns(const Reduction& r, const S (&acc)[V],
                                               const S& start, long long first, S* partial,
                                               unsigned* tickets, Finish finish) {
  S* const shared = dyn_shared<S>();
  const int threads = blockDim.x * blockDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
  const int columns = blockDim.x * V, shift = 31 - __clz(columns);
#pragma unroll
  for (int j = 0; j < V; ++j) shared[thread * V + j] = acc[j];
  int lanes = blockDim.y;
#pragma unroll 1
  for (bool split = r.splits > 1;; split = false) {
    combine_lanes<Op>(shared, columns, lanes, [&](int c, const S& state) {
      if (first + c >= r.kept.numel) return;
      if (split)
        partial[blockIdx.y * r.kept.numel + first + c] = state;
      else
        finish(first + c, state);
    });
    if (!split || !last_to_come(&tickets[blockIdx.x], gridDim.y)) return;
    lanes = max(threads >> shift, 1);
#pragma unroll 1
    for (int c = thread; c < lanes << shift; c += threads) {
      const long long output = first + (c & (columns - 1));
      S state = start;
      if (output < r.kept.numel) {
#pragma unroll 4
        for (int i = c >> shift; i < r.splits; i += lanes)
          state = Op::combine(state, partial[i * r.kept.numel + output]);
      }
      shared[c] = state;
    }
  }
}

template <class Op, class T, int V, Form form>
__device__ __forceinline__ void reduce_block(const Reduction& r, T* out, void* partial,
                                             Acc<T>* second, unsigned* tickets) {
  using State = typename Op::template State<Acc<T>>;
  using Lane = Walk<Op, T, V, form>;
  const bool columns = by_columns<form>(r);
  const int lane = columns ? threadIdx.y : threadIdx.x;
  const int lanes = columns ? blockDim.y : blockDim.x;
  const int groups = columns ? blockDim.x : blockDim.y;
  const long long first_group = (long long)blockIdx.x * groups;
  const long long group = first_group + (columns ? threadIdx.x : threadIdx.y);
  const bool there = (columns ? group * V : group) < r.kept.numel;

  Lane walk(r, group, there);
  if (there) {
    const long long steps = columns ? r.reduced.numel : (r.reduced.numel + V - 1) / V;
    // Splits side by side: blocks that run at a time read one place, not 256 a power of two apart.
    walk.run((long long)blockIdx.y * lanes + lane, lanes * r.splits, steps);
  }
  // The ring's memory is now the states'.
  if (Lane::kThroughRing && (columns || lanes > 32)) __syncthreads();
  State* const parts = static_cast<State*>(partial);
  const State start = Op::template start<Acc<T>>();
  const auto finish = [&](long long output, const State& state) {
    if constexpr (Op::kWhere) {
      const auto place = [&] {
        return place_of_term<V, Lane::kPlain>(r, columns, output, state.where);
      };
      Op::finish(state, place, output, out, second);
    } else {
      Op::finish(state, r.divisor, output, out, second);
    }
  };
  if (columns) {
    finish_columns<Op>(r, walk.acc, start, first_group * V, parts, tickets, finish);
  } else {
#pragma unroll
    for (int j = 1; j < V; ++j) walk.acc[0] = Op::combine(walk.acc[0], walk.acc[j]);
    if constexpr (form == Form::kRowsAtOnce) {
      const State state = combine_row<Op>(walk.acc[0], lane, lanes, threadIdx.y);
      if (lane == 0 && there) finish(group, state);
      return;
    }
    finish_rows<Op>(r, walk.acc[0], start, group, parts, tickets, finish);
  }
}

}  // namespace dev

// out[o] = combination of the terms of output o, / divisor. Where there are splits, partial[split *
// outputs + o] is that of one, and tickets has a zero for each blockIdx.x: the last block to come
// combines them. lanes and groups are powers of two, in rows together 32 threads or more. second:
// an Op's second result, or null. Dynamic shared memory: in rows a state a warp, in columns V
// states a thread; or the ring, which lies in the same place. Memory traffic: every operand once,
// out once.
template <class Op, class T, int V>
__global__ void __launch_bounds__(dev::kThreads, 2)
    reduce_rows(const __grid_constant__ flame_params::Reduction r, T* out, void* partial,
                dev::Acc<T>* second, unsigned* tickets) {
  dev::reduce_block<Op, T, V, dev::Form::kRows>(r, out, partial, second, tickets);
}
// Rows of exactly at_once() vectors for each lane, without splits: simpler by a ring, and by what
// that takes to fill and to drain.
template <class Op, class T, int V>
__global__ void __launch_bounds__(dev::kThreads, 2)
    reduce_rows_at_once(const __grid_constant__ flame_params::Reduction r, T* out, void* partial,
                        dev::Acc<T>* second, unsigned* tickets) {
  dev::reduce_block<Op, T, V, dev::Form::kRowsAtOnce>(r, out, partial, second, tickets);
}
template <class Op, class T, int V>
__global__ void __launch_bounds__(dev::kThreads, 2)
    reduce_columns(const __grid_constant__ flame_params::Reduction r, T* out, void* partial,
                   dev::Acc<T>* second, unsigned* tickets) {
  dev::reduce_block<Op, T, V, dev::Form::kColumns>(r, out, partial, second, tickets);
}

// Either, for dims and sizes of any number (V is 1).
template <class Op, class T>
__global__ void __launch_bounds__(dev::kThreads, 2)
    reduce_any(const __grid_constant__ flame_params::Reduction r, T* out, void* partial,
               dev::Acc<T>* second, unsigned* tickets) {
  dev::reduce_block<Op, T, 1, dev::Form::kEither>(r, out, partial, second, tickets);
}

#define EXPORT_REDUCE_OF(T, V, ...)          \
  DEV_EXPORT(reduce_rows<__VA_ARGS__, T, V>) \
  DEV_EXPORT(reduce_columns<__VA_ARGS__, T, V>)
#define EXPORT_REDUCE(...)                        \
  EXPORT_REDUCE_OF(float, 1, __VA_ARGS__)         \
  EXPORT_REDUCE_OF(double, 1, __VA_ARGS__)        \
  EXPORT_REDUCE_OF(__half, 1, __VA_ARGS__)        \
  EXPORT_REDUCE_OF(__nv_bfloat16, 1, __VA_ARGS__) \
  DEV_EXPORT(reduce_any<__VA_ARGS__, float>)      \
  DEV_EXPORT(reduce_any<__VA_ARGS__, double>)     \
  DEV_EXPORT(reduce_any<__VA_ARGS__, __half>)     \
  DEV_EXPORT(reduce_any<__VA_ARGS__, __nv_bfloat16>)
// 16 bytes of T an access.
#define EXPORT_REDUCE_VECTORS(...)         \
  EXPORT_REDUCE_OF(float, 4, __VA_ARGS__)  \
  EXPORT_REDUCE_OF(double, 2, __VA_ARGS__) \
  EXPORT_REDUCE_OF(__half, 8, __VA_ARGS__) \
  EXPORT_REDUCE_OF(__nv_bfloat16, 8, __VA_ARGS__)
#define EXPORT_REDUCE_AT_ONCE(...)                        \
  DEV_EXPORT(reduce_rows_at_once<__VA_ARGS__, float, 4>)  \
  DEV_EXPORT(reduce_rows_at_once<__VA_ARGS__, double, 2>) \
  DEV_EXPORT(reduce_rows_at_once<__VA_ARGS__, __half, 8>) \
  DEV_EXPORT(reduce_rows_at_once<__VA_ARGS__, __nv_bfloat16, 8>)
