// A rig by the name a user gives: "sim", "cuda", "cuda:1". Never another one than asked for.
#pragma once
#include <memory>
#include <string>

#include "conformance/runner/rig.h"

namespace flame::conformance {

struct BaseDevice {
  std::shared_ptr<driver::Driver> driver;
  std::shared_ptr<Witness> witness;
};

// Throws ValueError for a name that is none, NoDeviceError when it is not there. `sim_threads`: OS
// threads that the blocks of one simulated launch are spread over, 0 for one per core.
BaseDevice open_device(const std::string& name, int sim_threads = 0);
// How many CUDA devices there are, asked in a process of its own: a process that has initialised
// CUDA cannot hand it to the workers that it forks.
int cuda_devices_for_workers();

}  // namespace flame::conformance
