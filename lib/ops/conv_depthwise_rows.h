// conv2d where every input channel is a group of its own, by rows in registers: the launches of
// kernels/conv_depthwise_rows.cu. For the windows of most networks; conv_direct.h has the rest.
#pragma once
#include "lib/autograd/op_context.h"
#include "lib/ops/conv.h"
#include "lib/tensor/tensor.h"

namespace flame {

// Fills y and returns true where these kernels can do it. Contiguous tensors; `bias` may be
// undefined.
bool depthwise_rows_forward(const Device& device, const Conv& c, const Tensor& x,
                            const Tensor& weight, const Tensor& bias, const Tensor& y);

// The gradients of input and weight that are defined, both in one pass. Which of them it has
// filled: the others are for other kernels. `x` is read for dw alone, `weight` for dx alone.
struct GradientsMade {
  bool input = false, weight = false;
};
GradientsMade depthwise_rows_backward(BackwardContext& context, const Conv& c, const Tensor& x,
                                      const Tensor& weight, const Tensor& g, const Tensor& dx,
                                      const Tensor& dw);
// Bytes of the weight gradient's partial sums; 0 where these kernels cannot do it.
std::int64_t depthwise_rows_bytes(const Conv& c, DType t);

}  // namespace flame
