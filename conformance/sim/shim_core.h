// Keywords, built-in variables and the calls into the executor.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "conformance/sim/registry.h"

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __launch_bounds__
#undef __grid_constant__
#undef __forceinline__
#undef __noinline__
#undef __cluster_dims__
#undef __managed__
#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __constant__ static const
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
// A block runs on one OS thread, so its shared memory is that thread's. `thread_local` at block
// scope implies static, which is what __shared__ means there.
#define __shared__ thread_local

namespace simcu {

// Where a device call stands in a kernel file: std::source_location without its size.
struct Loc {
  const char* file = "";
  int line = 0;
  static constexpr Loc current(const char* f = __builtin_FILE(), int l = __builtin_LINE()) {
    return {f, l};
  }
};

// The special registers of the thread that is running.
struct Registers {
  uint3 thread, block, block_dim, grid_dim;
  unsigned lane;
};
inline constinit thread_local Registers registers{};

// -- the executor's side (collectives.cpp) --
// One primitive for everything warp-wide: each lane of `mask` leaves a pointer, and the last to
// arrive runs `combine` over all of them (slot[lane], nullptr for lanes that are not there).
using Combine = void (*)(void* const* slot, unsigned mask);
void warp_meet(unsigned mask, const char* op, void* mine, Combine combine, Loc loc);
void block_barrier(const char* op, Loc loc);
// Barrier that also sums `v` over the block.
unsigned block_vote(unsigned v, Loc loc);
void* dynamic_shared();
unsigned dynamic_shared_bytes();
unsigned active_mask();
[[noreturn]] void device_fault(const char* what, Loc loc);
// What __trap() and a failed assert do.
[[noreturn]] void trap(Loc loc);
// cp.async: nothing arrives before the wait that covers it.
void async_copy(void* shared, const void* global, unsigned bytes, Loc loc);
void async_commit();
void async_wait(unsigned groups_left);

// -- the access checker (instrument.cpp); calls that do nothing in the plain build --
// An access that the compiler does not see: of model code, or atomic.
void note_access(const void* p, unsigned bytes, bool write);
void note_atomic(const void* p, unsigned bytes);
void note_fence();
#ifdef FLAME_SIM_INSTRUMENT
inline void note(const void* p, unsigned bytes, bool write) { note_access(p, bytes, write); }
inline void atomic_access(const void* p, unsigned bytes) { note_atomic(p, bytes); }
inline void fence() { note_fence(); }
#else
inline void note(const void*, unsigned, bool) {}
inline void atomic_access(const void*, unsigned) {}
inline void fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }  // blocks on other OS threads
#endif

}  // namespace simcu

// Read-only, as on the device.
#define threadIdx (const_cast<const uint3&>(::simcu::registers.thread))
#define blockIdx (const_cast<const uint3&>(::simcu::registers.block))
#define blockDim (const_cast<const uint3&>(::simcu::registers.block_dim))
#define gridDim (const_cast<const uint3&>(::simcu::registers.grid_dim))
inline constexpr int warpSize = 32;

// Last parameter of every device function that can wait or fault.
#define SIMCU_LOC ::simcu::Loc loc = ::simcu::Loc::current()
