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

}  // namespace dev
