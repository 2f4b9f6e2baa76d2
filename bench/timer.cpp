#include "bench/timer.h"

#include <algorithm>
#include <chrono>

#include "lib/tensor/runtime.h"

namespace flame::bench {
namespace {

constexpr double kLeastHeadStart = 30, kMostHeadStart = 5000;  // microseconds

}  // namespace

const char* to_string(Temperature t) { return t == Temperature::kCold ? "cold" : "hot"; }

DeviceTimer::DeviceTimer(const Device& device, Probes& probes)
    : device_(device), probes_(probes), head_start_us_(kLeastHeadStart) {
  begin_ = device_.runtime().driver().create_event();
  end_ = device_.runtime().driver().create_event();
}

DeviceTimer::~DeviceTimer() {
  device_.runtime().driver().destroy_event(begin_);
  device_.runtime().driver().destroy_event(end_);
}

double DeviceTimer::time(const std::function<void()>& work, Temperature temperature) {
  driver::Driver& driver = device_.runtime().driver();
  if (temperature == Temperature::kHot) work();
  // A simulated launch runs before it returns: there is nothing to run ahead of.
  const bool simulated = device_.info().kind == driver::Kind::kSimulated;
  probes_.spin(simulated ? 0 : head_start_us_);
  if (temperature == Temperature::kCold) probes_.displace();
  driver.record(begin_, device_.stream());
  const auto queued_from = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::micro> queued =
      std::chrono::steady_clock::now() - queued_from;
  driver.record(end_, device_.stream());
  const double ms = driver.elapsed_ms(begin_, end_);
  device_.synchronize();  // throws what device code reported
  head_start_us_ = std::clamp(1.5 * queued.count(), kLeastHeadStart, kMostHeadStart);
  return ms;
}

}  // namespace flame::bench
