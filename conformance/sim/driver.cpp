#include <unistd.h>

#include <cstring>
#include <utility>

#include "conformance/sim/image.h"
#include "conformance/sim/sim.h"
#include "conformance/sim/text.h"
#include "conformance/sim/trap.h"
#include "lib/core/error.h"

namespace flame::sim {
namespace {

std::uintptr_t address_of(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

driver::Info make_info(const Options& options) {
  driver::Info info;
  info.kind = driver::Kind::kSimulated;
  info.name = "simulated device";
  info.arch = "sim";
  info.multiprocessors = 2;
  info.total_memory = options.memory_limit;
  info.max_shared_bytes = std::size_t(227) << 10;
  return info;
}

}  // namespace

std::shared_ptr<SimDriver> open(const Options& options) {
  return std::make_shared<SimDriver>(options);
}

SimDriver::SimDriver(const Options& options)
    : options_(options),
      info_(make_info(options)),
      memory_(options_),
      ledger_(options.ledger_capacity),
      streams_(options.seed),
      process_(getpid()) {
  add_arena(&memory_);
}

SimDriver::~SimDriver() { remove_arena(&memory_); }

void SimDriver::set_seed(std::uint64_t seed) {
  std::lock_guard lock(run_mutex_);
  options_.seed = seed;
  launches_ = 0;
  streams_.set_seed(seed);
}

void SimDriver::set_drop_barriers(std::string glob) {
  std::lock_guard lock(run_mutex_);
  options_.drop_barriers = std::move(glob);
}

// Throws what an earlier call found and could not throw.
void SimDriver::check_usable() const {
  check<DriverError>(getpid() == process_,
                     "this simulated device was opened by another process: open one after fork()");
  std::lock_guard lock(state_mutex_);
  auto& late = const_cast<SimDriver*>(this)->late_error_;
  if (!late.empty()) throw DriverError(std::exchange(late, {}));
}

void SimDriver::check_host(const void* p, std::size_t bytes, const char* what) const {
  check<DriverError>(!memory_.owns(address_of(p)) && !memory_.owns(address_of(p) + bytes - 1), what,
                     ": ", hex(address_of(p)), " is device memory where host memory is needed");
}

std::vector<BufferRef> SimDriver::buffer_at(const void* p, std::size_t bytes) const {
  if (!ledger_.enabled()) return {};
  const auto b = memory_.find(address_of(p), bytes);
  if (!b) return {};
  return {{b->label, b->address, b->bytes}};
}

void SimDriver::add_event(EventKind kind, std::size_t bytes, driver::StreamHandle stream,
                          std::vector<BufferRef> reads, std::vector<BufferRef> writes) {
  if (!ledger_.enabled()) return;
  Event e;
  e.kind = kind;
  e.bytes = bytes;
  e.stream = stream;
  e.reads = std::move(reads);
  e.writes = std::move(writes);
  ledger_.add(std::move(e));
}

// -- memory --

void* SimDriver::allocate(std::size_t bytes, std::string_view label) {
  check_usable();
  check<DriverError>(bytes > 0, "allocate: 0 bytes for '", label, "'");
  const std::uintptr_t address = memory_.allocate(bytes, label);
  if (ledger_.enabled())
    add_event(EventKind::kAllocate, bytes, 0, {}, {{std::string(label), address, bytes}});
  return reinterpret_cast<void*>(address);
}

void SimDriver::deallocate(void* p) noexcept {
  if (!p) return;
  try {
    std::lock_guard lock(run_mutex_);
    try {
      if (options_.deferred) streams_.force_all();
    } catch (const Error& e) {
      std::lock_guard state(state_mutex_);
      if (late_error_.empty()) late_error_ = e.what();
    }
    const Buffer b = memory_.release(address_of(p));
    if (ledger_.enabled())
      add_event(EventKind::kFree, b.bytes, 0, {}, {{b.label, b.address, b.bytes}});
  } catch (const std::exception& e) {
    std::lock_guard state(state_mutex_);
    if (late_error_.empty()) late_error_ = e.what();
  }
}

std::size_t SimDriver::free_memory() {
  check_usable();
  const std::size_t used = memory_.used();
  return used < options_.memory_limit ? options_.memory_limit - used : 0;
}

void SimDriver::copy_to_device(void* to, const void* from, std::size_t bytes,
                               driver::StreamHandle stream) {
  check_usable();
  if (bytes == 0) return;
  check_host(from, bytes, "copy to device");
  std::byte* view = memory_.view(address_of(to), bytes, "copy to device");
  const auto finish = [this, to, bytes, stream] {
    memory_.mark(address_of(to), bytes, true);
    add_event(EventKind::kCopyToDevice, bytes, stream, {}, buffer_at(to, bytes));
  };
  if (!options_.deferred)
    return submit(stream, "copy to device", [&] {
      std::memcpy(view, from, bytes);
      finish();
    });
  // The host may reuse its memory at once, as after a copy from pageable memory.
  const auto* source = static_cast<const std::byte*>(from);
  submit(stream, "copy to device",
         [view, finish, data = std::vector<std::byte>(source, source + bytes)] {
           std::memcpy(view, data.data(), data.size());
           finish();
         });
}

void SimDriver::copy_to_host(void* to, const void* from, std::size_t bytes,
                             driver::StreamHandle stream) {
  check_usable();
  streams_.check_stream(stream, "copy to host");
  if (bytes == 0) return;
  check_host(to, bytes, "copy to host");
  std::lock_guard lock(run_mutex_);
  if (options_.deferred) streams_.force(stream);
  const std::byte* view = memory_.view(address_of(from), bytes, "copy to host");
  std::memcpy(to, view, bytes);
  if (options_.report_unwritten) {
    const Scan s = memory_.scan(address_of(from), bytes, kPoison);
    if (s.unwritten != 0)
      throw DriverError(
          str_cat("copy to host of ", memory_.describe(address_of(from)), ": ", s.unwritten, " of ",
                  s.words, " words were never written, the first at byte ", 4 * s.first_unwritten));
  }
  add_event(EventKind::kCopyToHost, bytes, stream, buffer_at(from, bytes), {});
}

void SimDriver::copy_on_device(void* to, const void* from, std::size_t bytes,
                               driver::StreamHandle stream) {
  check_usable();
  if (bytes == 0) return;
  std::byte* target = memory_.view(address_of(to), bytes, "copy on device, target");
  const std::byte* source = memory_.view(address_of(from), bytes, "copy on device, source");
  submit(stream, "copy on device", [=, this] {
    std::memmove(target, source, bytes);
    memory_.copy_shadow(address_of(to), address_of(from), bytes);
    add_event(EventKind::kCopyOnDevice, bytes, stream, buffer_at(from, bytes),
              buffer_at(to, bytes));
  });
}

void SimDriver::fill(void* to, std::uint8_t byte, std::size_t bytes, driver::StreamHandle stream) {
  check_usable();
  if (bytes == 0) return;
  std::byte* view = memory_.view(address_of(to), bytes, "fill");
  submit(stream, "fill", [=, this] {
    std::memset(view, byte, bytes);
    memory_.mark(address_of(to), bytes, true);
    add_event(EventKind::kFill, bytes, stream, {}, buffer_at(to, bytes));
  });
}

void SimDriver::poison(const void* p, std::size_t bytes, std::uint32_t pattern) {
  std::lock_guard lock(run_mutex_);
  memory_.poison(address_of(p), bytes, pattern);
}

Scan SimDriver::scan(const void* p, std::size_t bytes, std::uint32_t pattern) const {
  return memory_.scan(address_of(p), bytes, pattern);
}

// -- streams and events --

driver::StreamHandle SimDriver::create_stream() {
  check_usable();
  return streams_.create_stream();
}

void SimDriver::destroy_stream(driver::StreamHandle stream) noexcept {
  try {
    streams_.check_stream(stream, "destroy_stream");
    check<DriverError>(stream != 0, "destroy_stream: the default stream cannot be destroyed");
    std::lock_guard lock(run_mutex_);
    if (options_.deferred) streams_.force(stream);
    streams_.destroy_stream(stream);
  } catch (const std::exception& e) {
    std::lock_guard state(state_mutex_);
    if (late_error_.empty()) late_error_ = e.what();
  }
}

void SimDriver::synchronize(driver::StreamHandle stream) {
  check_usable();
  streams_.check_stream(stream, "synchronize");
  {
    std::lock_guard lock(run_mutex_);
    if (options_.deferred) streams_.force(stream);
  }
  add_event(EventKind::kSynchronize, 0, stream, {}, {});
}

driver::EventHandle SimDriver::create_event() {
  check_usable();
  return streams_.create_event();
}

void SimDriver::destroy_event(driver::EventHandle event) noexcept {
  try {
    streams_.check_event(event, "destroy_event");
    std::lock_guard lock(run_mutex_);
    streams_.destroy_event(event);
  } catch (const std::exception& e) {
    std::lock_guard state(state_mutex_);
    if (late_error_.empty()) late_error_ = e.what();
  }
}

void SimDriver::record(driver::EventHandle event, driver::StreamHandle stream) {
  check_usable();
  streams_.check_event(event, "record");
  streams_.check_stream(stream, "record");
  std::lock_guard lock(run_mutex_);
  streams_.record(event, stream);
  if (!options_.deferred) streams_.force(stream);
}

void SimDriver::wait(driver::StreamHandle stream, driver::EventHandle event) {
  check_usable();
  streams_.check_stream(stream, "wait");
  streams_.check_event(event, "wait");
  std::lock_guard lock(run_mutex_);
  streams_.wait(stream, event);
}

double SimDriver::elapsed_ms(driver::EventHandle from, driver::EventHandle to) {
  check_usable();
  streams_.check_event(from, "elapsed_ms");
  streams_.check_event(to, "elapsed_ms");
  std::lock_guard lock(run_mutex_);
  return streams_.elapsed_ms(from, to);
}

}  // namespace flame::sim
