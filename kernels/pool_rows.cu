// Max pooling with square windows of 2 or 3 and stride 2 (3: padding 1), the shapes of most
// networks, where rows are whole pieces of 4 elements (8 of a half type). A thread takes a piece of
// some rows: it reads each element once, compares it within its row once for all windows of the
// column, and these results within the column. Traffic: x read, y written once; backward g read, dx
// written once; the places of the maxima take 4 bits each.
// NaN wins; the first maximum in row-major order of the window is the one, and takes the gradient.
#include "packed.cuh"
#include "ptx.cuh"

namespace dev {

// Columns of a thread, outputs of a row among them, rows of outputs.
template <class T>
inline constexpr int kColumns = sizeof(T) == 2 ? 8 : 4;
template <class T>
inline constexpr int kRowsOfOutputs = sizeof(T) == 8 ? 1 : 2;
inline constexpr int kPlaceBits = 4, kNowhere = 15;
// The places of a thread's outputs in a row: 2, or 4 of a half type.
template <class T, bool kHalf = sizeof(T) == 2>
struct PlacesOf {
  using type = unsigned char;
};
template <class T>
struct PlacesOf<T, true> {
  using type = unsigned short;
};
template <class T>
using Places = typename PlacesOf<T>::type;

__device__ __forceinline__ unsigned quotient(unsigned n, unsigned factor, int shift) {
  return unsigned((unsigned long long)n * factor >> shift);
}

// Which piece of which rows.
struct RowUnit {
  bool live;
  unsigned piece, strip, plane;
  __device__ __forceinline__ explicit RowUnit(const flame_params::RowPool& p) {
    unsigned unit = blockIdx.x * blockDim.x + threadIdx.x;
    live = unit < p.units;
    unit = min(unit, p.units - 1);  // all lanes take part in shuffles
    const unsigned line = quotient(unit, p.pieces_factor, p.pieces_shift);
    plane = quotient(line, p.strips_factor, p.strips_shift);
    piece = unit - line * p.pieces, strip = line - plane * p.strips;
  }
};

template <class T, int V>
__device__ __forceinline__ Packet<T, V> read_piece(const T* from, bool vectors) {
  Packet<T, V> packet;
  if (vectors) {
    packet.raw = *reinterpret_cast<const decltype(packet.raw)*>(from);
  } else {
    packet.clear();
#pragma unroll
    for (int j = 0; j < V; ++j) packet.set(j, from[j]);
  }
  return packet;
}
template <class T, int V>
__device__ __forceinline__ void write_piece(T* to, const Acc<T>* values, bool vectors) {
  Packet<T, V> packet;
  packet.assign(values);
  write<T, V>(to, packet, vectors ? V : V - 1);
  if (!vectors) to[V - 1] = packet.get(V - 1);
}

// The larger value so far and where it was. Without places one instruction does.
template <bool kPlaces, class A>
struct Largest {
  A value;
  int at;

  // Of what comes later in row-major order; `first`: nothing came before.
  __device__ __forceinline__ void meet(A v, int place, bool first = false) {
    if constexpr (kPlaces || sizeof(A) == 8) {
      if (first || (!(v <= value) && value == value)) value = v, at = place;
    } else {
      value = larger_or_nan(value, v);
    }
  }
};

// The largest of each window's part of one row; `left`: the element before the piece.
template <int kWindow, bool kPlaces, class T>
__device__ __forceinline__ void along_row(const Packet<T, kColumns<T>>& row, Acc<T> left,
                                          bool leftmost,
                                          Largest<kPlaces, Acc<T>> (&out)[kColumns<T> / 2]) {
#pragma unroll
  for (int j = 0; j < kColumns<T> / 2; ++j) {
    const Acc<T> a = row.value(2 * j), b = row.value(2 * j + 1);
    if (kWindow == 3) {
      const bool edge = j == 0 && leftmost;
      const Acc<T> before = j > 0 ? row.value(2 * j > 0 ? 2 * j - 1 : 0) : left;
      out[j] = {edge ? a : before, 0};
      out[j].meet(a, 1, edge);
      out[j].meet(b, 2);
    } else {
      out[j] = {a, 0};
      out[j].meet(b, 1);
    }
  }
}

}  // namespace dev

