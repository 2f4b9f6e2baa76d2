#include "conformance/sim/instrument.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "conformance/sim/executor.h"
#include "conformance/sim/source_line.h"
#include "conformance/sim/text.h"

namespace flame::sim {
namespace {

// One for all OS threads, so that whatever an earlier launch left in a cell is older than this one.
std::atomic<std::uint32_t> clock_of_epochs{1};

// How a thread is written in a cell: 19 bits of block, 10 of thread, and flags.
constexpr std::uint32_t kThreadBits = (1u << 29) - 1;
constexpr std::uint32_t kAtomic = 1u << 31;      // writes: it was an atomic one
constexpr std::uint32_t kManyWarps = 1u << 31;   // reads: by several warps of the block
constexpr std::uint32_t kManyLanes = 1u << 30;   // reads: by several lanes of the warp
constexpr std::uint32_t kManyBlocks = 1u << 29;  // reads: by an earlier block of this launch too

constexpr std::size_t kGuardPage = 4096;  // behind dynamic shared memory

std::string thread_text(std::uint32_t thread) {
  return str_cat("thread ", thread & 1023, " of block ", (thread & kThreadBits) >> 10);
}

}  // namespace

void Checker::begin_launch(Executor& executor) {
  executor_ = &executor;
  listening_ = false;
  error_.clear();
  error_pc_ = nullptr;
  window_ = {};
  epoch_ = launch_first_ = ++clock_of_epochs;
  told_.clear();
  static_first_.clear();
  std::size_t cells = 0;
  for (const SharedVariable& v : executor.shared()) {
    static_first_.push_back(cells);
    cells += granules(v.offset, v.bytes);
  }
  static_cells_.resize(cells);
  dynamic_cells_.resize(granules(0, executor.grid().dynamic_bytes));
  const ThreadLocals locals = thread_locals();
  locals_begin_ = reinterpret_cast<std::uintptr_t>(locals.base);
  locals_end_ = locals_begin_ + locals.bytes;
}

void Checker::begin_block(std::size_t block) {
  block_ = static_cast<std::uint32_t>(block);
  epoch_ = block_first_ = ++clock_of_epochs;
  fences_.clear();
  seen_.clear();
  known_.clear();
  std::fill(static_cells_.begin(), static_cells_.end(), Cell());
  std::fill(dynamic_cells_.begin(), dynamic_cells_.end(), Cell());
}

void Checker::block_synced() { epoch_ = ++clock_of_epochs; }

std::string Checker::report() const {
  return error_.empty() ? "" : error_ + source_line(error_pc_);
}

std::uint32_t Checker::self() const { return (block_ << 10 | executor_->self()) & kThreadBits; }

bool Checker::same_warp(std::uint32_t thread) const {
  return (thread & kThreadBits) >> 5 == self() >> 5;
}

// -- where an address lies --

Checker::Place Checker::find_global(std::uintptr_t address, std::size_t bytes) {
  Memory& memory = *executor_->grid().memory;
  if (address < window_.begin || address + bytes > window_.end) {
    const auto buffer = memory.find(address, bytes);
    if (!buffer) return {nullptr, false, "out of bounds"};
    window_ = {buffer->address, buffer->address + buffer->bytes,
               memory.cells(buffer->address, buffer->bytes)};
  }
  return {window_.cells + (address - window_.begin) / kGranule, false, ""};
}

Checker::Place Checker::find_dynamic(std::uintptr_t address, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(executor_->dynamic_shared());
  if (address < begin || address + bytes > begin + executor_->grid().dynamic_bytes)
    return {nullptr, true, "outside the launch's dynamic shared memory"};
  return {dynamic_cells_.data() + (address - begin) / kGranule, true, ""};
}

// Thread-local data that is no shared variable belongs to the simulator.
Checker::Place Checker::find_static(std::uintptr_t address, std::size_t bytes) {
  const auto& variables = executor_->shared();
  for (std::size_t i = 0; i < variables.size(); ++i) {
    const auto begin = locals_begin_ + variables[i].offset;
    if (address < begin || address >= begin + variables[i].bytes) continue;
    if (address + bytes > begin + variables[i].bytes)
      return {nullptr, true, "across the end of a shared array"};
    return {static_cells_.data() + static_first_[i] + (address - begin) / kGranule, true, ""};
  }
  return {};
}

Checker::Place Checker::find(std::uintptr_t address, std::size_t bytes) {
  const auto dynamic = reinterpret_cast<std::uintptr_t>(executor_->dynamic_begin());
  if (executor_->grid().memory->owns(address)) return find_global(address, bytes);
  if (address - dynamic < Executor::kDynamicBytes + kGuardPage) return find_dynamic(address, bytes);
  if (address >= locals_begin_ && address < locals_end_) return find_static(address, bytes);
  if (executor_->fibers().in_stack(address)) return {};
  const Module& module = this_module();
  if (address >= module.load_address && address < module.end) return {};  // constants
  return {nullptr, false, "through a host pointer"};
}

std::string Checker::name_of(std::uintptr_t address) const {
  if (executor_->grid().memory->owns(address)) return executor_->grid().memory->describe(address);
  const auto dynamic = reinterpret_cast<std::uintptr_t>(executor_->dynamic_shared());
  const auto all = reinterpret_cast<std::uintptr_t>(executor_->dynamic_begin());
  if (address - all < Executor::kDynamicBytes + kGuardPage)
    return str_cat("dynamic shared memory ", address < dynamic ? "- " : "+ ",
                   address < dynamic ? dynamic - address : address - dynamic, ", of ",
                   executor_->grid().dynamic_bytes, " bytes");
  for (const SharedVariable& v : executor_->shared()) {
    const auto begin = locals_begin_ + v.offset;
    if (address >= begin && address < begin + v.bytes)
      return str_cat("shared array '", v.name, "' + ", address - begin, ", of ", v.bytes, " bytes");
  }
  return hex(address);
}

void Checker::found(const std::string& what, const Access& a) {
  if (!error_.empty()) return;
  error_ = str_cat(executor_->who(), ": ", what, ", ", name_of(a.address), ",");
  error_pc_ = static_cast<const char*>(a.pc) - 1;  // into the call, not after it
}

// -- what may not happen --

// Whether something done at that time by that thread comes before now.
bool Checker::ordered(std::uint32_t epoch, std::uint32_t warp, std::uint32_t thread,
                      bool shared) const {
  if (epoch < launch_first_) return true;
  // Blocks of one launch are not ordered, but for what one hands to another.
  if (!shared && epoch < block_first_) return handed_over(epoch, thread & kThreadBits);
  if (epoch < epoch_) return true;
  return same_warp(thread) && warp < warp_stamp_[executor_->self() / 32];
}

void Checker::atomic_seen(std::uintptr_t address) {
  std::vector<Told>& told = told_[address];
  std::vector<Told>& seen = seen_[self()];
  for (const Told& t : told)
    if (t.thread >> 10 != block_) seen.push_back(t);
  if (const auto fence = fences_.find(self()); fence != fences_.end())
    told.push_back({self(), fence->second});
}

void Checker::fenced() {
  fences_[self()] = epoch_;
  for (const Told& t : std::exchange(seen_[self()], {})) known_.push_back({t, self(), epoch_});
}

// Whether what `thread` of an earlier block did by `epoch` was handed to this thread.
bool Checker::handed_over(std::uint32_t epoch, std::uint32_t thread) const {
  return std::ranges::any_of(known_, [&](const Known& k) {
    const bool did = k.told.thread >> 10 == thread >> 10 &&
                     (epoch < k.told.epoch || (epoch == k.told.epoch && k.told.thread == thread));
    return did && (k.to == self() || k.since < epoch_);
  });
}

void Checker::remember_read(Cell& c, unsigned mask, bool shared) const {
  const std::uint32_t me = self(), stamp = warp_stamp_[executor_->self() / 32];
  const bool this_launch = c.read_epoch >= launch_first_;
  std::uint32_t flags = 0;
  if (this_launch && !shared && (c.read_epoch < block_first_ || c.read_thread & kManyBlocks))
    flags |= kManyBlocks;
  if (c.read_epoch == epoch_) {
    flags |= c.read_thread & (kManyWarps | kManyLanes);
    if (!same_warp(c.read_thread))
      flags |= kManyWarps;
    else if ((c.read_thread & kThreadBits) != me)
      flags |= kManyLanes;
    mask |= c.read_mask;
  }
  c.read_epoch = epoch_;
  c.read_warp = stamp;
  c.read_thread = me | flags;
  c.read_mask = static_cast<std::uint8_t>(mask);
}

void Checker::check_cell(Cell& c, unsigned mask, const Access& a) {
  const std::uint32_t me = self();
  if (!a.write && (c.initialised & mask) != mask) found("read of uninitialised memory", a);
  const bool both_atomic = a.atomic && (c.write_thread & kAtomic);
  if (!both_atomic && (c.write_mask & mask) != 0 && (c.write_thread & kThreadBits) != me &&
      !ordered(c.write_epoch, c.write_warp, c.write_thread, a.shared))
    found(str_cat("race: ", a.write ? "write over" : "read of", " what ",
                  thread_text(c.write_thread), " wrote, with no barrier between"),
          a);
  if (!a.write) return remember_read(c, mask, a.shared);
  if (!a.atomic && (c.read_mask & mask) != 0 && c.read_epoch >= launch_first_) {
    const bool alone = (c.read_thread & ~kThreadBits) == 0 && c.read_thread == me;
    const bool blocks = c.read_thread & kManyBlocks;
    const bool warps = (c.read_thread & kManyWarps) && c.read_epoch == epoch_;
    if (!alone && (blocks || warps || !ordered(c.read_epoch, c.read_warp, c.read_thread, a.shared)))
      found(str_cat("race: write of what another thread read, with no barrier between"), a);
  }
  const std::uint32_t writer = me | (a.atomic ? kAtomic : 0);
  const bool again = c.write_epoch == epoch_ && c.write_thread == writer;
  c.write_epoch = epoch_;
  c.write_warp = warp_stamp_[executor_->self() / 32];
  c.write_thread = writer;
  c.write_mask = static_cast<std::uint8_t>(again ? c.write_mask | mask : mask);
  c.initialised = static_cast<std::uint8_t>(c.initialised | mask);
}

void Checker::access(std::uintptr_t address, std::size_t bytes, bool write, bool atomic,
                     const void* pc) {
  if (bytes == 0) return;
  // The simulator's own code runs meanwhile.
  listening_ = false;
  Access a{address, write, atomic, false, pc};
  const char* what = write ? "write" : "read";
  const Place place = find(address, bytes);
  a.shared = place.shared;
  if (!place.problem.empty()) {
    found(str_cat(what, " ", place.problem), a);
  } else if (place.cells) {
    if ((bytes & (bytes - 1)) == 0 && bytes <= 16 && address % bytes != 0)
      found(str_cat("misaligned ", what, " of ", bytes, " bytes"), a);
    for (std::size_t i = 0; i < granules(address, bytes); ++i)
      check_cell(place.cells[i], granule_mask(address, bytes, i), a);
    if (atomic && !a.shared) atomic_seen(address);
  }
  listening_ = true;
}

}  // namespace flame::sim

