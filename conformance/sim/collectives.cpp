// Barriers, warp-wide operations and asynchronous copies: where device threads meet.
#include <cstring>

#include "conformance/sim/executor.h"
#include "conformance/sim/text.h"
#include "lib/core/error.h"

namespace flame::sim {
namespace {

bool same(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }

// While the simulator's own code runs on a device thread, the access checker looks away.
class HostSection {
 public:
  explicit HostSection(Executor& e) : executor_(e) {
    if constexpr (kInstrumented) executor_.checker().listen(false);
  }
  ~HostSection() {
    if constexpr (kInstrumented) executor_.checker().listen(true);
  }
  HostSection(const HostSection&) = delete;
  HostSection& operator=(const HostSection&) = delete;

 private:
  Executor& executor_;
};

}  // namespace

void Executor::release_barrier_if_full() {
  const unsigned arrived = unsigned(at_barrier_.size());
  // Exited threads count as arrived: CUDA's rule.
  if (arrived == 0 || arrived + (grid_->strict_exit ? 0 : done_) < grid_->threads) return;
  votes_[++generation_ & 1] = 0;
  if constexpr (kInstrumented) checker_.block_synced();
  for (const unsigned t : at_barrier_) wake(t);
  at_barrier_.clear();
}

void Executor::barrier(const char* op, simcu::Loc loc) {
  if (!at_barrier_.empty() && !same(barrier_op_, op)) {
    report(str_cat(who(), ": calls ", op, " (", place(loc.file, loc.line), ") while others of its ",
                   "block wait at ", barrier_op_));
    leave();
  }
  barrier_op_ = op;
  const unsigned t = self_;
  at_barrier_.push_back(t);
  release_barrier_if_full();
  // The last to arrive goes straight on.
  if (at_barrier_.empty() && !ready_.empty() && ready_.back() == t) {
    ready_.pop_back();
    if (head_ >= ready_.size()) {
      ready_.clear();
      head_ = 0;
    }
    return;
  }
  park(op, loc);
}

unsigned Executor::vote(unsigned v, simcu::Loc loc) {
  const unsigned g = generation_ & 1;
  votes_[g] += v;
  barrier("__syncthreads with a vote", loc);
  return votes_[g];
}

void Executor::warp_meet(unsigned mask, const char* op, void* mine, simcu::Combine combine,
                         simcu::Loc loc) {
  const unsigned lane = simcu::registers.lane, warp = self_ / 32;
  if (!(mask >> lane & 1)) {
    report(str_cat(who(), ": ", op, " (", place(loc.file, loc.line), ") with a mask (", hex(mask),
                   ") that omits the calling lane"));
    leave();
  }
  const unsigned n = grid_->threads;
  const unsigned live = warp * 32 + 32 > n ? (1u << n % 32) - 1 : ~0u;
  const unsigned want = mask & live;
  auto& meetings = meetings_[warp];
  Meeting* m = nullptr;
  for (auto& x : meetings)
    if (x.mask == mask) m = &x;
  if (!m) {
    m = &meetings.emplace_back();
    m->mask = mask;
  }
  if (m->arrived != 0 && !same(m->op, op)) {
    report(str_cat(who(), ": lanes of a warp disagree: ", op, " (", place(loc.file, loc.line),
                   ") here, ", m->op, " elsewhere"));
    leave();
  }
  m->op = op;
  m->arrived |= 1u << lane;
  m->slot[lane] = mine;
  if (m->arrived != want) return park(op, loc);
  m->arrived = 0;
  if (combine) {
    combine(m->slot, want);
  } else if constexpr (kInstrumented) {
    checker_.warp_synced(warp);  // shuffles order no memory, only __syncwarp does
  }
  for (unsigned others = want & ~(1u << lane); others; others &= others - 1)
    wake(warp * 32 + unsigned(__builtin_ctz(others)));
}

void Executor::async_copy(void* shared, const void* global, unsigned bytes) {
  if (pending_.size() <= self_) pending_.resize(grid_->threads);
  auto& groups = pending_[self_];
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back({shared, global, bytes});
}

void Executor::async_commit() {
  if (pending_.size() <= self_) pending_.resize(grid_->threads);
  auto& groups = pending_[self_];
  if (groups.empty()) groups.emplace_back();
  groups.emplace_back();
}

void Executor::async_wait(unsigned groups_left) {
  if (pending_.size() <= self_) return;
  auto& groups = pending_[self_];
  while (groups.size() > std::size_t(groups_left) + 1) {
    for (const AsyncCopy& c : groups.front()) {
      if constexpr (kInstrumented) {
        checker_.listen(true);
        simcu::note(c.global, c.bytes, false);
        simcu::note(c.shared, c.bytes, true);
        checker_.listen(false);
      }
      std::memcpy(c.shared, c.global, c.bytes);
    }
    groups.erase(groups.begin());
  }
}

}  // namespace flame::sim

namespace simcu {

using flame::str_cat;
using flame::sim::Executor;
using flame::sim::HostSection;
using flame::sim::place;

void warp_meet(unsigned mask, const char* op, void* mine, Combine combine, Loc loc) {
  Executor& e = *Executor::existing();
  HostSection section(e);
  e.warp_meet(mask, op, mine, combine, loc);
}

void block_barrier(const char* op, Loc loc) {
  Executor& e = *Executor::existing();
  if (e.grid().drop_barriers) return;
  HostSection section(e);
  e.barrier(op, loc);
}

unsigned block_vote(unsigned v, Loc loc) {
  Executor& e = *Executor::existing();
  HostSection section(e);
  return e.vote(v, loc);
}

void* dynamic_shared() { return Executor::existing()->dynamic_shared(); }
unsigned dynamic_shared_bytes() { return Executor::existing()->grid().dynamic_bytes; }
// Just the caller: legal, and it breaks code that relies on convergence.
unsigned active_mask() { return 1u << registers.lane; }

void device_fault(const char* what, Loc loc) {
  Executor& e = *Executor::existing();
  if constexpr (flame::sim::kInstrumented) e.checker().listen(false);
  e.report(str_cat(e.who(), ": ", what, " (", place(loc.file, loc.line), ")"));
  e.leave();
}

void trap(Loc loc) { device_fault("__trap()", loc); }

void async_copy(void* shared, const void* global, unsigned bytes, Loc loc) {
  const auto address =
      reinterpret_cast<std::uintptr_t>(shared) | reinterpret_cast<std::uintptr_t>(global);
  if (address % bytes != 0) device_fault("cp.async of addresses not aligned to its size", loc);
  Executor& e = *Executor::existing();
  HostSection section(e);
  e.async_copy(shared, global, bytes);
}

void async_commit() {
  Executor& e = *Executor::existing();
  HostSection section(e);
  e.async_commit();
}

void async_wait(unsigned groups_left) {
  Executor& e = *Executor::existing();
  HostSection section(e);
  e.async_wait(groups_left);
}

}  // namespace simcu
