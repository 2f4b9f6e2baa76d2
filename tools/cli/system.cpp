#include "tools/cli/system.h"

#include <unistd.h>

#include <array>
#include <fstream>
#include <string_view>
#include <system_error>

#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"
#include "lib/jit/compiler.h"

namespace flame::cli {
namespace {

template <std::size_t N>
driver::SharedLibrary open(Library& out, const std::array<std::string_view, N>& names) {
  driver::SharedLibrary library = driver::SharedLibrary::open(names);
  out.found = bool(library);
  out.problem = library.problem();
  return library;
}

}  // namespace

Library find_driver() {
  Library out;
  const auto library = open(out, std::array<std::string_view, 2>{"libcuda.so.1", "libcuda.so"});
  using Call = int (*)(int*);
  if (auto version = reinterpret_cast<Call>(library.symbol("cuDriverGetVersion")))
    version(&out.version);
  return out;
}

Library find_nvrtc() {
  Library out;
  out.version = jit::nvrtc_version();
  out.found = out.version > 0;
  if (!out.found) out.problem = "libnvrtc cannot be opened";
  return out;
}

Library find_cublaslt() {
  Library out;
  const auto library = open(out, std::array<std::string_view, 3>{
                                     "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"});
  using Call = std::size_t (*)();
  if (auto version = reinterpret_cast<Call>(library.symbol("cublasLtGetVersion")))
    out.version = int(version());
  return out;
}

Library find_cupti() {
  Library out;
  const auto library =
      open(out, std::array<std::string_view, 3>{"libcupti.so.13", "libcupti.so.12", "libcupti.so"});
  using Call = int (*)(unsigned*);
  unsigned version = 0;
  if (auto get = reinterpret_cast<Call>(library.symbol("cuptiGetVersion"))) get(&version);
  out.version = int(version);
  return out;
}

std::string cuda_version(int version) {
  return version > 0 ? str_cat(version / 1000, ".", version % 1000 / 10) : "unknown";
}

std::string cublaslt_version(int version) {
  return version > 0 ? str_cat(version / 10000, ".", version / 100 % 100, ".", version % 100)
                     : "unknown";
}

std::string why_not_writable(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return str_cat(folder.string(), " cannot be made: ", error.message());
  const auto probe = folder / str_cat(".probe-", getpid());
  std::ofstream out(probe);
  out << "x" << std::flush;
  const bool ok = bool(out);
  out.close();
  std::filesystem::remove(probe, error);
  return ok ? "" : str_cat("no file can be written in ", folder.string());
}

}  // namespace flame::cli
