#include "conformance/runner/rig.h"

namespace flame::conformance {
namespace {

// The environment's options, but direct where the simulator can then guard every tensor on its own.
DeviceOptions options_for(const driver::Info& info, bool strict) {
  DeviceOptions options = options_from_environment();
  options.direct_allocator |= strict || info.kind == driver::Kind::kSimulated;
  options.memory_limit = 0;
  return options;
}

}  // namespace

Rig::Rig(std::shared_ptr<driver::Driver> d, std::shared_ptr<Witness> w)
    : driver(std::move(d)),
      witness(std::move(w)),
      device(driver, options_for(driver->info(), false)),
      poison(std::make_shared<PoisonDriver>(driver)),
      strict(poison, options_for(driver->info(), true)) {}

}  // namespace flame::conformance
