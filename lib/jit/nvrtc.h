// NVRTC, opened at run time.
#pragma once
#include <nvrtc.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/driver/cuda_library.h"

namespace flame::jit {

class Nvrtc {
 public:
  // Throws JitError that says where NVRTC was looked for.
  static std::shared_ptr<const Nvrtc> open();

  int version() const { return version_; }  // 13000 for 13.0

  struct Result {
    bool ok = false;
    std::string problem;  // "NVRTC_ERROR_COMPILATION: ..." unless ok
    std::string log;
    std::vector<std::byte> image;
    std::vector<std::string> lowered;  // one per expression
  };
  // Compiles `source`, called `name`, to machine code. `headers` are {name, text}. Failures of the
  // compiler are in the result; nothing else can fail but running out of host memory.
  Result compile(const std::string& name, const std::string& source,
                 const std::vector<std::pair<std::string, std::string>>& headers,
                 const std::vector<std::string>& expressions,
                 const std::vector<std::string>& options) const;

 private:
  Nvrtc() = default;
  void resolve();

  driver::SharedLibrary library_;
  int version_ = 0;
#define FLAME_NVRTC_CALLS(X)                                                                      \
  X(nvrtcVersion)                                                                                 \
  X(nvrtcGetErrorString)                                                                          \
  X(nvrtcCreateProgram) X(nvrtcDestroyProgram) X(nvrtcCompileProgram) X(nvrtcGetProgramLogSize)   \
      X(nvrtcGetProgramLog) X(nvrtcAddNameExpression) X(nvrtcGetLoweredName) X(nvrtcGetCUBINSize) \
          X(nvrtcGetCUBIN)
#define FLAME_DECLARE(f) decltype(&::f) f##_ = nullptr;
  FLAME_NVRTC_CALLS(FLAME_DECLARE)
#undef FLAME_DECLARE
};

}  // namespace flame::jit
