// The columns of a convolution, turned: a row for each output pixel, as products in TF32 read them.
#pragma once
#include "kernels/params.h"
#include "lib/ops/conv.h"
#include "lib/tensor/device.h"
#include "lib/tensor/tensor.h"

namespace flame {

// How kernels/conv_rows.cu makes rows of `depth` elements. Tensor cores take TF32 operands along k
// only, so that a product with columns in the other order has to turn one of them on the way.
struct TurnedColumns {
  bool fits = false;  // it can, and the product is one in TF32 that gains by it
  int pixels = 0, chunk = 0, chunks = 0, span = 0;
  std::int64_t shared_bytes = 0, blocks_an_image = 0;
};
TurnedColumns plan_turned_columns(const Conv& c, DType t, std::int64_t depth, bool tf32);

// Of p.images images that start at x.
void im2row(const Device& device, const TurnedColumns& plan, const void* x, const Tensor& rows,
            const flame_params::Im2col& p);

}  // namespace flame
