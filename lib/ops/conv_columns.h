// conv2d as matrix products: the launches of kernels/conv_columns.cu, and the products with
// columns.
#pragma once
#include <functional>

#include "lib/autograd/op_context.h"
#include "lib/driver/driver.h"
#include "lib/ops/conv.h"
#include "lib/tensor/tensor.h"

namespace flame {

using Temporary = std::function<Tensor(const Shape&, DType)>;

// How columns of dtype t lie: (image, group, depth, pixel). The depth is the window's size, rounded
// up so that rows of weights start on 16 bytes; the rows beyond the window are zero. They are made
// for as many images at a time as fit into 512 MiB (one at least).
struct ColumnPlan {
  std::int64_t images = 1, depth = 0;

  std::int64_t image_size(const Conv& c) const { return c.groups * depth * c.pixels(); }
  std::int64_t bytes(const Conv& c, DType t) const {
    return images * image_size(c) * static_cast<std::int64_t>(size_of(t));
  }
};
ColumnPlan plan_columns(const Conv& c, DType t);

// What one operand of a product advances by from image to image, and from group to group.
struct Steps {
  std::int64_t image, group;
};
// The product for every image and group: the larger of the two is its batch, the other a loop.
void grouped_gemm(const Device& device, driver::Gemm g, std::int64_t images, std::int64_t groups,
                  Steps a, Steps b, Steps c);

// y[image] = weight * columns(x[image]) + bias. Contiguous tensors; y has elements; `bias` may be
// undefined. With a bias the product stays in the accumulator's type until both are added: a
// vendor's product of half types may be rounded before it is added to.
void columns_forward(const Device& device, const Temporary& temporary, const Conv& c,
                     const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y);
std::int64_t columns_forward_bytes(const Conv& c, DType t, bool has_bias);

// The gradients of a convolution that is not depthwise; dx, dw: contiguous, with elements.
void columns_input(const Device& device, const Temporary& temporary, const Conv& c,
                   const Tensor& weight, const Tensor& g, const Tensor& dx);
std::int64_t columns_input_bytes(const Conv& c, DType t);
void columns_weight(const Device& device, const Temporary& temporary, const Conv& c,
                    const Tensor& x, const Tensor& g, const Tensor& dw);
std::int64_t columns_weight_bytes(const Conv& c, DType t);

}  // namespace flame
