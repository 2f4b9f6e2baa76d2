#include "tools/cli/environment.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ostream>

namespace flame::cli {
namespace {

constexpr std::array kVariables{
    Variable{"FLAME_ALLOCATOR", "pool", "direct: every allocation goes to the driver"},
    Variable{"FLAME_BLAS", "cublaslt", "own: FLAME's matmul kernel instead of cuBLASLt"},
    Variable{"FLAME_CACHE_DIR", "~/.cache/flame", "folder of compiled kernels and tuned products"},
    Variable{"FLAME_CUDNN", "", "file of libcudnn.so.9 for the bench; empty: as the system has it"},
    Variable{"FLAME_DUMP_KERNELS", "", "folder that keeps source, log and image of every kernel"},
    Variable{"FLAME_MATMUL_PRECISION", "highest", "tf32: float32 products may round to TF32"},
    Variable{"FLAME_MATMUL_TUNING", "on",
             "off: cuBLASLt's first proposal, and no product is timed or kept"},
    Variable{"FLAME_MEM_LIMIT", "0", "bytes of device memory one process may hold; 0: no limit"},
    Variable{"FLAME_SEED", "0", "seed of rand, randn and randint"},
    Variable{"FLAME_SIM_THREADS", "cores", "threads that run one launch of the simulated device"},
    Variable{"FLAME_SYNC", "0", "1: wait after every launch and name the kernel that failed"},
};

}  // namespace

std::span<const Variable> variables() { return kVariables; }

std::vector<std::pair<std::string, std::string>> set_variables() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (text.starts_with("FLAME_") && equals != std::string_view::npos)
      out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  std::sort(out.begin(), out.end());
  return out;
}

void warn_about_environment(std::ostream& out) {
  std::string unknown;
  for (const auto& [name, value] : set_variables()) {
    const bool known = std::any_of(kVariables.begin(), kVariables.end(),
                                   [&](const Variable& v) { return v.name == name; });
    if (!known) unknown += (unknown.empty() ? "" : ", ") + name;
  }
  if (!unknown.empty())
    out << "warning: " << unknown << " is set, and FLAME knows no such variable (see flame info)\n";
  if (const char* tf32 = std::getenv("NVIDIA_TF32_OVERRIDE"); tf32 && *tf32)
    out << "warning: NVIDIA_TF32_OVERRIDE=" << tf32
        << " is set: NVIDIA's libraries change what float32 means\n";
}

}  // namespace flame::cli
