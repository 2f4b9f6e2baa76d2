// Runs the blocks of a launch, thread by thread, on one OS thread.
#pragma once
#include <vector_types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "conformance/sim/fiber.h"
#include "conformance/sim/instrument.h"
#include "conformance/sim/kernels.h"
#include "conformance/sim/memory.h"
#include "conformance/sim/shim_core.h"

namespace flame::sim {

// One launch, shared by the OS threads that take blocks of it.
struct Grid {
  const Kernel* kernel = nullptr;
  void* const* args = nullptr;
  uint3 grid{}, block{};
  unsigned threads = 0;  // of one block
  unsigned dynamic_bytes = 0;
  std::uint64_t seed = 0;  // 0: everything in ascending order
  bool strict_exit = false, drop_barriers = false;
  Memory* memory = nullptr;
  std::size_t blocks = 0;
  // Block number i of the order is block (i * multiplier + offset) % blocks.
  std::size_t multiplier = 1, offset = 0;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};  // a block faulted: start no more
  // Start no block more than this long after run() began; 0: no limit.
  double give_up_after = 0;  // microseconds
};

// A fiber runs thread after thread of a block in a plain loop; only a thread that has to wait keeps
// its fiber, and the loop goes on in another. Kernels that never wait never switch.
class Executor {
 public:
  // The calling OS thread's.
  static Executor& current();
  // The same, or nullptr when this OS thread never ran a kernel. Safe in a signal handler.
  static Executor* existing();

  // Runs blocks until none is left. Gives the report of a fault, or an empty string.
  std::string run(Grid& grid);

  // Whether device code is running, as opposed to this OS thread's own code.
  bool in_kernel() const { return grid_ && !fibers_.on_main(); }
  const Grid& grid() const { return *grid_; }
  Fibers& fibers() { return fibers_; }
  Checker& checker() { return checker_; }
  // "kernel softmax<float> block (0, 0, 0) thread (3, 0, 0)", and the op if known.
  std::string who() const;
  unsigned self() const { return self_; }
  const std::vector<SharedVariable>& shared() const { return *shared_; }

  // -- called by device code (collectives.cpp, trap.cpp) --
  // Two steps, because the stack is abandoned: whatever made the report must be gone by then.
  void report(std::string text);
  [[noreturn]] void leave();
  void barrier(const char* op, simcu::Loc loc);
  unsigned vote(unsigned v, simcu::Loc loc);
  void warp_meet(unsigned mask, const char* op, void* mine, simcu::Combine combine, simcu::Loc loc);
  void async_copy(void* shared, const void* global, unsigned bytes);
  void async_commit();
  void async_wait(unsigned groups_left);
  std::byte* dynamic_shared() const { return dynamic_; }
  std::byte* dynamic_begin() const { return dynamic_begin_; }
  static constexpr std::size_t kDynamicBytes = std::size_t(228) << 10;

 private:
  // Lanes of one warp that wait for each other under one mask.
  struct Meeting {
    unsigned mask = 0, arrived = 0;
    const char* op = "";
    void* slot[32] = {};
  };
  struct Waiting {
    Fiber* fiber = nullptr;
    const char* op = nullptr;
    simcu::Loc loc;
  };
  struct AsyncCopy {
    void* shared;
    const void* global;
    unsigned bytes;
  };
  enum class Next { kStart, kResume, kBlockDone, kStuck };

  Executor();
  ~Executor();
  friend struct ExecutorOfThread;

  static void body(void* self) { static_cast<Executor*>(self)->loop(); }
  [[noreturn]] void loop();
  Next next();
  void start_thread();
  void finish_thread();
  bool begin_block();
  void poison_shared();
  void shuffle_threads();
  void set_thread(unsigned t);
  void park(const char* op, simcu::Loc loc);
  void wake(unsigned t) { ready_.push_back(t); }
  void release_barrier_if_full();
  std::string stuck() const;
  std::uint64_t random();

  Fibers fibers_{&body, this};
  Checker checker_;
  Grid* grid_ = nullptr;
  std::chrono::steady_clock::time_point began_;
  const std::vector<SharedVariable>* shared_ = nullptr;
  std::byte* thread_locals_ = nullptr;
  std::byte *dynamic_begin_ = nullptr, *dynamic_ = nullptr;
  std::uint64_t random_ = 0;
  std::string error_;

  // of the block
  unsigned started_ = 0, done_ = 0, self_ = 0;
  std::vector<unsigned> order_;  // of starting, when shuffled
  std::vector<unsigned> ready_;  // may be resumed, from head_ on
  std::size_t head_ = 0;
  unsigned resume_ = 0;           // what next() chose
  std::vector<Waiting> waiting_;  // by thread
  std::vector<unsigned char> exited_;
  std::vector<unsigned> at_barrier_;
  const char* barrier_op_ = nullptr;
  unsigned votes_[2] = {}, generation_ = 0;
  std::vector<std::vector<Meeting>> meetings_;  // by warp
  std::vector<std::vector<std::vector<AsyncCopy>>>
      pending_;  // by thread and group; the last is open
};

}  // namespace flame::sim
