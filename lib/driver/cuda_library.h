// CUDA's libraries, opened at run time: a program that links FLAME starts on a machine without
// them.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flame::driver {

// Folders that may hold a toolkit, best first: $CUDA_HOME, $CUDA_PATH, the one FLAME was built
// with, /usr/local/cuda. Only existing ones.
std::vector<std::filesystem::path> toolkit_folders();

// The folder that holds cuda_fp16.h, for NVRTC's include path; empty when there is none.
std::filesystem::path toolkit_include();

// One shared library. Never closed: CUDA's libraries keep threads and exit handlers of their own,
// and unmapping them under those ends the process.
class SharedLibrary {
 public:
  SharedLibrary() = default;
  // Tries every name in $CUDA_HOME and $CUDA_PATH, then as the system finds it, then in the other
  // toolkit folders (under lib64 and extras/CUPTI/lib64). Empty when all fail: `problem()` says
  // what was tried.
  static SharedLibrary open(std::span<const std::string_view> names);

  explicit operator bool() const { return handle_ != nullptr; }
  const std::string& problem() const { return problem_; }
  // nullptr when the library has no such symbol.
  void* symbol(const char* name) const;

 private:
  void* handle_ = nullptr;
  std::string problem_;
};

}  // namespace flame::driver
