// What a reduction's threads do on their own: which elements they take, and what they carry. See
// reduce.cuh.
#pragma once
#include "elementwise.cuh"

namespace dev {

using flame_params::ReduceOperand;
using flame_params::Reduction;

// 16-byte loads that a thread has under way: what fills the memory pipeline.
inline constexpr int kInFlight = 4;

// What an Op may leave as it is: its state is one accumulator, which is the result.
struct Plain {
  template <class A>
  using State = A;
  static constexpr int kStreams = 1;
  // The type of the second stream's elements.
  template <class T>
  using Second = T;
  static constexpr bool kOwn = false;
  static constexpr int kLoads = kInFlight;
  template <class T, class A>
  static __device__ void finish(A state, double divisor, long long output, T* out, A*) {
    out[output] = store<T>(state / A(divisor));
  }
};

// Terms that are summed.
struct Summed : Plain {
  template <class A>
  static __device__ A start() {
    return A(0);
  }
  template <class A>
  static __device__ A combine(A a, A b) {
    return a + b;
  }
};

__device__ __forceinline__ float shuffle(float v, int distance) {
  return __shfl_xor_sync(0xffffffffu, v, distance);
}
__device__ __forceinline__ double shuffle(double v, int distance) {
  return __shfl_xor_sync(0xffffffffu, v, distance);
}

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

// An element of the second stream as a value; a mask's is 1 or 0.
template <class A, class T, int V>
__device__ __forceinline__ A second_value(const Packet<T, V>& packet, int j) {
  if constexpr (sizeof(T) == 1)
    return packet.get(j) != 0 ? A(1) : A(0);
  else
    return packet.value(j);
}

// One thread's walk over its steps of one output, or (in columns) of V adjacent ones. kPlain: kept
// and reduced dims are two each, with less than 2^31 steps together, or all of them in the inner
// one (factor 0). The stride of the outer one is what its steps add to those of the inner one: an
// offset is step * inner stride + outer step * outer stride. Little arithmetic before a load is
// what brings loads early.
template <class Op, class T, int V, bool kPlain>
struct Walk {
  using A = Acc<T>;
  using State = typename Op::template State<A>;
  using Second = typename Op::template Second<T>;
  static constexpr int kStreams = Op::kStreams;
  static constexpr int kOperands = Op::kOwn ? 3 : kStreams;
  static constexpr int kLoads = Op::kLoads;

  const Reduction& r;
  State acc[V];
  long long base[3] = {};  // of the operands, at this thread's outputs
  A own[V];                // the third operand

  struct Step {
    Packet<T, V> first;
    Packet<Second, V> second;
  };
  struct Place {
    long long offset[kStreams];
  };