// x: (planes, height, width), y: (planes, out_h, width / 2); where: as y, 4 bits each, row *
// kWindow
// + column of the maximum in its window; kPlaces: wanted.
template <int kWindow, bool kPlaces, class T>
__global__ void __launch_bounds__(256)
    max_pool_forward_rows(const T* x, T* y, unsigned char* where,
                          const __grid_constant__ flame_params::RowPool p) {
  using A = dev::Acc<T>;
  constexpr int kIn = dev::kColumns<T>, kOut = kIn / 2, kRows = dev::kRowsOfOutputs<T>;
  constexpr int kHalo = kWindow - 2, kReads = 2 * kRows + kHalo;
  const dev::RowUnit unit(p);
  const int first_out = int(unit.strip) * kRows, first_in = 2 * first_out - kHalo;
  x += (long long)unit.plane * p.height * p.width + unit.piece * kIn;
  // A row outside reads as the nearest one inside, which is of the window too, and never better.
  dev::Packet<T, kIn> rows[kReads];
#pragma unroll
  for (int r = 0; r < kReads; ++r)
    rows[r] =
        dev::read_piece<T, kIn>(x + min(max(first_in + r, 0), p.height - 1) * p.width, p.vectors);
  A left[kReads];
  if constexpr (kWindow == 3) {
    const bool alone = threadIdx.x % 32 == 0 && unit.piece > 0;
#pragma unroll
    for (int r = 0; r < kReads; ++r) {
      left[r] = __shfl_up_sync(0xffffffffu, rows[r].value(kIn - 1), 1);
      if (alone) left[r] = dev::load(x[min(max(first_in + r, 0), p.height - 1) * p.width - 1]);
    }
  }
  if (!unit.live) return;
  const long long width_out = p.width / 2;
  const long long to =
      ((long long)unit.plane * p.out_h + first_out) * width_out + unit.piece * kOut;
  dev::Largest<kPlaces, A> above[kOut], row[kOut];
  if constexpr (kHalo > 0)
    dev::along_row<kWindow, kPlaces, T>(rows[0], left[0], unit.piece == 0, above);
#pragma unroll
  for (int o = 0; o < kRows; ++o) {
    if (first_out + o >= p.out_h) break;
    dev::Largest<kPlaces, A> best[kOut];
#pragma unroll
    for (int k = 0; k < kWindow; ++k) {
      const int r = 2 * o + k;
      if (k == 0 && kHalo > 0) {
#pragma unroll
        for (int j = 0; j < kOut; ++j) best[j] = above[j];
        continue;
      }
      dev::along_row<kWindow, kPlaces, T>(rows[r], kHalo > 0 ? left[r] : A(0), unit.piece == 0,
                                          row);
      const bool top = kHalo > 0 && k == 1 && o == 0 && first_out == 0;
#pragma unroll
      for (int j = 0; j < kOut; ++j) {
        if (k == 0)
          best[j] = row[j];
        else
          best[j].meet(row[j].value, row[j].at + k * kWindow, top);
        if (k == kWindow - 1) above[j] = row[j];
      }
    }
    A values[kOut];
    unsigned places = 0;
#pragma unroll
    for (int j = 0; j < kOut; ++j) {
      values[j] = best[j].value;
      if constexpr (kPlaces) places |= unsigned(best[j].at) << (j * dev::kPlaceBits);
    }
    dev::write_piece<T, kOut>(y + to + o * width_out, values, p.vectors);
    if constexpr (kPlaces) {
      using Places = dev::Places<T>;
      *reinterpret_cast<Places*>(where + (to + o * width_out) / 2) = Places(places);
    }
  }
}
EXPORT_FLOATING(max_pool_forward_rows, 2, false)
EXPORT_FLOATING(max_pool_forward_rows, 2, true)
EXPORT_FLOATING(max_pool_forward_rows, 3, false)
EXPORT_FLOATING(max_pool_forward_rows, 3, true)

