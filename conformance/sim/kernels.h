// The table behind DEV_EXPORT: every kernel compiled into this program.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/sim/registry.h"

namespace flame::sim {

// A static __shared__ variable: where it lies in a thread's copy of this program's thread-local
// data.
struct SharedVariable {
  std::string name;
  std::size_t offset = 0, bytes = 0;
};

struct Kernel {
  std::string file;        // "unary.cu"
  std::string expression;  // normalized
  simcu::Call call = nullptr;
  std::vector<std::size_t> arg_sizes;
};

// nullptr when that file exports no such kernel. `expression` is normalized.
const Kernel* find_kernel(std::string_view file, std::string_view expression);
// All kernels, sorted by file and expression.
std::vector<const Kernel*> all_kernels();

// The static shared variables that `kernel` may use (its own, and those of helpers in its file),
// read from this program's symbol table. Empty in a stripped program. Thread-safe.
const std::vector<SharedVariable>& shared_variables(const Kernel& kernel);
// The calling thread's copy of the program's thread-local data, and its size.
struct ThreadLocals {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
};
ThreadLocals thread_locals();

}  // namespace flame::sim
