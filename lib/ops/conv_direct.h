// conv2d where every input channel is a group of its own: the launches of
// kernels/conv_depthwise.cu.
#pragma once
#include "kernels/params.h"
#include "lib/autograd/op_context.h"
#include "lib/ops/conv.h"
#include "lib/tensor/launch.h"
#include "lib/tensor/tensor.h"

namespace flame {

// `fits` where the convolution is depthwise and its planes fit into shared memory.
struct DepthwisePlan {
  bool fits = false;
  flame_params::Depthwise params{};
  int window = 0;  // the kernels' kWindow
  std::int64_t size = 0, area = 0, pixels = 0, taps = 0, multiplier = 0;

  std::int64_t padded(std::int64_t elements) const { return ceil_div(elements * size, 16) * 16; }
};

DepthwisePlan plan_depthwise(const Conv& c, DType t);
// Bytes of the weight gradient's partial sums.
std::int64_t depthwise_bytes(const Conv& c, DType t);

// Contiguous tensors; `bias` may be undefined.
void depthwise_forward(const Device& device, DepthwisePlan d, const Tensor& x, const Tensor& weight,
                       const Tensor& bias, const Tensor& y);
void depthwise_input(const Device& device, DepthwisePlan d, const Tensor& g, const Tensor& weight,
                     const Tensor& dx);
void depthwise_weight(BackwardContext& context, const Conv& c, DepthwisePlan d, const Tensor& x,
                      const Tensor& g, const Tensor& dw);

// Bytes of one product g[image] * x[image]^T for every image, where that is what a pointwise
// convolution without groups does (and 0 where not, or where they would be too many): no columns,
// and the sum over images stays in the accumulator's type.
std::int64_t pointwise_bytes(const Conv& c, DType t);
void pointwise_weight(BackwardContext& context, const Conv& c, const Tensor& x, const Tensor& g,
                      const Tensor& dw);

// out = the sum of `partial` (chunks, elements of out), which is in the accumulator's type.
void sum_chunks(const Device& device, const Tensor& partial, const Tensor& out, long long chunks);

}  // namespace flame
