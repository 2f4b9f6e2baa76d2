// The witness of the simulated device: its own ledger.
#pragma once
#include <memory>

#include "conformance/sim/sim.h"
#include "conformance/witness/witness.h"

namespace flame::conformance {

// `device` must outlive the witness. begin() clears the device's ledger.
std::shared_ptr<Witness> make_ledger_witness(sim::SimDriver& device);

}  // namespace flame::conformance
