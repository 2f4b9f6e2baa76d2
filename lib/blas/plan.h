// One kind of product as cuBLASLt is told of it, and the algorithms that it proposes. Private to
// lib/blas.
#pragma once
#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "lib/blas/choices.h"
#include "lib/blas/cublaslt_api.h"
#include "lib/driver/driver.h"

namespace flame::blas {

// Room for the partial sums of a float32 result of 8192 x 1152 (tried with 32 MiB: 12 % slower).
constexpr std::size_t kWorkspaceBytes = std::size_t(64) << 20;

struct Candidate {
  cublasLtMatmulAlgo_t raw{};
  Algorithm algorithm{};
};

// cuBLASLt computes column-major, which reads a row-major matrix as its transpose:
// C^T = op(B)^T op(A)^T, so B is its first operand and C has n rows.
struct Plan {
  std::string key;  // everything that the choice of an algorithm may depend on, but for the device
  Owned<cublasLtMatmulDesc_t> operation;
  Owned<cublasLtMatrixLayout_t> first, second, result;
  std::vector<Candidate> proposals;  // the library's best guess first
  bool timed = false;
  std::once_flag choosing;  // where timed: guards the one below
  Candidate chosen;
};

std::string plan_key(const driver::Gemm& gemm);
std::string describe(const driver::Gemm& gemm);
bool types_supported(const driver::Gemm& gemm);

// Without proposals where cuBLASLt cannot do the product.
void make_plan(Plan& plan, const CublasLtApi& api, const driver::Gemm& gemm);

// CUBLAS_STATUS_SUCCESS or what went wrong.
cublasStatus_t multiply(const CublasLtApi& api, const driver::Gemm& gemm, const Plan& plan,
                        const Candidate& candidate, void* workspace, cudaStream_t stream);

}  // namespace flame::blas
