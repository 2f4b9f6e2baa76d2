// Copies that leave no trace in the graph: what Tensor::copy_, contiguous(), to() and gradients of
// views are made of.
#pragma once
#include "lib/tensor/tensor.h"

namespace flame {

// to[...] = from[...] for any strides: `from` broadcasts to `to`'s shape and is converted to its
// dtype (round to nearest even; floating to integer truncates; anything nonzero is true).
// Throws ShapeError when it does not broadcast, ValueError when `to` is an expanded tensor, whose
// elements share memory, DeviceError when the devices differ.
void copy_into(const Tensor& to, const Tensor& from);

// A row-major copy of `from` in `dtype`, outside the graph; `from` itself when it is that already.
Tensor as_contiguous(const Tensor& from, DType dtype);
inline Tensor as_contiguous(const Tensor& from) { return as_contiguous(from, from.dtype()); }

}  // namespace flame
