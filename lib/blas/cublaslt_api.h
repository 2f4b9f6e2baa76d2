// cuBLASLt's entry points and its handles as owned values. Private to lib/blas.
#pragma once
#include <cublasLt.h>

#include <memory>
#include <string_view>
#include <utility>

#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"

namespace flame::blas {

// clang-format off
#define FLAME_CUBLASLT_CALLS(X)           \
  X(cublasLtCreate)                       \
  X(cublasLtDestroy)                      \
  X(cublasLtGetVersion)                   \
  X(cublasLtGetStatusName)                \
  X(cublasLtGetStatusString)              \
  X(cublasLtMatmulDescCreate)             \
  X(cublasLtMatmulDescDestroy)            \
  X(cublasLtMatmulDescSetAttribute)       \
  X(cublasLtMatrixLayoutCreate)           \
  X(cublasLtMatrixLayoutDestroy)          \
  X(cublasLtMatrixLayoutSetAttribute)     \
  X(cublasLtMatmulPreferenceCreate)       \
  X(cublasLtMatmulPreferenceDestroy)      \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatmulAlgoGetHeuristic)       \
  X(cublasLtMatmulAlgoCheck)              \
  X(cublasLtMatmulAlgoCapGetAttribute)    \
  X(cublasLtMatmulAlgoConfigGetAttribute) \
  X(cublasLtMatmulAlgoConfigSetAttribute) \
  X(cublasLtMatmul)
// clang-format on

struct CublasLtApi {
  driver::SharedLibrary library;
  cublasLtHandle_t handle = nullptr;
#define FLAME_DECLARE(f) decltype(&::f) f = nullptr;
  FLAME_CUBLASLT_CALLS(FLAME_DECLARE)
#undef FLAME_DECLARE

  CublasLtApi() = default;
  CublasLtApi(const CublasLtApi&) = delete;
  CublasLtApi& operator=(const CublasLtApi&) = delete;
  ~CublasLtApi() {
    if (handle) cublasLtDestroy(handle);
  }

  // Throws DriverError "<call>: <status>: <text> (<context>)".
  template <class... Context>
  void check(cublasStatus_t status, std::string_view call, const Context&... context) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    const std::string where = str_cat("", context...);
    throw DriverError(str_cat(call, ": ", cublasLtGetStatusName(status), ": ",
                              cublasLtGetStatusString(status), where.empty() ? "" : " (", where,
                              where.empty() ? "" : ")"));
  }
};

// A handle that `destroy` gives back.
template <class Handle>
class Owned {
 public:
  using Destroy = cublasStatus_t (*)(Handle);
  Owned() = default;
  Owned(Handle handle, Destroy destroy) : handle_(handle), destroy_(destroy) {}
  Owned(Owned&& other) noexcept { *this = std::move(other); }
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(destroy_, other.destroy_);
    return *this;
  }
  ~Owned() {
    if (handle_) destroy_(handle_);
  }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
  Destroy destroy_ = nullptr;
};

}  // namespace flame::blas
