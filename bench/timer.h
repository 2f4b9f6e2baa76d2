// One timing of one piece of work on the device, between two of its events.
#pragma once
#include <functional>
#include <memory>

#include "bench/probes.h"
#include "lib/tensor/device.h"

namespace flame::bench {

enum class Temperature : unsigned char {
  kCold,  // nothing of the work's data is in the L2
  kHot,   // the work ran just before
};
const char* to_string(Temperature t);  // "cold", "hot"

class Timer {
 public:
  virtual ~Timer() = default;
  // Milliseconds that the device takes for `work`. Blocks.
  virtual double time(const std::function<void()>& work, Temperature temperature) = 0;
};

// By device events. Before the first event the device is kept busy, half as long again as the host
// last took to queue the work: what is timed is the device's time, not the host's (which has rows
// of its own). Cold: the cache is displaced by reading after that.
class DeviceTimer final : public Timer {
 public:
  DeviceTimer(const Device& device, Probes& probes);
  ~DeviceTimer() override;
  double time(const std::function<void()>& work, Temperature temperature) override;

 private:
  Device device_;
  Probes& probes_;
  double head_start_us_;  // grows with what queueing takes
  driver::EventHandle begin_, end_;
};

}  // namespace flame::bench
