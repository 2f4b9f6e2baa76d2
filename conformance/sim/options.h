// How a simulated device behaves.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace flame::sim {

struct Options {
  // 0: blocks and threads in ascending order. Else: a random order of blocks, warps, lanes and
  // resumptions drawn from this number, the same on every run.
  std::uint64_t seed = 0;
  // An allocation ends flush with a guard page up to this alignment (a power of two >= 16). 256 is
  // CUDA's; 16 traps an overrun at the instruction rather than finding it after the launch.
  std::size_t align = 256;
  // Device memory is closed to the host, has guard pages, and launches know what they touched. Off:
  // no traps, no read and write sets, launches several times cheaper; overruns are still found.
  bool protect = true;
  // Copying words to the host that nothing wrote is a DriverError.
  bool report_unwritten = true;
  // __syncthreads() that an exited thread will never reach is an error (CUDA forgives it).
  bool strict_exit = false;
  // Kernels in which __syncthreads() does nothing: a glob over normalized expressions, empty for
  // none. Plants a missing barrier into any real kernel.
  std::string drop_barriers = {};
  // OS threads that the blocks of one launch are spread over; 0: FLAME_SIM_THREADS, else one per
  // core. One with a seed and in the instrumented build.
  int threads = 0;
  // Device bytes; beyond it OutOfMemoryError.
  std::size_t memory_limit = std::size_t(16) << 30;
  // Events the ledger keeps (the newest); 0 switches it off.
  std::size_t ledger_capacity = std::size_t(1) << 16;
  // Launches, copies and fills wait in their streams until something forces them; streams that no
  // event orders run in an order drawn from `seed`. Faults are then thrown by the call that forces.
  bool deferred = false;
};

}  // namespace flame::sim
