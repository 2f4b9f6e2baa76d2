// The backward pass: iterative, deterministic in its order, accumulating.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lib/core/op_def.h"
#include "lib/tensor/tensor.h"

namespace flame::autograd {

struct Root {
  Tensor output, gradient;
};

// Runs backward from the roots. Without `wanted`, gradients are added into the grad of every leaf;
// with it, they are returned for those tensors (undefined where unreached) and no leaf is touched.
// All of `wanted` require grad.
Tensors run_backward(std::span<const Root> roots, std::optional<std::span<const Tensor>> wanted,
                     bool retain_graph);

}  // namespace flame::autograd