  // Group `group` of the outputs; none where there are no more.
  __device__ __forceinline__ Walk(const Reduction& reduction, long long group, bool there)
      : r(reduction) {
#pragma unroll
    for (int j = 0; j < V; ++j) acc[j] = Op::template start<A>();
    if (!there) return;
    locate_in<true, kOperands, kPlain>(r, group, base);
    if constexpr (Op::kOwn) {
      const T* from = static_cast<const T*>(r.in[2].data) + base[2];
      const int step = r.columns && r.in[2].kept[kPlain ? 1 : r.kept.rank - 1] != 0 ? 1 : 0;
#pragma unroll
      for (int j = 0; j < V; ++j)
        own[j] = r.in[2].data == nullptr ? A(r.in[2].scalar) : load(from[j * step]);
    }
  }
  __device__ __forceinline__ void fold(State& state, A first, A second, int j) const {
    if constexpr (Op::kOwn)
      Op::fold(state, first, second, own[j], r.numbers);
    else if constexpr (kStreams > 1)
      Op::fold(state, first, second);
    else if constexpr (requires { Op::fold(state, first, r.numbers); })
      Op::fold(state, first, r.numbers);
    else
      Op::fold(state, first);
  }
  __device__ __forceinline__ void load_step(Step& step, const Place& at) const {
    read<T, V>(step.first, static_cast<const T*>(r.in[0].data) + at.offset[0], V);
    if constexpr (kStreams > 1)
      read<Second, V>(step.second, static_cast<const Second*>(r.in[1].data) + at.offset[1], V);
  }
  __device__ __forceinline__ void fold_step(const Step& step) {
#pragma unroll
    for (int j = 0; j < V; ++j) {
      A second = A(0);
      if constexpr (kStreams > 1) second = second_value<A>(step.second, j);
      fold(acc[j], step.first.value(j), second, j);
    }
  }
  __device__ __forceinline__ Place place_of(long long step) const {
    long long offset[kStreams];
#pragma unroll
    for (int k = 0; k < kStreams; ++k) offset[k] = base[k];
    locate_in<false, kStreams, kPlain>(r, step, offset);
    Place place;
#pragma unroll
    for (int k = 0; k < kStreams; ++k) place.offset[k] = offset[k];
    return place;
  }
  struct Cursor {
    long long step, inner[kStreams];
  };
  __device__ __forceinline__ Place next(Cursor& cursor, int lanes) const {
    Place place;
    if constexpr (kPlain) {
      const long long outer = outer_step(r.reduced, cursor.step);
#pragma unroll
      for (int k = 0; k < kStreams; ++k) {
        place.offset[k] = cursor.inner[k] + outer * r.in[k].reduced[0];
        cursor.inner[k] += lanes * r.in[k].reduced[1];
      }
    } else {
      place = place_of(cursor.step);
    }
    cursor.step += lanes;
    return place;
  }
  // kCount steps: all loads come before what is done with them. Nothing here may be conditional, or
  // the compiler moves loads to where they are needed.
  template <int kCount>
  __device__ __forceinline__ void round(Cursor& cursor, int lanes) {
    Step steps[kCount];
#pragma unroll
    for (int u = 0; u < kCount; ++u) load_step(steps[u], next(cursor, lanes));
#pragma unroll
    for (int u = 0; u < kCount; ++u) fold_step(steps[u]);
  }
  // Steps i, i + lanes, ... below end, all of whole vectors.
  __device__ __forceinline__ void whole_steps(long long i, int lanes, long long end) {
    Cursor cursor;
    cursor.step = i;
    if constexpr (kPlain) {
#pragma unroll
      for (int k = 0; k < kStreams; ++k) cursor.inner[k] = base[k] + i * r.in[k].reduced[1];
    }
#pragma unroll 1
    while (cursor.step + (kLoads - 1) * lanes < end) round<kLoads>(cursor, lanes);
    if constexpr (kLoads > 2)
      if (cursor.step + lanes < end) round<2>(cursor, lanes);
    if constexpr (kLoads > 1)
      if (cursor.step < end) round<1>(cursor, lanes);
  }
  // The elements of a row that fill no vector.
  __device__ __forceinline__ void tail(long long step, int count) {
    const Place place = place_of(step);
#pragma unroll 1
    for (int j = 0; j < count; ++j) {
      A second = A(0);
      if constexpr (kStreams > 1) {
        Packet<Second, 1> one;
        read<Second, 1>(one, static_cast<const Second*>(r.in[1].data) + place.offset[1] + j, 1);
        second = second_value<A>(one, 0);
      }
      fold(acc[0], load(static_cast<const T*>(r.in[0].data)[place.offset[0] + j]), second, 0);
    }
  }
  // Steps begin + lane, begin + lane + lanes, ... below end; in rows the last step of all may be an
  // incomplete vector.
  __device__ __forceinline__ void run(long long begin, long long end, int lane, int lanes) {
    const long long whole = r.columns ? end : min(end, r.reduced.numel / V);
    whole_steps(begin + lane, lanes, whole);
    if constexpr (V > 1)
      if (whole < end && lane == 0) tail(whole, int(r.reduced.numel - whole * V));
  }
};

}  // namespace dev