#ifdef FLAME_SIM_INSTRUMENT
namespace {

void seen(const void* p, std::size_t bytes, bool write, bool atomic, const void* pc) {
  flame::sim::Executor* e = flame::sim::Executor::existing();
  if (e && e->checker().listening())
    e->checker().access(reinterpret_cast<std::uintptr_t>(p), bytes, write, atomic, pc);
}

}  // namespace

namespace simcu {
void note_access(const void* p, unsigned bytes, bool write) {
  seen(p, bytes, write, false, __builtin_return_address(0));
}
void note_atomic(const void* p, unsigned bytes) {
  seen(p, bytes, true, true, __builtin_return_address(0));
}
void note_fence() {
  flame::sim::Executor* e = flame::sim::Executor::existing();
  if (e && e->checker().listening()) e->checker().fenced();
}
}  // namespace simcu

// What -fsanitize=thread makes the compiler call.
#define SIM_SEEN(name, bytes, write) \
  void __tsan_##name(void* p) { seen(p, bytes, write, false, __builtin_return_address(0)); }
#define SIM_SEEN_SIZE(bytes)                    \
  SIM_SEEN(read##bytes, bytes, false)           \
  SIM_SEEN(write##bytes, bytes, true)           \
  SIM_SEEN(unaligned_read##bytes, bytes, false) \
  SIM_SEEN(unaligned_write##bytes, bytes, true) \
  SIM_SEEN(volatile_read##bytes, bytes, false)  \
  SIM_SEEN(volatile_write##bytes, bytes, true)
extern "C" {
SIM_SEEN_SIZE(1)
SIM_SEEN_SIZE(2)
SIM_SEEN_SIZE(4)
SIM_SEEN_SIZE(8)
SIM_SEEN_SIZE(16)
void __tsan_read_range(void* p, std::size_t bytes) {
  seen(p, bytes, false, false, __builtin_return_address(0));
}
void __tsan_write_range(void* p, std::size_t bytes) {
  seen(p, bytes, true, false, __builtin_return_address(0));
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void*, void*) {}
void __tsan_vptr_read(void*) {}
}
#endif
