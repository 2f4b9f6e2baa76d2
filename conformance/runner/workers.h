// Items spread over forked processes, so that a crash costs one item and both cores are used.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace flame::conformance {

// Lives in one worker process: owns a device and runs items on it.
class Worker {
 public:
  virtual ~Worker() = default;
  // Said once to the parent (the device, as a run manifest).
  virtual std::string hello() { return {}; }
  virtual std::string run(std::size_t item) = 0;
  // After an item: false when this process had better be replaced (a CUDA context that is lost).
  virtual bool healthy() { return true; }
};

struct Fleet {
  int jobs = 1;
  std::size_t items = 0;
  bool in_process = false;                         // no fork: for debuggers
  double limit_s = 300;                            // an item that takes longer is stopped, and died
  std::function<std::unique_ptr<Worker>()> start;  // in the worker; may throw NoDeviceError
  std::function<void(const std::string& hello)> on_hello;
  // In item order.
  std::function<void(std::size_t item, const std::string& result)> on_result;
  // In the parent: what to take for the result of an item whose process died.
  std::function<std::string(std::size_t item, const std::string& how)> on_death;
  // When an item has ended; in no order.
  std::function<void(std::size_t item)> on_finished;
};

// Throws what `start` threw: NoDeviceError as such, other errors as Error.
void run_fleet(const Fleet& fleet);

}  // namespace flame::conformance
