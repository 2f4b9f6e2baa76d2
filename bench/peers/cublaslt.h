// cuBLASLt called directly and tuned by hand: for each product, the best of what its heuristics
// offer, found by timing. What a careful user would get from the vendor.
#pragma once
#include <memory>

#include "bench/session.h"

namespace flame::bench {

// nullptr where cuBLASLt is not on this machine, and on the simulated device.
std::unique_ptr<PeerSource> open_cublaslt(const Device& device);

}  // namespace flame::bench
