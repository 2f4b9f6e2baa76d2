// Whether what was timed is right: any implementation's results on a smaller case of the same item,
// by the suite's judge against the oracle.
#pragma once
#include <optional>
#include <vector>

#include "bench/measure.h"
#include "bench/plan.h"
#include "reference/host_tensor.h"

namespace flame::bench {

// A smaller case of an item with its inputs, so small that the oracle is quick.
struct JudgedCase {
  Item item;
  std::vector<reference::HostTensor> inputs, grad_outputs;
};
// Nothing for what draws its own numbers.
std::optional<JudgedCase> judged_case(const Item& item);

// `results`: the outputs when only forward is timed, else one gradient per input (undefined where
// there is none).
Judged judge_results(const JudgedCase& c, const std::vector<reference::HostTensor>& results);

// FLAME's own.
Judged judge_flame(const Device& device, const Item& item);

}  // namespace flame::bench
