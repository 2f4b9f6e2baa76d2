// Max pooling with square windows of 2 or 3 and stride 2 (3: padding 1), the shapes of most
// networks, where rows are whole pieces of 4 elements (8 of a half type). A thread takes a piece of
// some rows, reads each element once and compares it once for all windows of the column or row.
// Traffic: x read, y written once; backward g read, dx written once; the places of the maxima take
// 4 bits each, those of a thread in one word.
// NaN wins; the first maximum in row-major order of the window is the one, and takes the gradient.
#include "pool_numbers.cuh"
#include "pool_pairs.cuh"
#include "row_unit.cuh"

namespace dev {

// The places of a thread.
template <int kBits>
struct WordOf {
  using type = unsigned char;
};
template <>
struct WordOf<16> {
  using type = unsigned short;
};
template <>
struct WordOf<32> {
  using type = unsigned;
};
template <class T>
inline constexpr int kRowsOfOutputs = flame_params::pool_rows(sizeof(T));
template <class T>
using Places = typename WordOf<kRowsOfOutputs<T> * kColumns<T> * 2>::type;

// The rows of a piece, row r where `at(r)` says.
template <class T, int V, int kReads, class At>
__device__ __forceinline__ void read_pieces(Packet<T, V> (&rows)[kReads], bool vectors, At at) {
  if (vectors) {
#pragma unroll
    for (int r = 0; r < kReads; ++r)
      rows[r].raw = *reinterpret_cast<const decltype(rows[r].raw)*>(at(r));
  } else {
#pragma unroll
    for (int r = 0; r < kReads; ++r) {
      rows[r].clear();
#pragma unroll
      for (int j = 0; j < V; ++j) rows[r].set(j, at(r)[j]);
    }
  }
}

// Rows `first`, first + 1, ... of each thread's plane. Where the rows of a warp follow one another
// in memory (p.whole), through shared memory and in the order of memory, 16 bytes a lane: rows that
// end within a sector or a line are no writes of their own then. All threads call it.
template <int kRows, class T, int V>
__device__ __forceinline__ void write_rows(T* to, const Packet<T, V> (&rows)[kRows],
                                           const RowUnit& unit, unsigned thread, int first,
                                           int height, int width, const flame_params::RowPool& p) {
  using Raw = decltype(Packet<T, V>::raw);
  using Words = Vec<unsigned, 4>;
  constexpr unsigned kWords = kRows * sizeof(Raw) / sizeof(Words);
  static_assert(kWords * sizeof(Words) == kRows * sizeof(Raw));
  if (p.whole) {
    __shared__ __align__(32) Words stage[256 * kWords];
    Words* mine = stage + threadIdx.x / 32 * 32 * kWords;
    const unsigned lane = threadIdx.x % 32;
    __syncwarp();  // what was written last has been read
    if (unit.live) {
      Raw* line = reinterpret_cast<Raw*>(mine) + (lane - unit.piece) * kRows + unit.piece;
#pragma unroll
      for (int r = 0; r < kRows; ++r) line[r * p.units.pieces] = rows[r].raw;
    }
    __syncwarp();
    const unsigned line = thread / 32 * p.units.together;
    if (line >= p.units.lines) return;
    const unsigned words = min(p.units.together, p.units.lines - line) * p.units.pieces * kWords;
    Words* out = reinterpret_cast<Words*>(to) + (long long)line * p.units.pieces * kWords;
#pragma unroll
    for (unsigned i = 0; i < kWords; ++i)
      if (lane + 32 * i < words) out[lane + 32 * i] = mine[lane + 32 * i];
  } else if (unit.live) {
    to += ((long long)unit.plane * height + first) * width + unit.piece * V;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (first + r >= height) break;
      if (p.vectors) {
        *reinterpret_cast<Raw*>(to + r * width) = rows[r].raw;
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j) to[r * width + j] = rows[r].get(j);
      }
    }
  }
}

