// The access checker of the instrumented build: every load and store of a kernel, against races,
// uninitialised memory, bounds, alignment and host pointers.
//
// Kernel files are compiled with -fsanitize=thread, but the compiler's callbacks land here instead
// of in libtsan: what orders two accesses is CUDA's barriers, not a host's locks. In the plain
// build nothing of this runs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "conformance/sim/shadow.h"

namespace flame::sim {

class Executor;

class Checker {
 public:
  void begin_launch(Executor& executor);
  void end_launch() { executor_ = nullptr; }
  void begin_block(std::size_t block);
  void block_synced();
  void warp_synced(unsigned warp) { warp_stamp_[warp] = ++warp_clock_; }
  // Only between listen(true) and listen(false) are accesses a kernel's own.
  void listen(bool on) { listening_ = on; }
  bool listening() const { return listening_; }

  // What a thread did before its fence, whoever sees a later atomic of it and fences may rely on.
  void fenced();
  void access(std::uintptr_t address, std::size_t bytes, bool write, bool atomic, const void* pc);
  // The first thing that was wrong in this launch, with file and line, or an empty string.
  std::string report() const;

 private:
  struct Place {
    Cell* cells = nullptr;  // nullptr: not tracked, or a problem
    bool shared = false;
    std::string problem;
  };
  struct Window {  // the allocation that was touched last, to find the next access quickly
    std::uintptr_t begin = 0, end = 0;
    Cell* cells = nullptr;
  };
  struct Access {
    std::uintptr_t address;
    bool write, atomic, shared;
    const void* pc;
  };

  Place find(std::uintptr_t address, std::size_t bytes);
  Place find_global(std::uintptr_t address, std::size_t bytes);
  Place find_dynamic(std::uintptr_t address, std::size_t bytes);
  Place find_static(std::uintptr_t address, std::size_t bytes);
  std::uint32_t self() const;
  bool same_warp(std::uint32_t thread) const;
  bool ordered(std::uint32_t epoch, std::uint32_t warp, std::uint32_t thread, bool shared) const;
  void check_cell(Cell& cell, unsigned mask, const Access& a);
  void remember_read(Cell& cell, unsigned mask, bool shared) const;
  std::string name_of(std::uintptr_t address) const;
  void found(const std::string& what, const Access& a);
  void atomic_seen(std::uintptr_t address);
  bool handed_over(std::uint32_t epoch, std::uint32_t thread) const;

  Executor* executor_ = nullptr;
  bool listening_ = false;
  // Time: an epoch ends at every block-wide barrier; launches and blocks start new ones.
  std::uint32_t epoch_ = 1, launch_first_ = 1, block_first_ = 1;
  std::uint32_t warp_clock_ = 1, warp_stamp_[32] = {};
  std::uint32_t block_ = 0;
  // What blocks of this launch hand to each other. All that `thread` and, before its block's last
  // barrier then, the others of its block did by `epoch`: told by its fence, and by an atomic after
  // it; known to a thread `to` of this block since its epoch `since`, and to all after a barrier.
  struct Told {
    std::uint32_t thread, epoch;
  };
  struct Known {
    Told told;
    std::uint32_t to, since;
  };
  std::map<std::uint32_t, std::uint32_t> fences_;     // of this block: thread to epoch
  std::map<std::uintptr_t, std::vector<Told>> told_;  // by the word that said so
  std::map<std::uint32_t, std::vector<Told>> seen_;   // of this block, before its fence
  std::vector<Known> known_;
  std::vector<Cell> dynamic_cells_, static_cells_;
  std::vector<std::size_t> static_first_;             // of each shared variable, in static_cells_
  std::uintptr_t locals_begin_ = 0, locals_end_ = 0;  // this OS thread's thread-local data
  Window window_;
  std::string error_;
  const void* error_pc_ = nullptr;
};

}  // namespace flame::sim
