// Barriers, votes, shuffles and warp reductions.
#pragma once
#include "conformance/sim/shim_core.h"

namespace simcu {

template <class F>
inline void each_lane(unsigned mask, F f) {
  for (; mask; mask &= mask - 1) f(__builtin_ctz(mask));
}

// `source` is a lane of this warp, or -1 for the caller's own value.
template <class T>
inline T shuffle(unsigned mask, T value, int source, Loc loc) {
  struct Op {
    T value;
    int source;
    T result;
    Loc loc;
  } op{value, source, value, loc};
  warp_meet(
      mask, "__shfl_sync", &op,
      [](void* const* slot, unsigned m) {
        each_lane(m, [&](int lane) {
          Op& o = *static_cast<Op*>(slot[lane]);
          if (o.source < 0) return;
          if (!(m >> o.source & 1))
            device_fault("a shuffle reads a lane that is not in its mask", o.loc);
          o.result = static_cast<Op*>(slot[o.source])->value;
        });
      },
      loc);
  return op.result;
}

template <class T, class F>
inline T warp_reduce(unsigned mask, T value, const char* name, F, Loc loc) {
  struct Op {
    T value;
  } op{value};
  warp_meet(
      mask, name, &op,
      [](void* const* slot, unsigned m) {
        T r = static_cast<Op*>(slot[__builtin_ctz(m)])->value;
        each_lane(m & (m - 1), [&](int l) { r = F{}(r, static_cast<Op*>(slot[l])->value); });
        each_lane(m, [&](int l) { static_cast<Op*>(slot[l])->value = r; });
      },
      loc);
  return op.value;
}

}  // namespace simcu

inline void __syncthreads(SIMCU_LOC) { simcu::block_barrier("__syncthreads", loc); }
inline int __syncthreads_or(int p, SIMCU_LOC) { return simcu::block_vote(p != 0, loc) != 0; }
inline int __syncthreads_and(int p, SIMCU_LOC) { return simcu::block_vote(p == 0, loc) == 0; }
inline int __syncthreads_count(int p, SIMCU_LOC) { return int(simcu::block_vote(p != 0, loc)); }
inline void __syncwarp(unsigned mask = ~0u, SIMCU_LOC) {
  simcu::warp_meet(mask, "__syncwarp", nullptr, nullptr, loc);
}
inline void __threadfence() { simcu::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { simcu::fence(); }
inline unsigned __activemask() { return simcu::active_mask(); }

// The lane that each shuffle reads, as the PTX manual defines it for sub-warps of `width`.
template <class T>
inline T __shfl_sync(unsigned mask, T v, int source, int width = 32, SIMCU_LOC) {
  const int lane = int(simcu::registers.lane);
  return simcu::shuffle(mask, v, (lane & ~(width - 1)) | (source & (width - 1)), loc);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T v, int lane_mask, int width = 32, SIMCU_LOC) {
  const int lane = int(simcu::registers.lane), source = lane ^ lane_mask;
  const bool inside = (source & ~(width - 1)) <= (lane & ~(width - 1));
  return simcu::shuffle(mask, v, inside ? source : -1, loc);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMCU_LOC) {
  const int lane = int(simcu::registers.lane);
  const bool inside = int((lane & (width - 1)) + delta) < width;
  return simcu::shuffle(mask, v, inside ? lane + int(delta) : -1, loc);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, SIMCU_LOC) {
  const int lane = int(simcu::registers.lane);
  const bool inside = (lane & (width - 1)) >= int(delta);
  return simcu::shuffle(mask, v, inside ? lane - int(delta) : -1, loc);
}

inline unsigned __ballot_sync(unsigned mask, int p, SIMCU_LOC) {
  struct BitOr {
    unsigned operator()(unsigned a, unsigned b) const { return a | b; }
  };
  return simcu::warp_reduce(mask, p ? 1u << simcu::registers.lane : 0u, "__ballot_sync", BitOr{},
                            loc);
}
inline int __any_sync(unsigned mask, int p, SIMCU_LOC) { return __ballot_sync(mask, p, loc) != 0; }
inline int __all_sync(unsigned mask, int p, SIMCU_LOC) { return __ballot_sync(mask, !p, loc) == 0; }

#define SIMCU_REDUCE(name, T, expr)                                                   \
  inline T __reduce_##name##_sync(unsigned mask, T v, SIMCU_LOC) {                    \
    return simcu::warp_reduce(                                                        \
        mask, v, "__reduce_" #name "_sync", [](T a, T b) -> T { return expr; }, loc); \
  }
SIMCU_REDUCE(add, unsigned, a + b)
SIMCU_REDUCE(add, int, int(unsigned(a) + unsigned(b)))
SIMCU_REDUCE(min, unsigned, a < b ? a : b)
SIMCU_REDUCE(min, int, a < b ? a : b)
SIMCU_REDUCE(max, unsigned, a > b ? a : b)
SIMCU_REDUCE(max, int, a > b ? a : b)
SIMCU_REDUCE(and, unsigned, a& b)
SIMCU_REDUCE(or, unsigned, a | b)
SIMCU_REDUCE(xor, unsigned, a ^ b)
#undef SIMCU_REDUCE
