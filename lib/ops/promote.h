// PyTorch's promotion of two floating operands, with gradients in the dtype each came in.
#pragma once
#include <utility>

#include "lib/ops/ops.h"
#include "lib/tensor/tensor.h"

namespace flame {

// The dtype of a result: the wider of the two, float32 for float16 with bfloat16; a tensor of 0
// dims does not decide beside one that has dims.
inline DType promoted_dtype(const Tensor& a, const Tensor& b) {
  if (a.dim() > 0 && b.dim() == 0) return a.dtype();
  if (b.dim() > 0 && a.dim() == 0) return b.dtype();
  return promote(a.dtype(), b.dtype());
}

// Both in one dtype. Anything that is not a pair of floating tensors is left for the op to reject.
inline std::pair<Tensor, Tensor> promoted(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined() || a.dtype() == b.dtype() || !is_floating(a.dtype()) ||
      !is_floating(b.dtype()))
    return {a, b};
  const DType dtype = promoted_dtype(a, b);
  return {to(a, dtype), to(b, dtype)};
}

}  // namespace flame
