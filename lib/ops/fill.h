// Fills a tensor of any strides with one number, outside the graph.
#pragma once
#include "lib/tensor/tensor.h"

namespace flame {

void fill_into(const Tensor& to, const Number& value);

}  // namespace flame
