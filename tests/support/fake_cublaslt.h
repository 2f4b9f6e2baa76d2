// A cuBLASLt of the tests' own: proposes what it is told to, multiplies nothing, and takes the time
// that it is told.
#pragma once
#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "lib/blas/cublaslt.h"
#include "lib/blas/cublaslt_api.h"
#include "tests/support/null_driver.h"

namespace flame::test {

struct Vendor {
  std::vector<std::uint32_t> proposals;  // identifiers, best guess first
  // Of an identifier + 1000 x the cluster's shape; 0.1 where nothing is said; 0 or less: does not
  // run.
  std::map<std::uint32_t, double> ms;
  std::vector<std::uint32_t> ran;
  std::size_t version = 130100;
  std::uint16_t cluster = 0;  // of the proposals; 0: they have none

  static Vendor& now() {
    static Vendor vendor;
    return vendor;
  }
  // Where an attribute lies in an algorithm's data; -1: it has none such.
  static int place(cublasLtMatmulAlgoConfigAttributes_t which) {
    return which == CUBLASLT_ALGO_CONFIG_ID                 ? 0
           : which == CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID ? 1
           : which == CUBLASLT_ALGO_CONFIG_TILE_ID          ? 2
                                                            : -1;
  }
  double ms_of(std::uint32_t id) const { return ms.contains(id) ? ms.at(id) : 0.1; }
};

// Its events tell the time of the algorithm that ran last.
class VendorDriver final : public NullDriver {
 public:
  const driver::Info& info() const override { return info_; }
  double elapsed_ms(driver::EventHandle, driver::EventHandle) override {
    if (const auto once = std::exchange(while_measuring, nullptr)) once();
    return Vendor::now().ms_of(Vendor::now().ran.back());
  }
  driver::Info info_ = NullDriver().info();
  std::function<void()> while_measuring;
};

template <class Handle>
cublasStatus_t no_descriptor(Handle* out) {
  *out = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}

inline std::unique_ptr<blas::CublasLtApi> fake_cublaslt() {
  auto api = std::make_unique<blas::CublasLtApi>();
  const auto fine = [](auto...) { return CUBLAS_STATUS_SUCCESS; };
  api->cublasLtGetVersion = [] { return Vendor::now().version; };
  api->cublasLtGetStatusName = [](cublasStatus_t) { return "STATUS"; };
  api->cublasLtGetStatusString = [](cublasStatus_t) { return "a status"; };
  api->cublasLtMatmulDescCreate = [](cublasLtMatmulDesc_t* d, cublasComputeType_t, cudaDataType_t) {
    return no_descriptor(d);
  };
  api->cublasLtMatrixLayoutCreate = [](cublasLtMatrixLayout_t* l, cudaDataType, std::uint64_t,
                                       std::uint64_t, std::int64_t) { return no_descriptor(l); };
  api->cublasLtMatmulPreferenceCreate = [](cublasLtMatmulPreference_t* p) {
    return no_descriptor(p);
  };
  api->cublasLtMatmulDescDestroy = fine;
  api->cublasLtMatmulDescSetAttribute = fine;
  api->cublasLtMatrixLayoutDestroy = fine;
  api->cublasLtMatrixLayoutSetAttribute = fine;
  api->cublasLtMatmulPreferenceDestroy = fine;
  api->cublasLtMatmulPreferenceSetAttribute = fine;
  api->cublasLtMatmulAlgoGetHeuristic =
      [](cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
         cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int most,
         cublasLtMatmulHeuristicResult_t* out, int* found) {
        *found = 0;
        for (std::uint32_t id : Vendor::now().proposals) {
          if (*found == most) break;
          out[*found] = {};
          out[*found].algo.data[0] = id;
          out[*found].algo.data[1] = Vendor::now().cluster;
          ++*found;
        }
        return CUBLAS_STATUS_SUCCESS;
      };
  // An algorithm is its identifier, its cluster and its tile.
  api->cublasLtMatmulAlgoConfigGetAttribute = [](const cublasLtMatmulAlgo_t* algo,
                                                 cublasLtMatmulAlgoConfigAttributes_t which,
                                                 void* out, std::size_t, std::size_t*) {
    const int i = Vendor::place(which);
    if (i < 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    std::memcpy(out, &algo->data[i], i == 1 ? 2 : 4);
    return CUBLAS_STATUS_SUCCESS;
  };
  api->cublasLtMatmulAlgoConfigSetAttribute = [](cublasLtMatmulAlgo_t* algo,
                                                 cublasLtMatmulAlgoConfigAttributes_t which,
                                                 const void* value, std::size_t bytes) {
    const int i = Vendor::place(which);
    if (i < 0 || bytes != (i == 1 ? 2 : 4)) return CUBLAS_STATUS_NOT_SUPPORTED;
    std::memcpy(&algo->data[i], value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  api->cublasLtMatmulAlgoCapGetAttribute = [](const cublasLtMatmulAlgo_t*,
                                              cublasLtMatmulAlgoCapAttributes_t which, void* out,
                                              std::size_t bytes, std::size_t* written) {
    const std::uint32_t tiles[] = {1, 2, 3};
    if (which != CUBLASLT_ALGO_CAP_TILE_IDS) return CUBLAS_STATUS_NOT_SUPPORTED;
    *written = sizeof tiles;
    if (bytes > 0) std::memcpy(out, tiles, std::min(bytes, sizeof tiles));
    return CUBLAS_STATUS_SUCCESS;
  };
  // Clusters 2 and 3 are accepted, 4 wants too large a workspace.
  api->cublasLtMatmulAlgoCheck = [](cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                    cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                    cublasLtMatrixLayout_t, const cublasLtMatmulAlgo_t* algo,
                                    cublasLtMatmulHeuristicResult_t* out) {
    *out = {};
    out->workspaceSize = algo->data[1] == 4 ? ~std::size_t{0} : 0;
    const bool accepted = algo->data[1] >= 2 && algo->data[1] <= 4 && algo->data[2] <= 3;
    return accepted ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
  };
  api->cublasLtMatmul = [](cublasLtHandle_t, cublasLtMatmulDesc_t, const void*, const void*,
                           cublasLtMatrixLayout_t, const void*, cublasLtMatrixLayout_t, const void*,
                           const void*, cublasLtMatrixLayout_t, void*, cublasLtMatrixLayout_t,
                           const cublasLtMatmulAlgo_t* algo, void*, std::size_t, cudaStream_t) {
    const auto id = std::uint32_t(algo->data[0] + 1000 * algo->data[1] + 100 * algo->data[2]);
    if (Vendor::now().ms_of(id) <= 0) return CUBLAS_STATUS_NOT_SUPPORTED;
    Vendor::now().ran.push_back(id);
    return CUBLAS_STATUS_SUCCESS;
  };
  return api;
}

}  // namespace flame::test
