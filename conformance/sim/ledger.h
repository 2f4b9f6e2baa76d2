// What the simulated device did, in order: the witness of a run without a GPU.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lib/driver/driver.h"

namespace flame::sim {

enum class EventKind : std::uint8_t {
  kLaunch,
  kCopyToDevice,
  kCopyToHost,
  kCopyOnDevice,
  kFill,
  kAllocate,
  kFree,
  kSynchronize
};
const char* to_string(EventKind kind);  // "launch", "copy_to_device", ...

// One allocation as an event saw it.
struct BufferRef {
  std::string label;
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
  bool operator==(const BufferRef&) const = default;
};

struct Event {
  EventKind kind = EventKind::kLaunch;
  std::string file;        // launches: "unary.cu"
  std::string expression;  // launches: normalized, "unary_forward<Exp,float>"
  driver::Dim3 grid, block;
  std::size_t bytes = 0;  // of a copy, fill or allocation; dynamic shared memory of a launch
  driver::StreamHandle stream = 0;
  // Every allocation that was touched, in the order of first touch; an allocation that was read and
  // then written is in `writes` only when the device is protected: see SimDriver::tracks_access().
  std::vector<BufferRef> reads, writes;
  std::string op;           // of the innermost OpScope around the call, else empty
  double microseconds = 0;  // host time that it took
};

// Names the library operation for the events and fault reports of this thread.
class OpScope {
 public:
  explicit OpScope(std::string_view name);
  ~OpScope();
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;
  static std::string_view current();

 private:
  std::string_view before_;
  std::string name_;
};

// Keeps the newest `capacity` events. Thread-safe.
class Ledger {
 public:
  explicit Ledger(std::size_t capacity) : capacity_(capacity) {}
  bool enabled() const { return capacity_ > 0; }
  void add(Event event);
  std::vector<Event> events() const;
  // The newest event of this kind; one with no expression and no bytes when there is none.
  Event last(EventKind kind) const;
  void clear();
  std::size_t dropped() const;

 private:
  mutable std::mutex mutex_;
  std::deque<Event> events_;
  std::size_t capacity_, dropped_ = 0;
};

}  // namespace flame::sim
