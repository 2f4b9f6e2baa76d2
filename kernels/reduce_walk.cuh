// What a reduction's threads do on their own: which elements they take, and what they carry. See
// reduce.cuh.
#pragma once
#include "reduce_op.cuh"
#include "reduce_place.cuh"

namespace dev {

// One thread's walk over its steps of one output, or (in columns) of V adjacent ones. kPlain: kept
// and reduced dims are two each, with less than 2^31 steps together, or all of them in the inner
// one (factor 0). The stride of the outer one is what its steps add to those of the inner one: an
// offset is step * inner stride + outer step * outer stride. Little arithmetic before a load is
// what brings loads early.
template <class Op, class T, int V, Form form>
struct Walk {
  static constexpr bool kPlain = form != Form::kEither;
  using A = Acc<T>;
  using State = typename Op::template State<A>;
  using Second = typename Op::template Second<T>;
  static constexpr int kStreams = Op::kStreams;
  static constexpr int kOperands = Op::kOwn ? 3 : kStreams;
  static constexpr int kLoads = Op::kLoads;

  static constexpr bool kPairs = sizeof(T) == 2;  // two elements in a word
  static constexpr bool kBrief = Op::kBrief && V > 1 && (kPairs || Op::kWhere);
  static constexpr int kParts = kBrief ? (kPairs ? V / 2 : V) : 1;

