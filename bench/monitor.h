// Clock, power, temperature and what holds the clock back, by NVML, opened at run time.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "lib/driver/driver.h"

namespace flame::bench {

struct Reading {
  int sm_mhz = 0, memory_mhz = 0, max_sm_mhz = 0;
  double watts = 0;
  int celsius = 0;
  std::string throttle;  // "sw_power_cap", several joined by commas; empty: nothing holds it back
};

class Monitor {
 public:
  virtual ~Monitor() = default;
  // Nothing where the device cannot be watched.
  virtual std::optional<Reading> read() = 0;
};

// Watches the device of `info`. Without NVML, and for a simulated device, its readings are empty
// and `problem` says why.
std::unique_ptr<Monitor> open_monitor(const driver::Info& info, std::string* problem = nullptr);

// NVML's bit mask in words. An idle device is not held back.
std::string throttle_words(unsigned long long reasons);

}  // namespace flame::bench