// Where a window's largest is NaN its place is that of the first NaN. x: the thread's piece of its
// plane; few values are NaN, so that they may be read again.
template <int kWindow, class T>
__device__ __noinline__ unsigned places_of_nan(const T* x, unsigned places, int first_out,
                                               bool leftmost, const flame_params::RowPool& p) {
  constexpr int kOut = kColumns<T> / 2, kHalo = kWindow - 2;
#pragma unroll 1
  for (int i = 0; i < kRowsOfOutputs<T> * kOut; ++i)
#pragma unroll 1
    for (int k = kWindow * kWindow - 1; k >= 0; --k) {  // the first one is found last
      const int row = k / kWindow, column = k - row * kWindow;
      const int h = 2 * (first_out + i / kOut) - kHalo + row, w = 2 * (i % kOut) - kHalo + column;
      if (unsigned(h) >= unsigned(p.height) || (w < 0 && leftmost)) continue;
      const Acc<T> v = load(x[h * p.width + w]);
      if (v != v) places = (places & ~(15u << 4 * i)) | place_of<kWindow>(row, column) << 4 * i;
    }
  return places;
}

}  // namespace dev

namespace dev {

template <class T, int kReads>
struct PoolRows {
  Packet<T, kColumns<T>> row[kReads];
};
template <class T, int kReads>
struct PoolGradients {
  Packet<T, kColumns<T> / 2> row[kReads];
  unsigned own, below;  // the places of this thread's windows, and of the row below
};

}  // namespace dev

// x: (planes, height, width), y: (planes, out_h, width / 2); where: a word of places for each
// piece, as in kernels/pool_pairs.cuh; kPlaces: wanted.
template <int kWindow, bool kPlaces, class T>
__global__ void __launch_bounds__(256)
    max_pool_forward_rows(const T* x, T* y, dev::Places<T>* where,
                          const __grid_constant__ flame_params::RowPool p) {
  constexpr int kIn = dev::kColumns<T>, kOut = kIn / 2, kRows = dev::kRowsOfOutputs<T>;
  constexpr int kHalo = kWindow - 2, kReads = 2 * kRows + kHalo;
  using Rows = dev::PoolRows<T, kReads>;
  const auto piece_of = [&](const dev::RowUnit& unit) {
    return x + (long long)unit.plane * p.height * p.width + unit.piece * kIn;
  };
  const auto read = [&](const dev::RowUnit& unit) {
    const T* from = piece_of(unit);
    const int first = 2 * kRows * int(unit.strip) - kHalo;
    // A row outside reads as the nearest one inside, which is of the window too, and never better.
    Rows rows;
    dev::read_pieces(rows.row, p.vectors,
                     [&](int r) { return from + min(max(first + r, 0), p.height - 1) * p.width; });
    return rows;
  };
  const auto work = [&](const dev::RowUnit& unit, unsigned thread, const Rows& rows) {
    const int first_out = int(unit.strip) * kRows;
    const bool leftmost = unit.piece == 0, top = kHalo > 0 && unit.strip == 0;
    dev::Packet<T, kOut> out[kRows];
    unsigned places = 0;
    if constexpr (sizeof(T) == 2) {
      unsigned any = 0;
#pragma unroll
      for (int o = 0; o < kRows; ++o) {
        const dev::PairWindow<kWindow, kPlaces, T> found(rows.row + 2 * o, top && o == 0, leftmost);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          out[o].raw.v[i] = found.out[i];
          any = dev::larger_or_nan_pair(any, found.out[i], T());
        }
        places |= found.places << (16 * o);
      }
      if (kPlaces && dev::equal_pair(any, any, T()) != 0xffffffffu)
        places = dev::places_of_nan<kWindow, T>(piece_of(unit), places, first_out, leftmost, p);
    } else {
      places = dev::pool_numbers<kWindow, kPlaces, T>(rows.row, top, leftmost, out);
    }
    if constexpr (kPlaces) {
      const int there = p.out_h - first_out;  // the rest: nowhere
      if (there < kRows) places |= ~0u << (4 * kOut * there);
      if (unit.live) where[unit.line * p.units.pieces + unit.piece] = dev::Places<T>(places);
    }
    dev::write_rows<kRows, T, kOut>(y, out, unit, thread, first_out, p.out_h, p.width / 2, p);
  };
  dev::in_turns<flame_params::pool_turns(sizeof(T), kPlaces), Rows>(p.units, read, work);
}
EXPORT_FLOATING(max_pool_forward_rows, 2, false)
EXPORT_FLOATING(max_pool_forward_rows, 2, true)
EXPORT_FLOATING(max_pool_forward_rows, 3, false)
EXPORT_FLOATING(max_pool_forward_rows, 3, true)

