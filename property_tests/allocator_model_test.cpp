// The allocator as a state machine: any sequence of calls keeps blocks apart, reuses memory only on
// the stream that freed it, counts exactly what it holds, and survives running out.
#include <map>

#include "lib/core/error.h"
#include "lib/tensor/allocator.h"
#include "property_tests/generators.h"
#include "tests/support/limited_driver.h"
#include "tests/support/test_device.h"

#include <rapidcheck/state.h>

namespace flame::property {
namespace {

constexpr int kStreams = 3;
constexpr std::int64_t kBudget = 8 << 20;

// What the commands decide by: the requests that were not freed yet, whether they succeeded or not.
struct Model {
  std::vector<int> held;
  int next = 0;
};

// The allocator, and all that is known of it from outside.
struct Subject {
  struct Live {
    void* p;
    std::int64_t asked, counted;
    driver::StreamHandle stream;
  };
  struct Cached {
    std::int64_t asked;
    driver::StreamHandle stream;
  };

  Subject(bool direct_mode, std::int64_t memory_limit)
      : direct(direct_mode),
        limit(memory_limit),
        driver(std::make_shared<test::LimitedDriver>(base(), std::size_t{kBudget})),
        allocator(driver, direct_mode, memory_limit) {}
  ~Subject() {
    for (const auto& [id, block] : live) free(block);
  }

  // One device for all runs: what it has left does not matter, the budget is below it.
  static const std::shared_ptr<driver::Driver>& base() {
    static const std::shared_ptr<driver::Driver> shared = test::open_driver();
    return shared;
  }
  static driver::StreamHandle stream(int i) {
    static const std::vector<driver::StreamHandle> streams{0, base()->create_stream(),
                                                           base()->create_stream()};
    return streams[static_cast<std::size_t>(i)];
  }

  void free(const Live& block) {
    allocator.deallocate(block.p, static_cast<std::size_t>(block.asked), block.stream);
  }
  // Room may have been made out of the cache.
  void forget_trimmed() {
    std::erase_if(cached, [&](const auto& entry) { return !driver->size_of_block(entry.first); });
  }
  std::int64_t most() const { return limit ? std::min(limit, kBudget) : kBudget; }
  std::int64_t counted() const {
    std::int64_t sum = 0;
    for (const auto& [id, block] : live) sum += block.counted;
    return sum;
  }
  void check_invariants() const;

