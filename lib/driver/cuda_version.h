// Versions and architectures of CUDA, as rules: no CUDA header, no device.
#pragma once
#include <string>

namespace flame::driver {

// Throws NoDeviceError naming both when a driver cannot run what a compiler of that version makes.
// Machine code runs on every driver of the same major version or a later one (CUDA's minor version
// compatibility); 0 for the compiler means that there is none.
void require_driver(int driver_version, int compiler_version);

// 13000 -> "13.0".
std::string version_text(int version);

// What kernels are compiled for on a device of this compute capability: sm_90a on Hopper, whose
// kernels may use its own instructions, else "sm_80" and so on.
std::string arch_of(int major, int minor);

}  // namespace flame::driver
