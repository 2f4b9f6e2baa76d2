// Where the terms of a reduction lie, and as what. See reduce.cuh.
#pragma once
#include "elementwise.cuh"

namespace dev {

using flame_params::ReduceOperand;
using flame_params::Reduction;

// Step / (the inner one of two dims' steps), where the outer dim has more than one step.
__device__ __forceinline__ unsigned outer_step(const Extent& extent, long long step) {
  return (unsigned)((unsigned long long)(unsigned)step * extent.factor[1] >> extent.shift[1]);
}

// Adds to offset[k] where step `index` of operand k < kOperands lies, by its kept or its reduced
// strides. kPlain: see Walk.
template <bool kKept, int kOperands, bool kPlain>
__device__ __forceinline__ void locate_in(const Reduction& r, long long index, long long* offset) {
  const Extent& extent = kKept ? r.kept : r.reduced;
  const auto go = [&](int d, long long at) {
#pragma unroll
    for (int k = 0; k < kOperands; ++k)
      offset[k] += at * (kKept ? r.in[k].kept[d] : r.in[k].reduced[d]);
  };
  if constexpr (kPlain) {
    go(0, outer_step(extent, index));
    go(1, index);
  } else {
    for (int d = extent.rank - 1; index != 0; --d) {
      const long long outer = d > 0 ? quotient(extent, d, index) : 0;
      go(d, index - outer * extent.size[d]);
      index = outer;
    }
  }
}

// Where a term of an output lies in the first operand. Terms are counted as the walks do: vector by
// vector in rows, step by step in columns. -1: 32 bits do not count them.
template <int V, bool kPlain>
__device__ __forceinline__ long long place_of_term(const Reduction& r, bool columns,
                                                   long long output, unsigned term) {
  if (r.reduced.numel > 1ll << 32) return -1;
  long long offset[1] = {};
  locate_in<true, 1, kPlain>(r, columns ? output / V : output, offset);
  locate_in<false, 1, kPlain>(r, columns ? term : term / V, offset);
  return offset[0] + (columns ? output : term) % V;
}

// An element of the second stream as a value; a mask's is 1 or 0.
template <class A, class T, int V>
__device__ __forceinline__ A second_value(const Packet<T, V>& packet, int j) {
  if constexpr (sizeof(T) == 1)
    return packet.get(j) != 0 ? A(1) : A(0);
  else
    return packet.value(j);
}

// Which of the two shapes a launch has, where its kernel is not for either. kRowsAtOnce: rows of
// which a lane has all its vectors in registers at a time.
enum class Form { kRows, kRowsAtOnce, kColumns, kEither };
template <Form form>
__device__ __forceinline__ bool by_columns(const Reduction& r) {
  return form == Form::kEither ? r.columns != 0 : form == Form::kColumns;
}

}  // namespace dev
