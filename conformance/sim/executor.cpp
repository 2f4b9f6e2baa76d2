#include "conformance/sim/executor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <utility>

#include "conformance/sim/text.h"
#include "conformance/sim/trap.h"
#include "lib/core/error.h"

namespace flame::sim {
namespace {

constexpr std::size_t kPage = 4096;

constinit thread_local Executor* existing_executor = nullptr;

void fill_poison(std::byte* p, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += 4)
    std::memcpy(p + i, &kPoison, std::min<std::size_t>(4, bytes - i));
}

}  // namespace

// Owns the executor of an OS thread for as long as the thread lives.
struct ExecutorOfThread {
  Executor executor;
  ExecutorOfThread() { existing_executor = &executor; }
  ~ExecutorOfThread() { existing_executor = nullptr; }
};

Executor& Executor::current() {
  thread_local ExecutorOfThread own;
  return own.executor;
}
Executor* Executor::existing() { return existing_executor; }

Executor::Executor() {
  // Dynamic shared memory ends flush with a guard page, and has one before it.
  void* p = mmap(nullptr, kDynamicBytes + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check<OutOfMemoryError>(p != MAP_FAILED, "simulated device: no shared memory");
  dynamic_begin_ = static_cast<std::byte*>(p) + kPage;
  mprotect(dynamic_begin_, kDynamicBytes, PROT_READ | PROT_WRITE);
  thread_locals_ = thread_locals().base;
  install_traps();
}

Executor::~Executor() { munmap(dynamic_begin_ - kPage, kDynamicBytes + 2 * kPage); }

// splitmix64: small state, seeded at no cost.
std::uint64_t Executor::random() {
  std::uint64_t z = random_ += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

std::string Executor::run(Grid& grid) {
  grid_ = &grid;
  random_ = grid.seed;
  if (grid.give_up_after > 0) began_ = std::chrono::steady_clock::now();
  error_.clear();
  shared_ = &shared_variables(*grid.kernel);
  dynamic_ = dynamic_begin_ + kDynamicBytes - (grid.dynamic_bytes + 15) / 16 * 16;
  const unsigned warps = (grid.threads + 31) / 32;
  if (waiting_.size() < grid.threads) waiting_.resize(grid.threads);
  if (meetings_.size() < warps) meetings_.resize(warps);
  simcu::registers.grid_dim = grid.grid;
  simcu::registers.block_dim = grid.block;
  if constexpr (kInstrumented) checker_.begin_launch(*this);
  if (begin_block()) fibers_.switch_to(fibers_.take());
  if constexpr (kInstrumented) {
    // What the checker saw came before what it led to.
    if (std::string seen = checker_.report(); !seen.empty()) error_ = std::move(seen);
    checker_.end_launch();
  }
  grid_ = nullptr;
  if (!error_.empty()) {
    grid.stop = true;
    fibers_.abandon_all();
    pending_.clear();
  }
  return std::exchange(error_, {});
}

// False: there is none left.
bool Executor::begin_block() {
  Grid& g = *grid_;
  if (g.stop.load(std::memory_order_relaxed)) return false;
  if (g.give_up_after > 0) {
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - began_;
    if (spent.count() > g.give_up_after) return false;
  }
  const std::size_t i = g.next.fetch_add(1, std::memory_order_relaxed);
  if (i >= g.blocks) return false;
  const std::size_t b = g.seed ? (i * g.multiplier + g.offset) % g.blocks : i;
  simcu::registers.block = {unsigned(b % g.grid.x), unsigned(b / g.grid.x % g.grid.y),
                            unsigned(b / g.grid.x / g.grid.y)};
  started_ = done_ = 0;
  ready_.clear();
  head_ = 0;
  at_barrier_.clear();
  votes_[0] = votes_[1] = 0;
  exited_.assign(g.threads, 0);
  for (auto& m : meetings_) m.clear();
  if (g.seed) shuffle_threads();
  poison_shared();
  if constexpr (kInstrumented) checker_.begin_block(b);
  return true;
}

void Executor::poison_shared() {
  for (const SharedVariable& v : *shared_) fill_poison(thread_locals_ + v.offset, v.bytes);
  fill_poison(dynamic_, grid_->dynamic_bytes);
}

// Warps in random order, and the lanes inside each.
void Executor::shuffle_threads() {
  const unsigned n = grid_->threads, warps = (n + 31) / 32;
  const auto shuffle = [this](auto first, auto last) {
    for (auto k = last - first; k > 1; --k)
      std::swap(first[k - 1], first[std::ptrdiff_t(random() % std::uint64_t(k))]);
  };
  std::vector<unsigned> warp(warps);
  std::iota(warp.begin(), warp.end(), 0u);
  shuffle(warp.begin(), warp.end());
  order_.clear();
  for (const unsigned w : warp) {
    const auto from = std::ptrdiff_t(order_.size());
    for (unsigned t = w * 32; t < std::min(n, w * 32 + 32); ++t) order_.push_back(t);
    shuffle(order_.begin() + from, order_.end());
  }
}

void Executor::set_thread(unsigned t) {
  const uint3 b = grid_->block;
  self_ = t;
  simcu::registers.lane = t & 31;
  simcu::registers.thread =
      b.y == 1 && b.z == 1 ? uint3{t, 0, 0} : uint3{t % b.x, t / b.x % b.y, t / (b.x * b.y)};
}

// A new thread before one that can go on: every thread runs to its first wait before any passes it,
// the harshest order for a missing barrier. With a seed, either.
Executor::Next Executor::next() {
  const bool can_start = started_ < grid_->threads;
  const std::size_t n = ready_.size() - head_;
  if (can_start && (n == 0 || grid_->seed == 0 || random() % 4 != 0)) return Next::kStart;
  if (n != 0) {
    if (grid_->seed) std::swap(ready_[head_], ready_[head_ + random() % n]);
    resume_ = ready_[head_++];
    if (head_ == ready_.size()) {
      ready_.clear();
      head_ = 0;
    }
    return Next::kResume;
  }
  return done_ == grid_->threads ? Next::kBlockDone : Next::kStuck;
}

void Executor::start_thread() {
  const unsigned t = grid_->seed ? order_[started_] : started_;
  ++started_;
  set_thread(t);
  if constexpr (kInstrumented) checker_.listen(true);
  grid_->kernel->call(grid_->args);
  if constexpr (kInstrumented) checker_.listen(false);
  finish_thread();
}

void Executor::finish_thread() {
  if (self_ < pending_.size()) {
    bool waited = true;
    for (const auto& group : pending_[self_]) waited &= group.empty();
    pending_[self_].clear();
    if (!waited) {
      report(who() + ": exited with cp.async copies that it never waited for");
      leave();
    }
  }
  exited_[self_] = 1;
  ++done_;
  release_barrier_if_full();
}

// The body of every fiber.
void Executor::loop() {
  for (;;) {
    switch (next()) {
      case Next::kStart:
        start_thread();
        break;
      case Next::kBlockDone:
        if (begin_block()) break;
        fibers_.release(fibers_.current());
        fibers_.switch_to(fibers_.main());
        break;
      case Next::kStuck:
        report(stuck());
        leave();
      case Next::kResume:
        fibers_.release(fibers_.current());
        fibers_.switch_to(waiting_[resume_].fiber);
        break;
    }
  }
}

// The calling device thread waits until somebody wakes it.
void Executor::park(const char* op, simcu::Loc loc) {
  const unsigned t = self_;
  const uint3 coordinates = simcu::registers.thread;
  Fiber* me = fibers_.current();
  waiting_[t] = {me, op, loc};
  switch (next()) {
    case Next::kStart:
      fibers_.switch_to(fibers_.take());
      break;
    case Next::kResume:
      if (waiting_[resume_].fiber != me) fibers_.switch_to(waiting_[resume_].fiber);
      break;
    default:
      report(stuck());
      leave();
  }
  self_ = t;
  simcu::registers.lane = t & 31;
  simcu::registers.thread = coordinates;
}

void Executor::report(std::string text) {
  if (error_.empty()) error_ = std::move(text);
}

void Executor::leave() {
  fibers_.switch_to(fibers_.main());
  __builtin_unreachable();  // run() abandons this stack
}

std::string Executor::who() const {
  return str_cat("kernel ", grid_->kernel->expression, " of ", grid_->kernel->file, ", block ",
                 triple(simcu::registers.block), ", thread ", triple(simcu::registers.thread));
}

std::string Executor::stuck() const {
  struct Group {
    unsigned count = 0, first = 0;
  };
  std::map<std::string, Group> groups;
  for (unsigned t = 0; t < grid_->threads; ++t) {
    const Waiting& w = waiting_[t];
    Group& g = groups[exited_[t] ? "exited"
                                 : str_cat("at ", w.op, " (", place(w.loc.file, w.loc.line), ")")];
    if (g.count++ == 0) g.first = t;
  }
  std::string text =
      str_cat("kernel ", grid_->kernel->expression, " of ", grid_->kernel->file, ", block ",
              triple(simcu::registers.block), ": its threads wait for each other for ever: ");
  const char* separator = "";
  for (const auto& [where, g] : groups) {
    text += str_cat(separator, g.count, " ", where, ", the first is thread ", g.first);
    separator = "; ";
  }
  return text;
}

}  // namespace flame::sim
