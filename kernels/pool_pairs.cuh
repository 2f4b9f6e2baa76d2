// Maxima of half types two at a time, for kernels/pool_rows.cu: the rows of a window first, then
// its columns. The largest values come from maxima of pairs; where they were, from comparing for
// equality afterwards, which NaN alone spoils.
#pragma once
#include "pool_numbers.cuh"

namespace dev {

// The outputs of a row of 8 columns, four of them in two words, from the window's rows. `places`:
// 4 bits each, wrong where the largest is NaN. `top`: the first row repeats the second one.
template <int kWindow, bool kPlaces, class T>
struct PairWindow {
  using Row = Packet<T, 8>;
  unsigned out[2];
  unsigned places = 0;

  __device__ __forceinline__ PairWindow(const Row* rows, bool top, bool leftmost) {
    unsigned v[4], code[4];  // of each column: the largest, and its row in the form of a place
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const unsigned a = rows[0].raw.v[i], b = rows[1].raw.v[i];
      v[i] = larger_or_nan_pair(a, b, T());
      if constexpr (kWindow == 3) v[i] = larger_or_nan_pair(v[i], rows[2].raw.v[i], T());
      if constexpr (kPlaces) {
        const unsigned first = equal_pair(a, v[i], T());
        if constexpr (kWindow == 3) {
          constexpr unsigned kSecond = 0x00040004u;
          const unsigned second = equal_pair(b, v[i], T());
          code[i] = ((first & ~kSecond) | (second & ~first & kSecond)) & 0x000c000cu;
        } else {
          code[i] = first & 0x00040004u;
        }
      } else {
        code[i] = 0;
      }
    }
    unsigned before = 0;  // the column before: its largest in the low half, its row in the high one
    unsigned column = 0x00020002u;
    if constexpr (kWindow == 3) {
      before = __shfl_up_sync(0xffffffffu, __byte_perm(v[3], code[3], 0x7632), 1);
      if (leftmost) before = v[0] & 0xffffu, column = 0x00020000u;  // repeats the first column
    }
    unsigned place[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const unsigned left =
          i == 0 ? __byte_perm(before, v[0], 0x7610) : __byte_perm(v[1], v[2], 0x7632);
      const unsigned middle = __byte_perm(v[2 * i], v[2 * i + 1], 0x5410);
      const unsigned right = __byte_perm(v[2 * i], v[2 * i + 1], 0x7632);
      out[i] = larger_or_nan_pair(middle, right, T());
      if constexpr (kWindow == 3) out[i] = larger_or_nan_pair(out[i], left, T());
      if constexpr (kPlaces) {
        // Places are small numbers, whose order as subnormal numbers is the same.
        const unsigned in_middle = __byte_perm(code[2 * i], code[2 * i + 1], 0x5410) | 0x00010001u;
        const unsigned in_right = __byte_perm(code[2 * i], code[2 * i + 1], 0x7632);
        place[i] = larger_or_nan_pair(equal_pair(middle, out[i], T()) & in_middle,
                                      equal_pair(right, out[i], T()) & in_right, T());
        if constexpr (kWindow == 3) {
          const unsigned in_left = i == 0 ? __byte_perm(before, code[0], 0x7632) | column
                                          : __byte_perm(code[1], code[2], 0x7632) | 0x00020002u;
          place[i] = larger_or_nan_pair(place[i], equal_pair(left, out[i], T()) & in_left, T());
        }
      }
    }
    if constexpr (kPlaces) {
      places = __byte_perm(place[0] | place[0] >> 12, place[1] | place[1] >> 12, 0x7740) & 0xffffu;
      if (kWindow == 3 && top) places -= (places & 0x8888u) >> 1;
    }
  }
};

// What the windows give to the elements of a piece, two windows at a time: a window's gradient is
// kept by comparing its place and cut away by the mask. `own`: the places of two rows of windows;
// `below`: of the row below them. All lanes call it.
template <int kWindow, class T>
struct PairGradients {
  const Packet<T, 4>* grad;
  unsigned code[3][2];  // places of two windows in the halves of a word

  __device__ __forceinline__ PairGradients(const Packet<T, 4>* rows, unsigned own, unsigned below)
      : grad(rows) {
#pragma unroll
    for (int r = 0; r < 3; ++r)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        code[r][i] =
            __byte_perm(r < 2 ? own : below, 0, 0x4440 + (r < 2 ? 2 * r + i : i)) * 0x1001u &
            0x000f000fu;
  }
  // What windows 2 i and 2 i + 1 of row r give to their element (k, c).
  __device__ __forceinline__ unsigned given(int r, int k, int c, int i) const {
    const unsigned place = place_of<kWindow>(k, c);
    return equal_pair(code[r][i], place | place << 16, T()) & grad[r].raw.v[i];
  }
  // An even and an odd column of each of two windows, to memory's order.
  __device__ __forceinline__ static void put(Packet<T, 8>& row, int i, unsigned even,
                                             unsigned odd) {
    row.raw.v[2 * i] = __byte_perm(even, odd, 0x5410);
    row.raw.v[2 * i + 1] = __byte_perm(even, odd, 0x7632);
  }
  __device__ __forceinline__ static unsigned sum(unsigned a, unsigned b, unsigned c, unsigned d) {
    float total[2];
#pragma unroll
    for (int k = 0; k < 2; ++k)
      total[k] = widen<T>(a, k) + widen<T>(b, k) + widen<T>(c, k) + widen<T>(d, k);
    return round_pair<T>(total[0], total[1]);
  }

  __device__ __forceinline__ void spread(bool rightmost, Packet<T, 8> (&out)[4]) const {
    if constexpr (kWindow == 2) {
#pragma unroll
      for (int r = 0; r < 2; ++r)
#pragma unroll
        for (int k = 0; k < 2; ++k)
#pragma unroll
          for (int i = 0; i < 2; ++i) put(out[2 * r + k], i, given(r, k, 0, i), given(r, k, 1, i));
    } else {
      // First columns of windows lie in the piece of the window before: moved by one window, the
      // last of them from the next lane. Rows k of row r: two of these to a word of the shuffle.
      constexpr int kRow[6] = {0, 0, 1, 1, 1, 2}, kK[6] = {1, 2, 0, 1, 2, 0};
      unsigned first[6][2], moved[6][2];
#pragma unroll
      for (int n = 0; n < 6; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) first[n][i] = given(kRow[n], kK[n], 0, i);
#pragma unroll
      for (int n = 0; n < 6; n += 2) {
        unsigned next = __byte_perm(first[n][0], first[n + 1][0], 0x5410);
        next = __shfl_down_sync(0xffffffffu, next, 1);
        if (rightmost) next = 0;
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          moved[n + m][0] = __byte_perm(first[n + m][0], first[n + m][1], 0x5432);
          moved[n + m][1] = __byte_perm(first[n + m][1], next, m == 0 ? 0x5432 : 0x7632);
        }
      }
#pragma unroll
      for (int r = 0; r < 2; ++r)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int n = r == 0 ? 0 : 3;  // where row 1 of row r's windows is
          put(out[2 * r], i, given(r, 1, 1, i), add_pair(given(r, 1, 2, i), moved[n][i], T()));
          const int below = r == 0 ? 2 : 5;
          put(out[2 * r + 1], i, add_pair(given(r, 2, 1, i), given(r + 1, 0, 1, i), T()),
              sum(given(r, 2, 2, i), moved[n + 1][i], given(r + 1, 0, 2, i), moved[below][i]));
        }
    }
  }
};

}  // namespace dev
