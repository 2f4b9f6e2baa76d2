// Launching a kernel by name, with every argument's size carried along and checked.
#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "lib/tensor/device.h"

namespace flame {

// Compiles and loads the kernel at its first use on this device, then launches it on the device's
// stream; `early` as in driver::Launch. Throws JitError, DriverError. With FLAME_SYNC=1 waits, and
// names the kernel that failed.
void launch_kernel(const Device& device, const driver::KernelId& kernel, driver::Dim3 grid,
                   driver::Dim3 block, unsigned shared_bytes, std::span<const driver::Arg> args,
                   bool early = false);

// launch(device, {"unary.cu", "unary_forward<Exp, float>"}, grid, block, shared, x, y, n): argument
// types must be exactly the kernel's.
template <class... Args>
void launch(const Device& device, const driver::KernelId& kernel, driver::Dim3 grid,
            driver::Dim3 block, unsigned shared_bytes, const Args&... args) {
  const std::array<driver::Arg, sizeof...(Args)> list{driver::Arg{&args, sizeof(args)}...};
  launch_kernel(device, kernel, grid, block, shared_bytes, list);
}

// The same for a kernel that waits for the launch before it where it must.
template <class... Args>
void launch_early(const Device& device, const driver::KernelId& kernel, driver::Dim3 grid,
                  driver::Dim3 block, unsigned shared_bytes, const Args&... args) {
  const std::array<driver::Arg, sizeof...(Args)> list{driver::Arg{&args, sizeof(args)}...};
  launch_kernel(device, kernel, grid, block, shared_bytes, list, true);
}

// The spelling of a template argument in a kernel expression.
inline std::string_view template_argument(DType t) { return device_name(t); }
inline std::string_view template_argument(std::string_view text) { return text; }
inline std::string_view template_argument(const char* text) { return text; }  // else it is a bool
inline std::string template_argument(int v) { return std::to_string(v); }
inline std::string_view template_argument(bool v) { return v ? "true" : "false"; }

// expression("unary_forward", "Exp", DType::kFloat32) is "unary_forward<Exp, float>".
template <class... Parts>
std::string expression(std::string_view name, const Parts&... parts) {
  std::string out;
  out.reserve(96);  // this runs at every launch: one allocation
  out += name;
  const char* separator = "<";
  ((out += separator, out += template_argument(parts), separator = ", "), ...);
  if (sizeof...(Parts) > 0) out += ">";
  return out;
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace flame
