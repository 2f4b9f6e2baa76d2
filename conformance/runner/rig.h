// Everything a check needs of one device: the device itself, the same hardware behind poisoned and
// guarded memory, and the witness of what really ran on it.
#pragma once
#include <memory>
#include <string>

#include "conformance/runner/poison_driver.h"
#include "conformance/witness/witness.h"
#include "lib/tensor/device.h"

namespace flame::conformance {

struct Rig {
  Rig(std::shared_ptr<driver::Driver> driver, std::shared_ptr<Witness> witness);

  std::shared_ptr<driver::Driver> driver;
  std::shared_ptr<Witness> witness;
  Device device;                         // as users have it
  std::shared_ptr<PoisonDriver> poison;  // over `driver`
  Device strict;                         // over `poison`; every tensor an allocation of its own

  bool simulated() const { return device.info().kind == driver::Kind::kSimulated; }
  const char* kind() const { return simulated() ? "simulated" : "gpu"; }
};

}  // namespace flame::conformance
