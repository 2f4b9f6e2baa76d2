// Maxima of types that are not halves, for kernels/pool_rows.cu: the columns of each row first,
// which two windows may share, then the rows; values and places together.
#pragma once
#include "packed.cuh"
#include "ptx.cuh"

namespace dev {

// Columns of a thread.
template <class T>
inline constexpr int kColumns = sizeof(T) == 2 ? 8 : 4;

// A place in a window of kWindow, 4 bits: the rows and the columns from its end, so that of two
// places the larger one is the first in row-major order.
template <int kWindow>
__device__ __forceinline__ constexpr unsigned place_of(int row, int column) {
  return unsigned((kWindow - 1 - row) * 4 + kWindow - 1 - column);
}

// The largest value so far and where it was. Without places one instruction does.
template <bool kPlaces, class A>
struct Largest {
  A value;
  unsigned at;

  // Of what comes later in row-major order; `first`: nothing came before.
  __device__ __forceinline__ void meet(A v, unsigned place, bool first = false) {
    if constexpr (kPlaces || sizeof(A) == 8) {
      if (first || (!(v <= value) && value == value)) value = v, at = place;
    } else {
      value = larger_or_nan(value, v);
    }
  }
};

// The largest of each window's part of one row; all lanes call it.
template <int kWindow, bool kPlaces, class T>
__device__ __forceinline__ void along_row(const Packet<T, kColumns<T>>& row, bool leftmost,
                                          Largest<kPlaces, Acc<T>> (&out)[kColumns<T> / 2]) {
  constexpr int kLast = kWindow - 1;
  Acc<T> left = 0;
  if constexpr (kWindow == 3) {
    left = __shfl_up_sync(0xffffffffu, row.value(kColumns<T> - 1), 1);
    if (leftmost) left = Acc<T>(-inf());
  }
#pragma unroll
  for (int j = 0; j < kColumns<T> / 2; ++j) {
    const Acc<T> a = row.value(2 * j), b = row.value(2 * j + 1);
    if constexpr (kWindow == 3) {
      out[j] = {j > 0 ? row.value(2 * j > 0 ? 2 * j - 1 : 0) : left, place_of<kWindow>(kLast, 0)};
      out[j].meet(a, place_of<kWindow>(kLast, 1));
      // The column outside is never the place, though nothing may be better.
      if (j == 0 && leftmost) out[j].at = min(out[j].at, place_of<kWindow>(kLast, 1));
    } else {
      out[j] = {a, place_of<kWindow>(kLast, 0)};
    }
    out[j].meet(b, place_of<kWindow>(kLast, kLast));
  }
}

// Outputs of a thread and their places, of types that are not halves.
template <int kWindow, bool kPlaces, class T, int kReads, int kRows>
__device__ __forceinline__ unsigned pool_numbers(const Packet<T, kColumns<T>> (&rows)[kReads],
                                                 bool top, bool leftmost,
                                                 Packet<T, kColumns<T> / 2> (&out)[kRows]) {
  using A = Acc<T>;
  constexpr int kOut = kColumns<T> / 2;
  Largest<kPlaces, A> found[kReads][kOut];
#pragma unroll
  for (int r = 0; r < kReads; ++r) along_row<kWindow, kPlaces, T>(rows[r], leftmost, found[r]);
  unsigned places = 0;
#pragma unroll
  for (int o = 0; o < kRows; ++o) {
    A values[kOut];
#pragma unroll
    for (int j = 0; j < kOut; ++j) {
      Largest<kPlaces, A> best = found[2 * o][j];
      best.at += place_of<kWindow>(0, kWindow - 1);
#pragma unroll
      for (int k = 1; k < kWindow; ++k) {
        const Largest<kPlaces, A>& row = found[2 * o + k][j];
        best.meet(row.value, row.at + place_of<kWindow>(k, kWindow - 1),
                  kWindow == 3 && k == 1 && o == 0 && top);
      }
      values[j] = best.value;
      places |= best.at << (4 * (o * kOut + j));
    }
    out[o].assign(values);
  }
  return places;
}

}  // namespace dev
