// The device that tests run on: the simulated one, or a GPU when FLAME_TEST_DEVICE=cuda. Neither
// stands in for the other: what was asked for is opened, or the test fails.
#pragma once
#include <cstdlib>
#include <memory>
#include <string_view>

#include "conformance/sim/sim.h"
#include "lib/core/error.h"
#include "lib/tensor/device.h"

namespace flame::test {

inline bool on_gpu() {
  const char* variable = std::getenv("FLAME_TEST_DEVICE");
  const std::string_view name = variable ? variable : "sim";
  check<ValueError>(name == "sim" || name == "cuda", "FLAME_TEST_DEVICE=", name,
                    " is neither sim nor cuda");
  return name == "cuda";
}

inline std::shared_ptr<driver::Driver> open_driver() {
  return on_gpu() ? driver::open_cuda() : sim::open();
}

// A device of its own: allocator, kernel cache, random counter and faults start afresh.
inline Device new_device(const DeviceOptions& options = options_from_environment()) {
  return Device(open_driver(), options);
}

// The device that the tests of one program share, so that each kernel is loaded once.
inline const Device& device() {
  static const Device shared = new_device();
  return shared;
}

}  // namespace flame::test
