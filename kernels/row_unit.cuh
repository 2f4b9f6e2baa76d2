// Images cut into strips of rows and these into pieces of neighbouring columns, one to a thread.
// The pieces of a strip, side by side, are a line; lines follow one another as they do in memory.
// A warp takes whole lines, so that a shuffle brings what the neighbours have read.
#pragma once
#include "packed.cuh"

namespace dev {

__device__ __forceinline__ unsigned quotient(unsigned n, unsigned factor, int shift) {
  return unsigned((unsigned long long)n * factor >> shift);
}

struct RowUnit {
  bool live;  // else its reads are somebody's, and it writes nothing
  unsigned piece, strip, plane, line;

  // Of thread `thread` of those that share `lines` lines.
  __device__ __forceinline__ RowUnit(const flame_params::RowUnits& p, unsigned thread,
                                     unsigned lines) {
    const unsigned lane = thread % 32, warp = thread / 32;
    if (p.together > 0) {
      const unsigned row = quotient(lane, p.pieces_factor, p.pieces_shift);
      line = warp * p.together + row;
      piece = lane - row * p.pieces;
      live = row < p.together && line < lines;
    } else {
      line = quotient(warp, p.segments_factor, p.segments_shift);
      const int at = int((warp - line * p.segments) * flame_params::kSegment + lane) - 1;
      piece = unsigned(min(max(at, 0), int(p.pieces) - 1));
      live = lane >= 1 && lane <= flame_params::kSegment && at < int(p.pieces) && line < lines;
    }
    line = min(line, lines - 1);
    plane = quotient(line, p.strips_factor, p.strips_shift);
    strip = line - plane * p.strips;
  }
};

// Calls `read` and `work` for each of a thread's pieces: what the next one needs is read before the
// work on this one, so that memory is busy all the time. Blocks take pieces in the order of memory.
template <int kTurns, class Input, class Read, class Work>
__device__ __forceinline__ void in_turns(const flame_params::RowUnits& p, Read read, Work work) {
  unsigned thread = blockIdx.x * kTurns * blockDim.x + threadIdx.x;
  RowUnit unit(p, thread, p.lines);
  Input input = read(unit);
#pragma unroll 1
  for (int i = 1; i < kTurns; ++i) {
    const RowUnit next(p, thread + blockDim.x, p.lines);
    const Input ahead = read(next);
    work(unit, thread, input);
    thread += blockDim.x;
    unit = next;
    input = ahead;
  }
  work(unit, thread, input);
}

// A piece and the elements beside it, kLeft before and kRight behind, as numbers; outside the row
// they are 0. All lanes call it.
template <int kLeft, int kRight, int V, class T>
struct WidePiece {
  Acc<T> v[kLeft + V + kRight];

  __device__ __forceinline__ WidePiece(const Packet<T, V>& mine, bool leftmost, bool rightmost) {
    constexpr int kPer = sizeof(T) == 2 && V % 2 == 0 ? 2 : 1;  // elements of a word
#pragma unroll
    for (int j = 0; j < V; ++j) v[kLeft + j] = mine.value(j);
    Packet<T, V> side = mine;
#pragma unroll
    for (int i = 0; i < V / kPer; ++i)
      if ((i + 1) * kPer > V - kLeft) {
        side.raw.v[i] = __shfl_up_sync(0xffffffffu, mine.raw.v[i], 1);
        if (leftmost) side.raw.v[i] = 0;
      }
#pragma unroll
    for (int j = 0; j < kLeft; ++j) v[j] = side.value(V - kLeft + j);
    side = mine;
#pragma unroll
    for (int i = 0; i < V / kPer; ++i)
      if (i * kPer < kRight) {
        side.raw.v[i] = __shfl_down_sync(0xffffffffu, mine.raw.v[i], 1);
        if (rightmost) side.raw.v[i] = 0;
      }
#pragma unroll
    for (int j = 0; j < kRight; ++j) v[kLeft + V + j] = side.value(j);
  }
};

}  // namespace dev
