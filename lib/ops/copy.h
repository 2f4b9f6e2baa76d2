// Copies between tensors of any strides and dtypes, outside the graph.
#pragma once
#include "lib/tensor/tensor.h"

namespace flame {

// to = from, broadcast and converted (round to nearest even; floating to integer truncates;
// anything nonzero is true). Shapes must broadcast, both on one device; nothing is launched for 0
// elements.
void copy_into(const Tensor& to, const Tensor& from);

}  // namespace flame