// g: (planes, out_h, width / 2), dx: (planes, height, width). A thread gathers what the windows
// that touch its piece give it, in row-major order of the windows.
template <int kWindow, class T>
__global__ void __launch_bounds__(256)
    max_pool_backward_rows(const T* g, const unsigned char* where, T* dx,
                           const __grid_constant__ flame_params::RowPool p) {
  using A = dev::Acc<T>;
  constexpr int kIn = dev::kColumns<T>, kOut = kIn / 2, kRows = dev::kRowsOfOutputs<T>;
  constexpr int kHalo = kWindow - 2, kReads = kRows + kHalo;
  const dev::RowUnit unit(p);
  const int first = int(unit.strip) * kRows;
  const long long width_out = p.width / 2;
  const long long from = (long long)unit.plane * p.out_h * width_out + unit.piece * kOut;
  dev::Packet<T, kOut> grad[kReads];
  unsigned place[kReads];  // the last one, to the right of the piece, included
  A right[kReads];
#pragma unroll
  for (int r = 0; r < kReads; ++r) {
    const long long at = from + min(first + r, p.out_h - 1) * width_out;
    grad[r] = dev::read_piece<T, kOut>(g + at, p.vectors);
    place[r] = *reinterpret_cast<const dev::Places<T>*>(where + at / 2);
  }
  if constexpr (kHalo > 0) {
    const bool rightmost = unit.piece == p.pieces - 1;
    const bool alone = threadIdx.x % 32 == 31 && !rightmost;
#pragma unroll
    for (int r = 0; r < kReads; ++r) {
      const long long at = from + min(first + r, p.out_h - 1) * width_out + kOut;
      right[r] = __shfl_down_sync(0xffffffffu, grad[r].value(0), 1);
      unsigned next = __shfl_down_sync(0xffffffffu, place[r], 1);
      if (alone) right[r] = dev::load(g[at]), next = where[at / 2];
      next = rightmost ? dev::kNowhere : next & dev::kNowhere;
      place[r] |= next << (kOut * dev::kPlaceBits);
    }
  }
  if (!unit.live) return;
  dx += (long long)unit.plane * p.height * p.width + unit.piece * kIn;
  // Row k of the windows of output row r, added to `sums`.
  const auto give = [&](int r, int k, A(&sums)[kIn]) {
    if (first + r >= p.out_h) return;
#pragma unroll
    for (int j = 0; j < kOut + kHalo; ++j) {
      const A v = j < kOut ? grad[r].value(j < kOut ? j : 0) : right[r];
      const int at = int(place[r] >> (j * dev::kPlaceBits)) & dev::kNowhere;
#pragma unroll
      for (int c = 0; c < kWindow; ++c) {
        const int column = 2 * j - kHalo + c;
        if (column >= 0 && column < kIn && at == k * kWindow + c) sums[column] += v;
      }
    }
  };
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int row = 2 * (first + r);
    A even[kIn] = {}, odd[kIn] = {};
    give(r, kHalo, even);
    give(r, kHalo + 1, odd);
    if constexpr (kHalo > 0) give(r + 1, 0, odd);
    if (row < p.height) dev::write_piece<T, kIn>(dx + row * p.width, even, p.vectors);
    if (row + 1 < p.height) dev::write_piece<T, kIn>(dx + (row + 1) * p.width, odd, p.vectors);
  }
}
EXPORT_FLOATING(max_pool_backward_rows, 2)
EXPORT_FLOATING(max_pool_backward_rows, 3)
