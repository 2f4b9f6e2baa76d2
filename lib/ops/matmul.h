// The one place where a matrix product is given to the vendor library or to FLAME's own kernel.
#pragma once
#include "lib/driver/driver.h"
#include "lib/tensor/device.h"

namespace flame {

// Runs `product` on the device's stream: by the vendor library, or by kernels/matmul.cu where there
// is none, it declines, FLAME_BLAS=own, or k is 0 (then C = beta * C). Sizes of 0 launch nothing.
// `allow_tf32` is set from the device. Throws DriverError.
void gemm(const Device& device, driver::Gemm product);

}  // namespace flame
