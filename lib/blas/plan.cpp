#include "lib/blas/plan.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "lib/blas/algorithms.h"

namespace flame::blas {
namespace {

constexpr std::uint64_t kMaxAlignment = 256;
// How many are asked for where they will be timed; cuBLASLt 13 gives eight.
constexpr int kCandidates = 32;
constexpr double kWorthTiming = 1 << 28;  // multiplications and additions

cudaDataType_t cuda_type(DType t) {
  switch (t) {
    case DType::kFloat64:
      return CUDA_R_64F;
    case DType::kFloat16:
      return CUDA_R_16F;
    case DType::kBFloat16:
      return CUDA_R_16BF;
    default:
      return CUDA_R_32F;
  }
}

cublasComputeType_t compute_type(const driver::Gemm& g) {
  if (g.type == DType::kFloat64) return CUBLAS_COMPUTE_64F;
  if (g.type == DType::kFloat32 && g.allow_tf32) return CUBLAS_COMPUTE_32F_FAST_TF32;
  return CUBLAS_COMPUTE_32F;
}

// What an algorithm may do inside: everything but rounding inputs or sums below what was promised.
std::uint64_t allowed_numerics(const driver::Gemm& g) {
  std::uint64_t mask = ~std::uint64_t(0) & ~CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_16F &
                       ~CUBLASLT_NUMERICAL_IMPL_FLAGS_GAUSSIAN;
  if (!g.allow_tf32) mask &= ~CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32;
  if (g.type == DType::kFloat32)
    mask &= ~(CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16F | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16BF);
  return mask;
}

// The largest power of two, up to 256, that divides the address and, in a batch, the step from one
// matrix to the next.
std::uint32_t alignment(const void* p, std::int64_t batch, std::int64_t stride, std::size_t size) {
  std::uint64_t bits = reinterpret_cast<std::uintptr_t>(p) | kMaxAlignment;
  if (batch > 1) bits |= std::uint64_t(stride) * size;
  return std::uint32_t(bits & (~bits + 1));
}

// A row-major matrix of `rows` rows of `cols`, as the column-major one that cuBLASLt sees.
struct Matrix {
  cudaDataType_t type;
  std::int64_t rows, cols, stride_rows, stride_batch;
};

struct Operands {
  Matrix a, b, c;
};

// Nothing where cuBLASLt has no words for the layout.
std::optional<Operands> operands(const driver::Gemm& g) {
  const cudaDataType_t in = cuda_type(g.type), out = cuda_type(g.out);
  Operands o{{in, g.trans_a ? g.k : g.m, g.trans_a ? g.m : g.k, g.lda, g.stride_a},
             {in, g.trans_b ? g.n : g.k, g.trans_b ? g.k : g.n, g.ldb, g.stride_b},
             {out, g.m, g.n, g.ldc, g.stride_c}};
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (g.batch < 1 || g.batch > kMost) return std::nullopt;
  for (Matrix* x : {&o.a, &o.b, &o.c}) {
    if (x->rows > kMost || x->cols > kMost || x->stride_batch < 0) return std::nullopt;
    if (x->rows == 1) x->stride_rows = x->cols;  // never stepped over, whatever it was
    if (x->stride_rows < x->cols) return std::nullopt;
  }
  // Matrices of the result must not share memory.
  if (g.batch > 1 && o.c.stride_batch < (o.c.rows - 1) * o.c.stride_rows + o.c.cols)
    return std::nullopt;
  return o;
}

// The algorithms are timed on the product's own memory, so that only one whose result depends on
// nothing in it can be repeated.
bool is_timed(const driver::Gemm& g) {
  const double work = 2.0 * double(g.m) * double(g.n) * double(g.k) * double(g.batch);
  return g.tune && g.beta == 0 && work >= kWorthTiming;
}

std::array<std::uint32_t, 3> alignments_of(const driver::Gemm& g) {
  const std::size_t in = size_of(g.type), out = size_of(g.out);
  return {alignment(g.a, g.batch, g.stride_a, in), alignment(g.b, g.batch, g.stride_b, in),
          alignment(g.c, g.batch, g.stride_c, out)};
}

Owned<cublasLtMatrixLayout_t> make_layout(const CublasLtApi& api, const Matrix& x,
                                          std::int64_t batch) {
  cublasLtMatrixLayout_t raw = nullptr;
  api.check(api.cublasLtMatrixLayoutCreate(&raw, x.type, std::uint64_t(x.cols),
                                           std::uint64_t(x.rows), x.stride_rows),
            "cublasLtMatrixLayoutCreate");
  Owned<cublasLtMatrixLayout_t> out(raw, api.cublasLtMatrixLayoutDestroy);
  auto set = [&](cublasLtMatrixLayoutAttribute_t which, const auto& value) {
    api.check(api.cublasLtMatrixLayoutSetAttribute(raw, which, &value, sizeof value),
              "cublasLtMatrixLayoutSetAttribute");
  };
  if (batch > 1) {
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, std::int32_t(batch));
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, x.stride_batch);
  }
  return out;
}

