// Streams and events of the simulated device.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "lib/driver/driver.h"

namespace flame::sim {

// Work waits in its stream until force() (deferred), or is run at once by the caller. Whatever no
// event orders is run in an order drawn from the seed. Not thread-safe by itself: the driver holds
// its run mutex, but handle checks may come from anywhere.
class Streams {
 public:
  explicit Streams(std::uint64_t seed) : random_(seed) {}
  void set_seed(std::uint64_t seed) { random_ = seed; }

  driver::StreamHandle create_stream();
  driver::EventHandle create_event();
  // Throw DriverError for a handle that is not live; `what` names the call.
  void check_stream(driver::StreamHandle stream, const char* what) const;
  void check_event(driver::EventHandle event, const char* what) const;
  void destroy_stream(driver::StreamHandle stream);
  void destroy_event(driver::EventHandle event);

  void push(driver::StreamHandle stream, std::function<void()> work);
  void record(driver::EventHandle event, driver::StreamHandle stream);
  void wait(driver::StreamHandle stream, driver::EventHandle event);
  // Runs all that `stream` holds and what it waits for; of other streams, some. Exceptions of work
  // come through; what follows in the queues stays there.
  void force(driver::StreamHandle stream);
  void force_event(driver::EventHandle event);
  void force_all();
  // Throws DriverError for an event that was never recorded. Forces both.
  double elapsed_ms(driver::EventHandle from, driver::EventHandle to);

 private:
  using Clock = std::chrono::steady_clock;
  struct Step {
    std::function<void()> work;     // or, when empty,
    driver::EventHandle event = 0;  // this event's
    std::uint64_t ticket = 0;       // recording is done, or must be done before going on
    bool is_record = false;
  };
  struct EventState {
    std::uint64_t recorded = 0;  // ticket of the newest record call; 0: never
    std::uint64_t done = 0;      // ticket of the newest one that was reached
    driver::StreamHandle stream = 0;
    Clock::time_point when;
    bool destroyed = false;  // by name only: somebody may still wait for it
  };
  using Queue = std::deque<Step>;

  // Runs the first step of a stream if it need not wait. False: it must.
  bool step(driver::StreamHandle stream);
  bool blocked(const Step& s) const;
  std::uint64_t random();

  mutable std::mutex mutex_;  // of the two tables, not of running work
  std::map<driver::StreamHandle, Queue> queues_{{0, Queue()}};
  std::map<driver::EventHandle, EventState> events_;
  std::uintptr_t next_handle_ = 0x5100;
  std::uint64_t tickets_ = 0;
  std::uint64_t random_;
};

}  // namespace flame::sim
