// Setting every element to one number, without a trace in the graph.
#pragma once
#include "lib/tensor/tensor.h"

namespace flame {

// to[...] = value for any strides and dtype. An integer value stays exact in an int64 tensor.
void fill_into(const Tensor& to, const Number& value);

}  // namespace flame
