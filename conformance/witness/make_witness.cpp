#include "conformance/witness/cupti_witness.h"
#include "conformance/witness/ledger_witness.h"
#include "lib/tensor/runtime.h"

namespace flame::conformance {

std::shared_ptr<Witness> make_witness(driver::Driver& innermost) {
  if (innermost.info().kind == driver::Kind::kCuda)
    return make_cupti_witness(innermost.info().index);
  auto* device = dynamic_cast<sim::SimDriver*>(&innermost);
  check<WitnessError>(device != nullptr,
                      "ledger: this driver is not the simulated device but a wrapper around it");
  return make_ledger_witness(*device);
}

std::shared_ptr<Witness> make_witness(const Device& device) {
  return make_witness(device.runtime().driver());
}

}  // namespace flame::conformance
