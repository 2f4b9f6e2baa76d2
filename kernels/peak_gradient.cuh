// amax's gradient, vector by vector: most hold no maximum, which the records of their outputs tell
// without a look at the input.
#pragma once
#include "peak.cuh"

namespace dev {
inline constexpr int kPeakUnroll = 2;  // lib/ops/reduce.cpp agrees

template <bool kNarrow>
struct OffsetType {
  using type = unsigned long long;
};
template <>
struct OffsetType<true> {
  using type = unsigned;
};

// All ones in the halves where x is the maximum or a NaN.
template <class T>
__device__ __forceinline__ unsigned equal_or_nan(unsigned x, unsigned maximum) {
  const auto pair = as_pair<T>(x);
  return __heq2_mask(pair, as_pair<T>(maximum)) | ~__heq2_mask(pair, pair);
}

// One vector of amax's gradient. kRow: all of it belongs to one output; else each element to one of
// its own.
template <class T, int V, bool kRow>
struct PeakVector {
  using A = Acc<T>;
  using Number = typename Record<A>::type;
  static constexpr int kOutputs = kRow ? 1 : V;
  static constexpr bool kWords = sizeof(T) == 2 && V > 1;  // two elements in each
  // Where it lies in the input, and how far its elements are apart. Unsigned, so that no record
  // below 0 is equal to an offset.
  template <class Offset>
  struct Place {
    Offset at, step;
  };
  using PerOutput = Lane<T, kOutputs, false>;
  Packet<Number, kOutputs> record;

  __device__ __forceinline__ void read_record(const Strided& from, long long offset, long long n) {
    read<Number, kOutputs>(record, address<Number>(from, offset), n);
  }
  __device__ __forceinline__ Number record_of(int j) const { return record.raw.v[kRow ? 0 : j]; }
  // Whether an output has several maxima, or its only one lies too far off.
  __device__ __forceinline__ bool seeks() const {
    Number all = 0;
#pragma unroll
    for (int j = 0; j < kOutputs; ++j) all |= record.raw.v[j];
    return all < 0;
  }
  template <class Offset>
  __device__ __forceinline__ bool is_only(Place<Offset> x, int j) const {
    if constexpr (kRow)
      return Offset(record_of(0)) - x.at == Offset(j);
    else
      return Offset(record_of(j)) == x.at + Offset(j) * x.step;
  }
  template <class Offset>
  __device__ __forceinline__ bool has_only(Place<Offset> x) const {
    if constexpr (kRow) {
      return Offset(record_of(0)) - x.at < Offset(V);
    } else {
      bool any = false;
#pragma unroll
      for (int j = 0; j < V; ++j) any |= is_only(x, j);
      return any;
    }
  }
  // One element an output as V elements.
  static __device__ __forceinline__ Packet<T, V> spread(const PerOutput& lane) {
    Packet<T, V> out;
    if constexpr (kWords) {
#pragma unroll
      for (int i = 0; i < V / 2; ++i) {
        if constexpr (kRow)
          out.raw.v[i] = to_bits(lane.raw.v[0]) * 0x10001u;
        else
          out.raw.v[i] = lane.word(i);
      }
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j)
        out.raw.v[j] = kRow || lane.splat ? lane.raw.v[0] : lane.raw.v[kRow ? 0 : j];
    }
    return out;
  }
  // The values where hit(j), else 0.
  template <class Hit>
  static __device__ __forceinline__ Packet<T, V> where(const Packet<T, V>& values, Hit hit) {
    Packet<T, V> out;
    if constexpr (kWords) {
#pragma unroll
      for (int i = 0; i < V / 2; ++i)
        out.raw.v[i] =
            values.raw.v[i] & ((hit(2 * i) ? 0xffffu : 0u) | (hit(2 * i + 1) ? 0xffff0000u : 0u));
    } else {
#pragma unroll
      for (int j = 0; j < V; ++j) out.raw.v[j] = hit(j) ? values.raw.v[j] : store<T>(A(0));
    }
    return out;
  }
  // Where no output seeks.
  template <class Offset>
  __device__ __forceinline__ Packet<T, V> found(Place<Offset> x, const PerOutput& g) const {
    return where(spread(g), [&](int j) { return is_only(x, j); });
  }
  // What each maximum of an element's output gets, rounded.
  __device__ __forceinline__ Packet<T, V> shares(const PerOutput& g) const {
    const Packet<T, V> whole = spread(g);
    A share[V];
#pragma unroll
    for (int j = 0; j < V; ++j) {
      if (kRow && j > 0)
        share[j] = share[0];
      else
        share[j] = whole.value(j) / (record_of(j) < 0 ? Record<A>::count(record_of(j)) : A(1));
    }
    Packet<T, V> out;
    out.assign(share);
    return out;
  }
  // Anywhere: by the input and the maxima.
  template <class Offset>
  __device__ __forceinline__ Packet<T, V> sought(Place<Offset> x, const PerOutput& g,
                                                 const Packet<T, V>& in,
                                                 const PerOutput& maximum) const {
    const Packet<T, V> share = shares(g), top = spread(maximum);
    if constexpr (kWords && kRow) {
      // Two elements by each instruction: unpacked they would take longer than their bytes.
      Packet<T, V> out;
#pragma unroll
      for (int i = 0; i < V / 2; ++i)
        out.raw.v[i] = share.raw.v[i] & equal_or_nan<T>(in.raw.v[i], top.raw.v[i]);
      return out;
    } else {
      return where(share, [&](int j) {
        const A value = in.value(j), most = top.value(j);
        const bool largest = (value == most) | (value != value);
        return is_only(x, j) | ((record_of(j) < 0) & largest);
      });
    }
  }
};