  bool direct;
  std::int64_t limit;
  std::shared_ptr<test::LimitedDriver> driver;
  Allocator allocator;
  std::map<int, Live> live;
  std::map<void*, Cached> cached;
  std::int64_t peak = 0, total = 0;
};

void Subject::check_invariants() const {
  const MemoryStats stats = allocator.stats();
  RC_ASSERT(stats.allocated == counted());
  RC_ASSERT(stats.live_blocks == std::ssize(live));
  RC_ASSERT(stats.total_allocations == total);
  RC_ASSERT(stats.peak == peak);
  RC_ASSERT(stats.reserved == static_cast<std::int64_t>(driver->used()));
  RC_ASSERT(stats.reserved >= stats.allocated);
  RC_ASSERT(stats.reserved <= most());
  if (direct) RC_ASSERT(stats.reserved == stats.allocated);
  std::map<std::uintptr_t, std::int64_t> by_address;
  for (const auto& [id, block] : live)
    by_address[reinterpret_cast<std::uintptr_t>(block.p)] = block.asked;
  RC_ASSERT(by_address.size() == live.size());
  std::uintptr_t end = 0;
  for (const auto& [address, bytes] : by_address) {
    RC_ASSERT(address >= end);
    RC_ASSERT(address % 256 == 0);
    end = address + static_cast<std::uintptr_t>(bytes);
  }
}

using Command = rc::state::Command<Model, Subject>;

struct Allocate : Command {
  // Sizes repeat, so that blocks can be reused, and sit at and around the borders of size classes.
  std::int64_t bytes = *rc::gen::element<std::int64_t>(
      1, 256, 512, 513, 700, 1000, 1024, 1025, 65536, 100'000, 1 << 20, (1 << 20) + 1, 3'000'000);
  int stream = *rc::gen::inRange(0, kStreams);

  void apply(Model& model) const override { model.held.push_back(model.next++); }

  void run(const Model& before, Subject& s) const override {
    const driver::StreamHandle on = Subject::stream(stream);
    const int allocations = s.driver->allocations;
    const std::int64_t in_use = s.counted();
    void* p = nullptr;
    try {
      p = s.allocator.allocate(static_cast<std::size_t>(bytes), on, "model");
    } catch (const OutOfMemoryError&) {
      // Only when it cannot fit, a size class being less than twice what was asked for.
      RC_ASSERT(in_use + 2 * bytes + 512 > s.most());
      s.forget_trimmed();
      s.check_invariants();
      return;
    }
    RC_ASSERT((p != nullptr));
    RC_ASSERT(in_use + bytes <= s.most());
    s.forget_trimmed();
    const bool fresh = s.driver->allocations != allocations;
    if (fresh) s.cached.erase(p);  // the driver may give an address again
    for (const auto& [q, block] : s.cached)
      if (block.stream == on && block.asked == bytes) RC_ASSERT_FALSE(fresh);
    if (!fresh) {
      RC_ASSERT(s.cached.contains(p));
      RC_ASSERT(s.cached.at(p).stream == on);
      s.cached.erase(p);
    }
    const auto counted = static_cast<std::int64_t>(s.driver->size_of_block(p));
    RC_ASSERT(counted >= bytes);
    s.live[before.next] = {p, bytes, counted, on};
    ++s.total;
    s.peak = std::max(s.peak, s.counted());
    s.check_invariants();
  }

  void show(std::ostream& out) const override {
    out << "allocate " << bytes << " on stream " << stream;
  }
};

struct Free : Command {
  int id;
  explicit Free(const Model& model) {
    RC_PRE(!model.held.empty());
    id = *rc::gen::elementOf(model.held);
  }
  void checkPreconditions(const Model& model) const override {
    RC_PRE(std::find(model.held.begin(), model.held.end(), id) != model.held.end());
  }
  void apply(Model& model) const override { std::erase(model.held, id); }

  void run(const Model&, Subject& s) const override {
    const auto it = s.live.find(id);
    if (it == s.live.end()) return;  // it never got its memory
    s.free(it->second);
    if (!s.direct) s.cached[it->second.p] = {it->second.asked, it->second.stream};
    s.live.erase(it);
    s.check_invariants();
  }
  void show(std::ostream& out) const override { out << "free " << id; }
};

struct EmptyCache : Command {
  void run(const Model&, Subject& s) const override {
    s.allocator.trim();
    s.cached.clear();
    RC_ASSERT(s.allocator.stats().reserved == s.counted());
    s.check_invariants();
  }
  void show(std::ostream& out) const override { out << "empty the cache"; }
};

struct Trim : Command {
  std::int64_t keep = *rc::gen::inRange<std::int64_t>(0, 4 << 20);
  void run(const Model&, Subject& s) const override {
    const std::int64_t before = s.allocator.stats().reserved;
    s.allocator.trim(keep);
    const std::int64_t after = s.allocator.stats().reserved;
    RC_ASSERT(after - s.counted() <= keep);
    if (before - s.counted() <= keep) RC_ASSERT(after == before);
    s.forget_trimmed();
    s.check_invariants();
  }
  void show(std::ostream& out) const override { out << "trim the cache to " << keep; }
};

struct ResetPeak : Command {
  void run(const Model&, Subject& s) const override {
    s.allocator.reset_peak();
    s.peak = s.counted();
    s.check_invariants();
  }
  void show(std::ostream& out) const override { out << "reset the peak"; }
};

void check_sequences(bool direct, std::int64_t limit) {
  Subject subject(direct, limit);
  rc::state::check(Model(), subject,
                   rc::state::gen::execOneOfWithArgs<Allocate, Allocate, Free, Free, EmptyCache,
                                                     Trim, ResetPeak>());
}

RC_GTEST_PROP(AllocatorModel, ThePool, ()) { check_sequences(false, 0); }
RC_GTEST_PROP(AllocatorModel, ThePoolWithALimit, ()) { check_sequences(false, 2'500'000); }
RC_GTEST_PROP(AllocatorModel, TheDirectAllocator, ()) { check_sequences(true, 0); }

}  // namespace
}  // namespace flame::property
