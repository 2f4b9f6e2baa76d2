// What the rest of the library needs of the binary ops, outside the graph.
#pragma once
#include "lib/tensor/tensor.h"

namespace flame {

// to += alpha * other, in place. `other` broadcasts to `to`; both of one floating dtype.
void add_into(const Tensor& to, const Tensor& other, double alpha);

}  // namespace flame
