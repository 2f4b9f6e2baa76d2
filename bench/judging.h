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
std::optional<Item> judged_item(const Item& item);
std::optional<JudgedCase> judged_case(const Item& item);

// What the oracle says is due: the outputs, or with `grad_outputs` the gradients. `tf32`: a product
// may read its operands rounded to TF32's 10 bits, for which its bound then has room: each factor
// is off by at most u = 2^-10 (cut off, not rounded) of itself, so each product of two by 2u + u^2,
// and their sum by that times the same sum of magnitudes.
std::vector<reference::BoundTensor> due(const reference::Contract& contract,
                                        const std::vector<reference::HostTensor>& inputs,
                                        const Attrs& attrs,
                                        const std::vector<reference::HostTensor>& grad_outputs,
                                        bool tf32);

// `results`: the outputs when only forward is timed, else one gradient per input (undefined where
// there is none).
Judged judge_results(const JudgedCase& c, const std::vector<reference::HostTensor>& results);

// FLAME's own.
Judged judge_flame(const Device& device, const Item& item);

}  // namespace flame::bench
