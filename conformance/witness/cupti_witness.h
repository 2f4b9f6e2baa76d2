// The witness on a GPU: CUPTI's activity records.
#pragma once
#include <memory>

#include "conformance/witness/witness.h"

namespace flame::conformance {

// Of the CUDA device `index`. Throws WitnessError: no libcupti, one of another CUDA version than
// these records are read for, another profiler at work, or a CUPTI witness already alive.
std::shared_ptr<Witness> make_cupti_witness(int index);

}  // namespace flame::conformance