// g: (planes, out_h, width / 2), dx: (planes, height, width). A thread gathers what the windows
// that touch its piece give it, in row-major order of the windows.
template <int kWindow, class T>
__global__ void __launch_bounds__(256)
    max_pool_backward_rows(const T* g, const dev::Places<T>* where, T* dx,
                           const __grid_constant__ flame_params::RowPool p) {
  using A = dev::Acc<T>;
  constexpr int kIn = dev::kColumns<T>, kOut = kIn / 2, kRows = dev::kRowsOfOutputs<T>;
  constexpr int kHalo = kWindow - 2, kReads = kRows + kHalo;
  using Gradients = dev::PoolGradients<T, kReads>;
  const auto read = [&](const dev::RowUnit& unit) {
    const int width_out = p.width / 2, first = int(unit.strip) * kRows;
    const T* from = g + (long long)unit.plane * p.out_h * width_out + unit.piece * kOut;
    Gradients grad;
    dev::read_pieces(grad.row, p.vectors,
                     [&](int r) { return from + min(first + r, p.out_h - 1) * width_out; });
    const dev::Places<T>* at = where + (unit.line * p.units.pieces + unit.piece);
    grad.own = *at;
    grad.below = ~0u;  // nowhere
    if (kHalo > 0 && unit.strip + 1 < p.units.strips) grad.below = at[p.units.pieces];
    return grad;
  };
  const auto work = [&](const dev::RowUnit& unit, unsigned thread, const Gradients& grad) {
    dev::Packet<T, kIn> out[2 * kRows];
    if constexpr (sizeof(T) == 2) {
      const dev::PairGradients<kWindow, T> pairs(grad.row, grad.own, grad.below);
      pairs.spread(unit.piece == p.units.pieces - 1, out);
    } else {
      // The windows to the right of the piece.
      unsigned next = ~0u, next_below = ~0u;
      A right[kReads];
      if constexpr (kHalo > 0) {
        next = __shfl_down_sync(0xffffffffu, grad.own, 1);
        next_below = __shfl_down_sync(0xffffffffu, grad.below, 1);
        if (unit.piece == p.units.pieces - 1) next = next_below = ~0u;
#pragma unroll
        for (int r = 0; r < kReads; ++r)
          right[r] = __shfl_down_sync(0xffffffffu, grad.row[r].value(0), 1);
      }
      // Row k of the windows of output row r, added to `sums`.
      const auto give = [&](int r, int k, A(&sums)[kIn]) {
#pragma unroll
        for (int j = 0; j < kOut + kHalo; ++j) {
          const A v = j < kOut ? grad.row[r].value(j < kOut ? j : 0) : right[r];
          const unsigned word =
              r < kRows ? (j < kOut ? grad.own : next) : (j < kOut ? grad.below : next_below);
          const unsigned at = word >> (4 * (r % kRows * kOut + j % kOut)) & 15u;
#pragma unroll
          for (int c = 0; c < kWindow; ++c) {
            const int column = 2 * j - kHalo + c;
            // Not an addition under a condition, which became a branch.
            if (column >= 0 && column < kIn)
              sums[column] = at == dev::place_of<kWindow>(k, c) ? sums[column] + v : sums[column];
          }
        }
      };
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        A even[kIn] = {}, odd[kIn] = {};
        give(r, kHalo, even);
        give(r, kHalo + 1, odd);
        if constexpr (kHalo > 0) give(r + 1, 0, odd);
        out[2 * r].assign(even);
        out[2 * r + 1].assign(odd);
      }
    }
    dev::write_rows<2 * kRows, T, kIn>(dx, out, unit, thread, 2 * kRows * int(unit.strip), p.height,
                                       p.width, p);
  };
  dev::in_turns<1, Gradients>(p.units, read, work);
}
EXPORT_FLOATING(max_pool_backward_rows, 2)
EXPORT_FLOATING(max_pool_backward_rows, 3)
