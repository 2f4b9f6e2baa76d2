// Launching a kernel by name, with every argument's size carried along and checked.
#pragma once
#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <string_view>

#include "lib/tensor/device.h"

namespace flame {

// A template argument of a kernel: text that the launch does not outlive, or a number.
struct KernelArgument {
  std::string_view text = {};
  int number = 0;  // where there is no text
};

// A kernel's C++ name, "name<argument, argument>". It is needed at every launch and is therefore
// not spelled out: the runtime compares it piece by piece with the names of kernels that are
// loaded.
class Expression {
 public:
  Expression(std::string_view name, std::initializer_list<KernelArgument> arguments = {});
  Expression(const char* name) : Expression(std::string_view(name)) {}
  std::size_t hash() const;
  bool is(std::string_view text) const;
  operator std::string() const;

 private:
  static constexpr std::size_t kMostArguments = 6;
  // Gives each piece of the text to `take` until that gives false. Gives whether it never did.
  template <class Take>
  bool pieces(Take take) const;

  std::string_view name_;
  std::size_t count_;
  std::array<KernelArgument, kMostArguments> arguments_;
};

// What a launch asks for: a driver::KernelId that is not spelled out.
struct KernelName {
  std::string_view file;
  Expression expression;
};

// Compiles and loads the kernel at its first use on this device, then launches it on the device's
// stream; `early` as in driver::Launch. Throws JitError, DriverError. With FLAME_SYNC=1 waits, and
// names the kernel that failed.
void launch_kernel(const Device& device, const KernelName& kernel, driver::Dim3 grid,
                   driver::Dim3 block, unsigned shared_bytes, std::span<const driver::Arg> args,
                   bool early = false);

// launch(device, {"unary.cu", "unary_forward<Exp, float>"}, grid, block, shared, x, y, n): argument
// types must be exactly the kernel's.
template <class... Args>
void launch(const Device& device, const KernelName& kernel, driver::Dim3 grid, driver::Dim3 block,
            unsigned shared_bytes, const Args&... args) {
  const std::array<driver::Arg, sizeof...(Args)> list{driver::Arg{&args, sizeof(args)}...};
  launch_kernel(device, kernel, grid, block, shared_bytes, list);
}

// The same for a kernel that waits for the launch before it where it must.
template <class... Args>
void launch_early(const Device& device, const KernelName& kernel, driver::Dim3 grid,
                  driver::Dim3 block, unsigned shared_bytes, const Args&... args) {
  const std::array<driver::Arg, sizeof...(Args)> list{driver::Arg{&args, sizeof(args)}...};
  launch_kernel(device, kernel, grid, block, shared_bytes, list, true);
}

// How a kernel expression spells a type or a value.
inline KernelArgument template_argument(DType t) { return {device_name(t)}; }
inline KernelArgument template_argument(std::string_view text) { return {text}; }
inline KernelArgument template_argument(const char* text) { return {text}; }  // else it is a bool
inline KernelArgument template_argument(int v) { return {{}, v}; }
inline KernelArgument template_argument(bool v) { return {v ? "true" : "false"}; }

// expression("unary_forward", "Exp", DType::kFloat32) is "unary_forward<Exp, float>".
template <class... Parts>
Expression expression(std::string_view name, const Parts&... parts) {
  return Expression(name, {template_argument(parts)...});
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace flame
