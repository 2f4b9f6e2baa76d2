// libcuda, opened at run time; every entry point in the version FLAME was written against, whatever
// later toolkits' headers rename.
#pragma once
#include <cuda.h>
#include <cudaTypedefs.h>

#include <memory>
#include <string>
#include <string_view>

#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"
#include "lib/driver/cuda_version.h"

namespace flame::driver {

// X(name, version): the function `name` with the signature it got in that CUDA version.
// clang-format off
#define FLAME_CUDA_CALLS(X)           \
  X(cuInit, 2000)                     \
  X(cuDriverGetVersion, 2020)         \
  X(cuGetErrorName, 6000)             \
  X(cuGetErrorString, 6000)           \
  X(cuDeviceGetCount, 2000)           \
  X(cuDeviceGet, 2000)                \
  X(cuDeviceGetName, 2000)            \
  X(cuDeviceTotalMem, 3020)           \
  X(cuDeviceGetAttribute, 2000)       \
  X(cuDevicePrimaryCtxRetain, 7000)   \
  X(cuDevicePrimaryCtxRelease, 11000) \
  X(cuCtxSetCurrent, 4000)            \
  X(cuCtxSynchronize, 2000)           \
  X(cuMemAlloc, 3020)                 \
  X(cuMemFree, 3020)                  \
  X(cuMemGetInfo, 3020)               \
  X(cuMemcpyHtoDAsync, 3020)          \
  X(cuMemcpyDtoHAsync, 3020)          \
  X(cuMemcpyDtoDAsync, 3020)          \
  X(cuMemsetD8Async, 3020)            \
  X(cuStreamCreate, 2000)             \
  X(cuStreamDestroy, 4000)            \
  X(cuStreamSynchronize, 2000)        \
  X(cuStreamWaitEvent, 3020)          \
  X(cuEventCreate, 2000)              \
  X(cuEventDestroy, 4000)             \
  X(cuEventRecord, 2000)              \
  X(cuEventSynchronize, 2000)         \
  X(cuEventElapsedTime, 2000)         \
  X(cuModuleLoadData, 2000)           \
  X(cuModuleUnload, 2000)             \
  X(cuModuleGetFunction, 2000)        \
  X(cuFuncGetAttribute, 2020)         \
  X(cuFuncSetAttribute, 9000)         \
  X(cuFuncGetParamInfo, 12040)        \
  X(cuFuncLoad, 12040)                \
  X(cuLaunchKernel, 4000)             \
  X(cuLaunchKernelEx, 11060)
// clang-format on

class CudaApi {
 public:
  // Throws NoDeviceError: no libcuda.so.1, one without FLAME's entry points (older than 12.4), or
  // no GPU that it can use.
  static std::shared_ptr<const CudaApi> open();

#define FLAME_DECLARE(name, version) PFN_##name##_v##version name = nullptr;
  FLAME_CUDA_CALLS(FLAME_DECLARE)
#undef FLAME_DECLARE

  int driver_version = 0;  // 13000 for 13.0
  int device_count = 0;

  // "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY: out of memory".
  std::string describe(std::string_view call, CUresult result) const;
  // Throws DriverError "<call>: <error>: <text> (<context>)" unless CUDA_SUCCESS. The context's
  // parts become text only then.
  template <class... Context>
  void check(CUresult result, std::string_view call, const Context&... context) const {
    if (result != CUDA_SUCCESS) [[unlikely]]
      fail(result, call, str_cat("", context...));
  }
  [[noreturn]] void fail(CUresult result, std::string_view call, const std::string& context) const;

 private:
  CudaApi() = default;
  void resolve();
  void start();
  SharedLibrary library_;
};

}  // namespace flame::driver
