// The simulated device: FLAME's kernels, compiled by g++, on memory that traps and with every
// thread of a block run for itself. An instrument of the conformance suite, never a backend of the
// library.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/sim/ledger.h"
#include "conformance/sim/memory.h"
#include "conformance/sim/options.h"
#include "conformance/sim/streams.h"
#include "lib/driver/driver.h"

namespace flame::sim {

struct Kernel;

// Calls may come from any thread; launches of one device run one after the other. Device faults
// (bad accesses, deadlocks, misused warp operations, guard zones written) are DriverErrors that
// name kernel, block, thread, buffer and offset; the device stays usable. They are thrown by
// launch(), or with options.deferred by the call that forced the launch to run. A device does not
// survive fork(), as on CUDA: the child's calls throw DriverError.
class SimDriver : public driver::Driver {
 public:
  // Throws ValueError for options that make no sense, OutOfMemoryError.
  explicit SimDriver(const Options& options);
  ~SimDriver() override;

  // -- driver::Driver --
  const driver::Info& info() const override { return info_; }
  void* allocate(std::size_t bytes, std::string_view label) override;
  void deallocate(void* p) noexcept override;
  std::size_t free_memory() override;
  void copy_to_device(void* to, const void* from, std::size_t bytes,
                      driver::StreamHandle stream) override;
  void copy_to_host(void* to, const void* from, std::size_t bytes,
                    driver::StreamHandle stream) override;
  void copy_on_device(void* to, const void* from, std::size_t bytes,
                      driver::StreamHandle stream) override;
  void fill(void* to, std::uint8_t byte, std::size_t bytes, driver::StreamHandle stream) override;
  driver::StreamHandle create_stream() override;
  void destroy_stream(driver::StreamHandle stream) noexcept override;
  void synchronize(driver::StreamHandle stream) override;
  driver::EventHandle create_event() override;
  void destroy_event(driver::EventHandle event) noexcept override;
  void record(driver::EventHandle event, driver::StreamHandle stream) override;
  void wait(driver::StreamHandle stream, driver::EventHandle event) override;
  double elapsed_ms(driver::EventHandle from, driver::EventHandle to) override;
  driver::Image compile(const driver::KernelId& kernel) override;
  driver::KernelHandle load(const driver::Image& image, const driver::KernelId& kernel) override;
  void launch(driver::KernelHandle kernel, const driver::Launch& launch,
              std::span<const driver::Arg> args) override;

  // -- what the suite asks --
  const Options& options() const { return options_; }
  // Whether launches know which allocations they read and wrote (options.protect).
  bool tracks_access() const { return options_.protect; }
  // Whether this is the build that checks every load and store.
  static constexpr bool instrumented() { return kInstrumented; }

  std::vector<Event> events() const { return ledger_.events(); }
  void clear_events() { ledger_.clear(); }
  std::size_t dropped_events() const { return ledger_.dropped(); }
  // The newest launch, with what it read and wrote; an empty expression when there is none.
  Event last_launch() const { return ledger_.last(EventKind::kLaunch); }

  std::vector<Buffer> live_buffers() const { return memory_.live(); }
  // Fills with a pattern; the range then counts as unwritten. Throws DriverError out of bounds,
  // here and in scan().
  void poison(const void* p, std::size_t bytes, std::uint32_t pattern = kPoison);
  Scan scan(const void* p, std::size_t bytes, std::uint32_t pattern = kPoison) const;
  // Guard zones around live memory that were written to, one sentence each; repairs them.
  std::vector<std::string> broken_guards() { return memory_.broken_guards(); }

  // Changes the order of everything that follows (options.seed), or which barriers are dropped.
  void set_seed(std::uint64_t seed);
  void set_drop_barriers(std::string glob);

 private:
  struct Prepared;  // a launch that passed its checks, with its arguments copied
  Prepared prepare(driver::KernelHandle kernel, const driver::Launch& launch,
                   std::span<const driver::Arg> args) const;
  void run(const Prepared& launch);
  std::vector<std::uintptr_t> pointers_in(const Prepared& launch) const;
  void check_usable() const;
  void check_host(const void* p, std::size_t bytes, const char* what) const;
  template <class Work>
  void submit(driver::StreamHandle stream, const char* what, Work work) {
    streams_.check_stream(stream, what);
    std::lock_guard lock(run_mutex_);
    if (options_.deferred) return streams_.push(stream, std::move(work));
    work();
  }
  void add_event(EventKind kind, std::size_t bytes, driver::StreamHandle stream,
                 std::vector<BufferRef> reads, std::vector<BufferRef> writes);
  std::vector<BufferRef> buffer_at(const void* p, std::size_t bytes) const;

  Options options_;
  driver::Info info_;
  Memory memory_;
  Ledger ledger_;
  Streams streams_;
  int process_;
  std::mutex run_mutex_;  // one launch, copy or fill at a time
  mutable std::mutex state_mutex_;
  std::vector<const Kernel*> loaded_;  // by handle
  std::string late_error_;  // found where nothing could be thrown; the next call throws it
  std::uint64_t launches_ = 0;
};

// A new device; every call gives another one, with its own memory and ledger.
std::shared_ptr<SimDriver> open(const Options& options = {});

}  // namespace flame::sim