// Writes zeros where a vector of `turns` holds no maximum, which its record tells: these are most.
// Gives those that are left, a bit each.
template <class T, int V, bool kRow, class Turns>
__device__ __forceinline__ unsigned clear_peakless(const Turns& turns, const Extent& extent,
                                                   const Strided& gx, const Strided& x,
                                                   const Strided& record) {
  using Vector = PeakVector<T, V, kRow>;
  using Number = typename Vector::Number;
  // Of rows, 31 bits hold every offset.
  constexpr bool kNarrow = Turns::way == Way::kRows && sizeof(Number) == sizeof(unsigned);
  using Offset = typename OffsetType<kNarrow>::type;
  Vector vector[Turns::times];
  long long offset[Turns::times][3];  // of gx, x and record
  for_vectors<V>(extent, turns, [&](int u, long long index, long long n) {
    for (long long& k : offset[u]) k = 0;
    locate<V>(turns, extent, index, offset[u], gx, x, record);
    vector[u].read_record(record, offset[u][2], n);
  });
  const Offset step = Turns::splats(extent, x) ? 0 : 1;
  unsigned left = 0;
  for_vectors<V>(extent, turns, [&](int u, long long, long long n) {
    if (vector[u].seeks() ||
        vector[u].has_only(typename Vector::template Place<Offset>{Offset(offset[u][1]), step})) {
      left |= 1u << u;
    } else {
      Packet<T, V> zeros;
      zeros.clear();
      write<T, V>(address<T>(gx, offset[u][0]), zeros, n);
    }
  });
  return left;
}

// One of the others.
template <class T, int V, bool kRow>
__device__ __forceinline__ void give_to_peaks(const Extent& extent, long long index,
                                              const Strided& gx, const Strided& x,
                                              const Strided& record, const Strided& g,
                                              const Strided& maximum) {
  using Vector = PeakVector<T, V, kRow>;
  using Offset = unsigned long long;
  const Turns<Way::kAny, 1> turns = {index};
  const long long n = extent.numel - index * V;
  long long offset[4] = {};
  locate(extent, index, offset, gx, x, record, g);
  Vector vector;
  typename Vector::PerOutput up, top;
  vector.read_record(record, offset[2], n);
  up.fetch_from(turns, extent, g, offset[3], n);
  const typename Vector::template Place<Offset> place = {Offset(offset[1]),
                                                         turns.splats(extent, x) ? 0u : 1u};
  Packet<T, V> out;
  if (vector.seeks()) {
    Packet<T, V> in;
    read_strided<T, V>(turns, in, extent, x, offset[1], n);
    top.fetch_from(turns, extent, maximum, offset[2], n);
    out = vector.sought(place, up, in, top);
  } else {
    out = vector.found(place, up);
  }
  write<T, V>(address<T>(gx, offset[0]), out, n);
}

}  // namespace dev
