// Tensors laid side by side, without a trace in the graph: what cat and gradients of slices are
// made of.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/tensor/tensor.h"

namespace flame {

// A tensor of this shape, or zeros where it is undefined, and where it starts along the joined dim.
struct Piece {
  Tensor tensor;
  Shape shape;
  std::int64_t start = 0;
};

// Writes the pieces into `whole`, side by side along `dim`; all are of its dtype and device, and of
// its shape but for `dim`. What lies in memory as rows goes many pieces in a launch.
void join_into(std::span<const Piece> pieces, const Tensor& whole, std::size_t dim);

}  // namespace flame
