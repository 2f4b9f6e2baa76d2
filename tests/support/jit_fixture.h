// What the tests of the JIT share: sources of their own, a cache folder, and small helpers.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "lib/core/error.h"
#include "lib/jit/compiler.h"

namespace flame::jit {

namespace fs = std::filesystem;

// A folder of this test's own, gone afterwards.
class Folder {
 public:
  Folder() {
    path_ = fs::temp_directory_path() / str_cat("flame-jit-test-", std::random_device{}());
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Sets an environment variable for one scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

inline constexpr EmbeddedFile kSources[] = {
    {"scale.cu",
     "#include \"factor.cuh\"\n"
     "template <class T, int N, bool B>\n"
     "__global__ void __launch_bounds__(96) scale(T* x) {\n"
     "  __shared__ T s[96];\n"
     "  s[threadIdx.x] = x[threadIdx.x] * T(N);\n"
     "  __syncthreads();\n"
     "  x[threadIdx.x] = factor(s[95 - threadIdx.x]) + T(B);\n"
     "}\n"},
    {"factor.cuh",
     "  #  include \"deep.cuh\"\n#include \"factor.cuh\"\n"
     "template <class T> __device__ T factor(T v) { return v * T(kFactor); }\n"},
    {"deep.cuh", "#pragma once\nconstexpr int kFactor = 3;\n"},
    {"wrong.cu", "#include \"deep.cuh\"\n__global__ void wrong(float* x) { *x = undeclared; }\n"},
    {"spills.cu",
     "__global__ void spills(double* x) {\n"
     "  double v[64];\n"
     "#pragma unroll\n"
     "  for (int i = 0; i < 64; ++i) v[i] = x[i * 33 + threadIdx.x];\n"
     "  __syncthreads();\n"
     "#pragma unroll\n"
     "  for (int i = 0; i < 64; ++i) x[i * 65 + threadIdx.x] = v[i] * v[63 - i];\n"
     "}\n"},
    {"nothing.cu", "#include \"absent.cuh\"\n__global__ void nothing() {}\n"},
};
// factor.cuh includes itself; its guard is here so that the closure, not the compiler, meets it.
inline const std::string kGuarded = "#pragma once\n" + std::string(kSources[1].text);
inline std::vector<EmbeddedFile> sources() {
  std::vector<EmbeddedFile> out(std::begin(kSources), std::end(kSources));
  out[1].text = kGuarded;
  return out;
}

inline constexpr const char* kScale = "scale<float, 4, true>";

class JitTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GT(nvrtc_version(), 0) << "NVRTC is needed to build FLAME, and for these tests";
  }
  Compiler compiler() { return compiler(folder_.path()); }
  Compiler compiler(const fs::path& cache) {
    return Compiler(std::make_shared<DiskCache>(cache), sources_);
  }
  fs::path only_entry() const {
    fs::path out;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      EXPECT_TRUE(out.empty()) << out << " and " << entry.path();
      out = entry.path();
    }
    return out;
  }

  Folder folder_;
  std::vector<EmbeddedFile> sources_ = sources();
};

inline std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const JitError& e) {
    return e.what();
  }
  return "";
}

inline bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

inline std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

}  // namespace flame::jit
