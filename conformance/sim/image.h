// What "compiling" gives on the simulated device: a small blob that only the right kernel loads
// from, so that loaders are tested against lies here as on a GPU.
#pragma once
#include "lib/driver/driver.h"

namespace flame::sim {

// "FLAMESIM", format, file, expression, checksum. Throws JitError when the program holds no such
// kernel.
driver::Image make_image(const driver::KernelId& kernel);

struct Kernel;
// The kernel that `image` is of. Throws JitError unless it is intact and of `kernel`.
const Kernel& verify_image(const driver::Image& image, const driver::KernelId& kernel);

}  // namespace flame::sim
