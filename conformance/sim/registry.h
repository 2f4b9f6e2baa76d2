// The kernels compiled into this program: file and name expression -> a type-erased entry that
// takes its arguments the way cuLaunchKernel does. Seen by kernel files, so it pulls in next to
// nothing.
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

namespace simcu {

// Runs one thread of the kernel; args[i] points at the value of argument i.
using Call = void (*)(void* const* args);

// `expression` as exported (spaces and all); `file` is the path of the kernel file.
void register_kernel(const char* file, const char* expression, Call call,
                     const std::size_t* arg_sizes, std::size_t arg_count);

template <auto F>
struct Thunk;
template <class... A, void (*F)(A...)>
struct Thunk<F> {
  static constexpr std::size_t kCount = sizeof...(A);
  static constexpr std::size_t kSizes[kCount + 1] = {sizeof(A)..., 0};
  // The checker of the instrumented build listens to device code only, and this is none.
  __attribute__((no_sanitize("thread"))) static void call(void* const* args) {
    go(args, std::index_sequence_for<A...>{});
  }
  template <std::size_t... I>
  __attribute__((no_sanitize("thread"))) static void go(void* const* args,
                                                        std::index_sequence<I...>) {
    (void)args;  // a kernel may have none
    F(*static_cast<std::remove_const_t<A>*>(args[I])...);
  }
};

struct Registrar {
  Registrar(const char* file, const char* expression, Call call, const std::size_t* arg_sizes,
            std::size_t arg_count) {
    register_kernel(file, expression, call, arg_sizes, arg_count);
  }
};

}  // namespace simcu

#define SIMCU_JOIN_(a, b) a##b
#define SIMCU_JOIN(a, b) SIMCU_JOIN_(a, b)
// Many exports may come from one macro, and so from one line: __COUNTER__, not __LINE__.
#define DEV_EXPORT(...)                                                      \
  static const ::simcu::Registrar SIMCU_JOIN(simcu_registrar_, __COUNTER__)( \
      FLAME_KERNEL_FILE, #__VA_ARGS__, &::simcu::Thunk<&__VA_ARGS__>::call,  \
      ::simcu::Thunk<&__VA_ARGS__>::kSizes, ::simcu::Thunk<&__VA_ARGS__>::kCount);
