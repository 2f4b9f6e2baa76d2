// Accumulation in place, without a trace in the graph.
#pragma once
#include "lib/tensor/tensor.h"

namespace flame {

// to += alpha * other, for any strides, one rounding an element. `other` broadcasts to `to`'s shape
// and is converted to its dtype. Throws DTypeError for a tensor that is not floating, ShapeError
// when it does not broadcast, ValueError when `to` is an expanded tensor.
void add_into(const Tensor& to, const Tensor& other, double alpha);

}  // namespace flame