  const Reduction& r;
  State acc[V];
  typename Op::template Brief<T> brief[kParts];
  unsigned folded = 0;     // steps that are in `brief`: a number in each half of a pair's
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
    if constexpr (kBrief) {
#pragma unroll
      for (int i = 0; i < kParts; ++i) brief[i] = Op::template start_brief<T>();
    }
    if (!there) return;
    locate_in<true, kOperands, kPlain>(r, group, base);
    if constexpr (Op::kOwn) {
      const T* from = static_cast<const T*>(r.in[2].data) + base[2];
      const int step =
          by_columns<form>(r) && r.in[2].kept[kPlain ? 1 : r.kept.rank - 1] != 0 ? 1 : 0;
#pragma unroll
      for (int j = 0; j < V; ++j)
        own[j] = r.in[2].data == nullptr ? A(r.in[2].scalar) : load(from[j * step]);
    }
  }
  __device__ __forceinline__ A own_of(int j) const {
    if constexpr (Op::kOwn)
      return own[j];
    else
      return A(0);
  }
  __device__ __forceinline__ void fold(State& state, A first, A second, int j,
                                       unsigned which) const {
    if constexpr (Op::kWhere)
      Op::fold(state, first, which);
    else if constexpr (Op::kOwn)
      Op::fold(state, first, second, own_of(j), r.numbers);
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
  // What an Op's each() gives for a step, rounded into its place.
  __device__ __forceinline__ void put_each(const Step& step, const Place& at) const {
    A out[V];
#pragma unroll
    for (int j = 0; j < V; ++j) {
      A second = A(0);
      if constexpr (kStreams > 1) second = second_value<A>(step.second, j);
      out[j] = Op::each(step.first.value(j), second, own_of(j), r.numbers);
    }
    Packet<T, V> packet;
    packet.assign(out);
    using Words = Vec<unsigned, 4>;
    store16(static_cast<T*>(r.each) + at.offset[0], __builtin_bit_cast(Words, packet.raw));
  }
  __device__ __forceinline__ void fold_step(const Step& step, long long number) {
    if constexpr (kBrief) {
#pragma unroll
      for (int i = 0; i < kParts; ++i)
        Op::template fold_brief<T>(brief[i], step.first.raw.v[i], folded);
      folded += kPairs ? 0x10001u : 1u;
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        A second = A(0);
        if constexpr (kStreams > 1) second = second_value<A>(step.second, j);
        fold(acc[j], step.first.value(j), second, j, (unsigned)number);
      }
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
  __device__ __forceinline__ Place next(Cursor& cursor, int stride) const {
    Place place;
    if constexpr (kPlain) {
      const unsigned outer = outer_step(r.reduced, cursor.step);
#pragma unroll
      for (int k = 0; k < kStreams; ++k) {
        place.offset[k] = cursor.inner[k] + outer * r.in[k].reduced[0];
        cursor.inner[k] += stride * r.in[k].reduced[1];
      }
    } else {
      place = place_of(cursor.step);
    }
    cursor.step += stride;
    return place;
  }
  // kCount steps: all loads come before what is done with them. Nothing here may be conditional, or
  // the compiler moves loads to where they are needed.
  template <int kCount>
  __device__ __forceinline__ void round(Cursor& cursor, int stride) {
    Step steps[kCount];
    const long long first = cursor.step;
#pragma unroll
    for (int u = 0; u < kCount; ++u) load_step(steps[u], next(cursor, stride));
#pragma unroll
    for (int u = 0; u < kCount; ++u) fold_step(steps[u], first + u * stride);
  }
  __device__ __forceinline__ Cursor cursor_at(long long step) const {
    Cursor cursor;
    cursor.step = step;
    if constexpr (kPlain) {
#pragma unroll
      for (int k = 0; k < kStreams; ++k) cursor.inner[k] = base[k] + step * r.in[k].reduced[1];
    }
    return cursor;
  }
  // Steps i, i + stride, ... below end, all of whole vectors.
  __device__ __forceinline__ void whole_steps(long long i, int stride, long long end) {
    Cursor cursor = cursor_at(i);
#pragma unroll 1
    while (cursor.step + (long long)(kLoads - 1) * stride < end) round<kLoads>(cursor, stride);
    if constexpr (kLoads > 2)
      if (cursor.step + stride < end) round<2>(cursor, stride);
    if constexpr (kLoads > 1)
      if (cursor.step < end) round<1>(cursor, stride);
  }

  // Whether vectors go through the ring: all are of 16 bytes, kDepth of a stream.
  static constexpr bool kThroughRing = form != Form::kRowsAtOnce && V > 1 && sizeof(T) * V == 16 &&
                                       (kStreams == 1 || sizeof(Second) * V == 16);
  static constexpr int kDepth = kRing / kStreams;
  // The same steps, kDepth - 1 of them under way at any time. The ring's vectors are a thread's
  // own, so that no barrier is needed. One loop for all, with little in it: a small launch waits
  // for its code longer than for its numbers.
  __device__ __forceinline__ void steps_through_ring(long long i, int stride, long long end) {
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    const unsigned pitch = blockDim.x * blockDim.y * 16;  // from one vector of a thread to the next
    unsigned char* const ring = dyn_shared<unsigned char>() + thread * 16;
    Cursor ahead = cursor_at(i), behind = ahead;
    unsigned to = 0, from = 0;
    const auto advance = [&](unsigned& at) {
      at += pitch;
      if (at == kDepth * kStreams * pitch) at = 0;
    };
#pragma unroll 1
    for (int filled = 1; i < end; ++filled) {
      if (ahead.step < end) {
        const Place at = next(ahead, stride);
        async_copy16(ring + to, static_cast<const T*>(r.in[0].data) + at.offset[0]);
        advance(to);
        if constexpr (kStreams > 1) {
          async_copy16(ring + to, static_cast<const Second*>(r.in[1].data) + at.offset[1]);
          advance(to);
        }
      }
      async_commit();  // also an empty one, so that each step has its own
      if (filled < kDepth) continue;
      async_wait_but<kDepth - 1>();
      Step arrived;
      read<T, V>(arrived.first, reinterpret_cast<const T*>(ring + from), V);
      advance(from);
      if constexpr (kStreams > 1) {
        read<Second, V>(arrived.second, reinterpret_cast<const Second*>(ring + from), V);
        advance(from);
      }
      fold_step(arrived, i);
      if constexpr (Op::kEach) put_each(arrived, next(behind, stride));
      i += stride;
    }
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
      const A first = load(static_cast<const T*>(r.in[0].data)[place.offset[0] + j]);
      fold(acc[0], first, second, 0, unsigned(step * V + j));
      if constexpr (Op::kEach)
        static_cast<T*>(r.each)[place.offset[0] + j] =
            store<T>(Op::each(first, second, own_of(0), r.numbers));
    }
  }
  __device__ __forceinline__ State of_brief(int j) const {
    return Op::template of_brief<T>(brief[kPairs ? j / 2 : j], kPairs ? j % 2 : 0);
  }
  // Steps i, i + stride, ... below end in brief; one by one what that cannot count, or all where it
  // asks for them. Both are rare.
  __device__ __forceinline__ void steps_in_brief(long long i, int stride, long long end) {
    long long brief_end = end;
    if constexpr (kPairs) brief_end = min(end, i + (long long)Op::kPairSteps * stride);
    steps_through_ring(i, stride, brief_end);
    bool again = false;
#pragma unroll
    for (int k = 0; k < kParts; ++k) again |= Op::template asks_again<T>(brief[k]);
    if (!again) {
#pragma unroll
      for (int j = 0; j < V; ++j) {
        acc[j] = of_brief(j);
        acc[j].where = unsigned(i + (long long)acc[j].where * stride);
      }
      i = brief_end < end ? i + (long long)Op::kPairSteps * stride : end;
    }
#pragma unroll 1
    for (; i < end; i += stride) {
      Step step;
      load_step(step, place_of(i));
#pragma unroll
      for (int j = 0; j < V; ++j) fold(acc[j], step.first.value(j), A(0), j, (unsigned)i);
    }
  }
  __device__ __forceinline__ void steps_to_terms() {
#pragma unroll
    for (int j = 0; j < V; ++j) acc[j].where = acc[j].where * V + j;
  }
  // Steps first, first + stride, ... of `steps`; in rows the last of all may be an incomplete
  // vector, which is for whoever has `first` 0.
  __device__ __forceinline__ void run(long long first, int stride, long long steps) {
    if constexpr (form == Form::kRowsAtOnce) {
      Cursor cursor = cursor_at(first);
      round<at_once<T>()>(cursor, stride);
      finish_brief();
      return;
    }
    const long long whole = by_columns<form>(r) ? steps : min(steps, r.reduced.numel / V);
    if constexpr (kBrief && Op::kWhere)
      steps_in_brief(first, stride, whole);
    else if constexpr (kThroughRing)
      steps_through_ring(first, stride, whole);
    else
      whole_steps(first, stride, whole);
    if constexpr (Op::kWhere && V > 1)
      if (!by_columns<form>(r)) steps_to_terms();
    if constexpr (V > 1)
      if (whole < steps && first == 0) tail(whole, int(r.reduced.numel - whole * V));
    finish_brief();
  }
  __device__ __forceinline__ void finish_brief() {
    if constexpr (kBrief && !Op::kWhere) {
#pragma unroll
      for (int j = 0; j < V; ++j) acc[j] = Op::combine(acc[j], of_brief(j));
    }
  }
};

}  // namespace dev
