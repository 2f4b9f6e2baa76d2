// What one small op costs the host, against the driver's bare launch in the same run.
#pragma once
#include <memory>
#include <vector>

#include "bench/measure.h"
#include "bench/probes.h"

namespace flame::bench {

// Contenders whose times are milliseconds of host time per call. One op: add of two tensors of one
// element, alone or recorded with its gradient. Its peers: the same launch through FLAME's driver
// ("driver_seam") and cuLaunchKernel itself ("cuLaunchKernel", not on the simulated device).
class HostCost {
 public:
  HostCost(const Device& device, Probes& probes, int calls_per_sample);
  ~HostCost();
  // FLAME's own first. They live as long as this.
  std::vector<Contender*> contenders(bool with_backward);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace flame::bench
