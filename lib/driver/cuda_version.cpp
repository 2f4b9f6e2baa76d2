#include "lib/driver/cuda_version.h"

#include "lib/core/error.h"

namespace flame::driver {

void require_driver(int driver_version, int compiler_version) {
  check<NoDeviceError>(driver_version / 1000 >= compiler_version / 1000,
                       "cuda: the NVIDIA driver is of CUDA ", version_text(driver_version),
                       ", older than the toolkit, whose compiler NVRTC is of CUDA ",
                       version_text(compiler_version), "; update the driver or set CUDA_HOME to ",
                       "a toolkit of CUDA ", driver_version / 1000);
}

std::string version_text(int version) { return str_cat(version / 1000, ".", version % 1000 / 10); }

std::string arch_of(int major, int minor) {
  return str_cat("sm_", major, minor, major == 9 && minor == 0 ? "a" : "");
}

}  // namespace flame::driver