Owned<cublasLtMatmulPreference_t> make_preference(const CublasLtApi& api, const driver::Gemm& g,
                                                  const std::array<std::uint32_t, 3>& aligned) {
  cublasLtMatmulPreference_t raw = nullptr;
  api.check(api.cublasLtMatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate");
  Owned<cublasLtMatmulPreference_t> out(raw, api.cublasLtMatmulPreferenceDestroy);
  auto set = [&](cublasLtMatmulPreferenceAttributes_t which, const auto& value) {
    api.check(api.cublasLtMatmulPreferenceSetAttribute(raw, which, &value, sizeof value),
              "cublasLtMatmulPreferenceSetAttribute");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t(kWorkspaceBytes));
  // Partial sums are kept and added in the compute type. Where the output is of that type, in the
  // output's memory too: one after the other, says the library, so that their order stays.
  std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  if (!is_half(g.out))
    reductions |= CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions);
  set(CUBLASLT_MATMUL_PREF_IMPL_MASK, allowed_numerics(g));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned[1]);  // its A is our B
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned[0]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned[2]);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned[2]);
  return out;
}

}  // namespace

std::string plan_key(const driver::Gemm& g) {
  std::string key;
  auto add = [&](std::int64_t v) { key.append(reinterpret_cast<const char*>(&v), sizeof v); };
  for (std::int64_t v :
       {std::int64_t(g.type), std::int64_t(g.out), g.m, g.n, g.k, g.batch, std::int64_t(g.trans_a),
        std::int64_t(g.trans_b), g.lda, g.ldb, g.ldc, g.stride_a, g.stride_b, g.stride_c,
        std::int64_t(g.allow_tf32), std::int64_t(is_timed(g))})
    add(v);
  for (std::uint32_t v : alignments_of(g)) add(v);
  return key;
}

std::string describe(const driver::Gemm& g) {
  return str_cat("matmul of ", name(g.type), " to ", name(g.out), ", m ", g.m, ", n ", g.n, ", k ",
                 g.k, ", batch ", g.batch, g.trans_a ? ", A transposed" : "",
                 g.trans_b ? ", B transposed" : "", g.allow_tf32 ? ", TF32" : "");
}

bool types_supported(const driver::Gemm& g) {
  return is_floating(g.type) && (g.out == g.type || (is_half(g.type) && g.out == DType::kFloat32));
}

void make_plan(Plan& plan, const CublasLtApi& api, const driver::Gemm& g) {
  const std::optional<Operands> o = operands(g);
  if (!o) return;
  const cudaDataType_t scale = g.type == DType::kFloat64 ? CUDA_R_64F : CUDA_R_32F;
  cublasLtMatmulDesc_t operation = nullptr;
  api.check(api.cublasLtMatmulDescCreate(&operation, compute_type(g), scale),
            "cublasLtMatmulDescCreate");
  plan.operation = {operation, api.cublasLtMatmulDescDestroy};
  auto set = [&](cublasLtMatmulDescAttributes_t which, bool transposed) {
    const std::int32_t value = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    api.check(api.cublasLtMatmulDescSetAttribute(operation, which, &value, sizeof value),
              "cublasLtMatmulDescSetAttribute");
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, g.trans_b);
  set(CUBLASLT_MATMUL_DESC_TRANSB, g.trans_a);
  plan.first = make_layout(api, o->b, g.batch);
  plan.second = make_layout(api, o->a, g.batch);
  plan.result = make_layout(api, o->c, g.batch);

  const Owned<cublasLtMatmulPreference_t> preference = make_preference(api, g, alignments_of(g));
  std::vector<cublasLtMatmulHeuristicResult_t> results(is_timed(g) ? kCandidates : 1);
  int found = 0;
  const cublasStatus_t status = api.cublasLtMatmulAlgoGetHeuristic(
      api.handle, operation, plan.first.get(), plan.second.get(), plan.result.get(),
      plan.result.get(), preference.get(), int(results.size()), results.data(), &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return;
  api.check(status, "cublasLtMatmulAlgoGetHeuristic", describe(g));
  results.resize(std::size_t(found));
  for (const cublasLtMatmulHeuristicResult_t& r : results)
    if (r.state == CUBLAS_STATUS_SUCCESS) plan.proposals.push_back(candidate_of(api, r.algo));
  plan.timed = is_timed(g) && !plan.proposals.empty();
  if (!plan.proposals.empty()) plan.chosen = plan.proposals.front();
}

cublasStatus_t multiply(const CublasLtApi& api, const driver::Gemm& gemm, const Plan& p,
                        const Candidate& candidate, void* workspace, cudaStream_t stream) {
  const float alpha32 = float(gemm.alpha), beta32 = float(gemm.beta);
  const bool wide = gemm.type == DType::kFloat64;
  const void* alpha = wide ? static_cast<const void*>(&gemm.alpha) : &alpha32;
  const void* beta = wide ? static_cast<const void*>(&gemm.beta) : &beta32;
  return api.cublasLtMatmul(api.handle, p.operation.get(), alpha, gemm.b, p.first.get(), gemm.a,
                            p.second.get(), beta, gemm.c, p.result.get(), gemm.c, p.result.get(),
                            &candidate.raw, workspace, kWorkspaceBytes, stream);
}

}  // namespace flame::blas
