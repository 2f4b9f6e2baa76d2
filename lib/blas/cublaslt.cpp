#include "lib/blas/cublaslt.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <vector>

#include "lib/blas/cublaslt_api.h"
#include "lib/blas/fastest.h"

namespace flame::blas {

// One kind of product. cuBLASLt computes column-major, which reads a row-major matrix as its
// transpose: C^T = op(B)^T op(A)^T, so B is its first operand and C has n rows.
struct Plan {
  Owned<cublasLtMatmulDesc_t> operation;
  Owned<cublasLtMatrixLayout_t> first, second, result;
  std::vector<cublasLtMatmulAlgo_t> candidates;  // the library's best guess first
  std::once_flag choosing;
  std::size_t chosen = 0;
};

namespace {

// Room for the partial sums of a float32 result of 8192 x 1152 (tried with 32 MiB: 12 % slower).
constexpr std::size_t kWorkspaceBytes = std::size_t(64) << 20;
// A training run has tens of kinds of product; past this many those that were not timed go.
constexpr std::size_t kMaxPlans = 4096;
constexpr std::uint64_t kMaxAlignment = 256;
// How many algorithms are timed for a product that takes long enough to be worth it.
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

bool types_supported(const driver::Gemm& g) {
  return is_floating(g.type) && (g.out == g.type || (is_half(g.type) && g.out == DType::kFloat32));
}

// The algorithms are timed on the product's own memory, so that only one whose result depends on
// nothing in it can be repeated.
bool is_timed(const driver::Gemm& g) {
  const double work = 2.0 * double(g.m) * double(g.n) * double(g.k) * double(g.batch);
  return g.tune && g.beta == 0 && work >= kWorthTiming;
}

// Everything that the choice of an algorithm may depend on.
std::string plan_key(const driver::Gemm& g, const std::array<std::uint32_t, 3>& alignments) {
  std::string key;
  auto add = [&](std::int64_t v) { key.append(reinterpret_cast<const char*>(&v), sizeof v); };
  for (std::int64_t v :
       {std::int64_t(g.type), std::int64_t(g.out), g.m, g.n, g.k, g.batch, std::int64_t(g.trans_a),
        std::int64_t(g.trans_b), g.lda, g.ldb, g.ldc, g.stride_a, g.stride_b, g.stride_c,
        std::int64_t(g.allow_tf32), std::int64_t(is_timed(g))})
    add(v);
  for (std::uint32_t v : alignments) add(v);
  return key;
}

std::array<std::uint32_t, 3> alignments_of(const driver::Gemm& g) {
  const std::size_t in = size_of(g.type), out = size_of(g.out);
  return {alignment(g.a, g.batch, g.stride_a, in), alignment(g.b, g.batch, g.stride_b, in),
          alignment(g.c, g.batch, g.stride_c, out)};
}

std::string describe(const driver::Gemm& g) {
  return str_cat("matmul of ", name(g.type), " to ", name(g.out), ", m ", g.m, ", n ", g.n, ", k ",
                 g.k, ", batch ", g.batch);
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

void make_plan(Plan& plan, const CublasLtApi& api, const driver::Gemm& g,
               const std::array<std::uint32_t, 3>& aligned) {
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

  const Owned<cublasLtMatmulPreference_t> preference = make_preference(api, g, aligned);
  std::vector<cublasLtMatmulHeuristicResult_t> results(is_timed(g) ? kCandidates : 1);
  int found = 0;
  const cublasStatus_t status = api.cublasLtMatmulAlgoGetHeuristic(
      api.handle, operation, plan.first.get(), plan.second.get(), plan.result.get(),
      plan.result.get(), preference.get(), int(results.size()), results.data(), &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return;
  api.check(status, "cublasLtMatmulAlgoGetHeuristic", describe(g));
  results.resize(std::size_t(found));
  for (const cublasLtMatmulHeuristicResult_t& r : results)
    if (r.state == CUBLAS_STATUS_SUCCESS) plan.candidates.push_back(r.algo);
}

// Two events to time with.
class Stopwatch {
 public:
  explicit Stopwatch(driver::Driver& driver)
      : driver_(driver), from_(driver.create_event()), to_(driver.create_event()) {}
  ~Stopwatch() {
    driver_.destroy_event(from_);
    driver_.destroy_event(to_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  void start(driver::StreamHandle stream) { driver_.record(from_, stream); }
  double stop(driver::StreamHandle stream) {
    driver_.record(to_, stream);
    return driver_.elapsed_ms(from_, to_);
  }

 private:
  driver::Driver& driver_;
  driver::EventHandle from_, to_;
};

}  // namespace

std::unique_ptr<CublasLt> CublasLt::open(driver::Driver& driver, StreamOf stream_of) {
  static constexpr std::array<std::string_view, 3> kNames{"libcublasLt.so.13", "libcublasLt.so.12",
                                                          "libcublasLt.so"};
  auto api = std::make_unique<CublasLtApi>();
  api->library = driver::SharedLibrary::open(kNames);
  if (!api->library) return nullptr;
#define FLAME_RESOLVE(f)                                                \
  api->f = reinterpret_cast<decltype(api->f)>(api->library.symbol(#f)); \
  if (!api->f) return nullptr;
  FLAME_CUBLASLT_CALLS(FLAME_RESOLVE)
#undef FLAME_RESOLVE
  api->check(api->cublasLtCreate(&api->handle), "cublasLtCreate");
  return std::unique_ptr<CublasLt>(new CublasLt(std::move(api), driver, std::move(stream_of)));
}

CublasLt::CublasLt(std::unique_ptr<CublasLtApi> api, driver::Driver& driver, StreamOf stream_of)
    : api_(std::move(api)), driver_(driver), stream_of_(std::move(stream_of)) {}

CublasLt::~CublasLt() {
  for (const auto& [stream, memory] : workspaces_) driver_.deallocate(memory);
}

void CublasLt::forget_stream(driver::StreamHandle stream) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = workspaces_.find(stream);
  if (found == workspaces_.end()) return;
  driver_.deallocate(found->second);
  workspaces_.erase(found);
}

std::shared_ptr<Plan> CublasLt::plan(const driver::Gemm& gemm) {
  const std::array<std::uint32_t, 3> aligned = alignments_of(gemm);
  const std::string key = plan_key(gemm, aligned);
  const std::lock_guard lock(mutex_);
  if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
  if (plans_.size() >= kMaxPlans)  // choices stay: another one might round otherwise
    std::erase_if(plans_, [](const auto& entry) { return entry.second->candidates.size() <= 1; });
  auto made = std::make_shared<Plan>();
  make_plan(*made, *api_, gemm, aligned);
  plans_.emplace(key, made);
  return made;
}

void* CublasLt::workspace(driver::StreamHandle stream) {
  const std::lock_guard lock(mutex_);
  void*& memory = workspaces_[stream];
  if (!memory) memory = driver_.allocate(kWorkspaceBytes, "the workspace of cuBLASLt");
  return memory;
}

int CublasLt::multiply(const driver::Gemm& gemm, const Plan& p, std::size_t candidate,
                       void* scratch, driver::StreamHandle stream) const {
  const float alpha32 = float(gemm.alpha), beta32 = float(gemm.beta);
  const bool wide = gemm.type == DType::kFloat64;
  const void* alpha = wide ? static_cast<const void*>(&gemm.alpha) : &alpha32;
  const void* beta = wide ? static_cast<const void*>(&gemm.beta) : &beta32;
  return api_->cublasLtMatmul(api_->handle, p.operation.get(), alpha, gemm.b, p.first.get(), gemm.a,
                              p.second.get(), beta, gemm.c, p.result.get(), gemm.c, p.result.get(),
                              &p.candidates[candidate], scratch, kWorkspaceBytes,
                              stream_of_(stream));
}

// Each timed run finds the cache as other work leaves it, here a fill of the workspace, and not the
// operands that the run before has just read.
void CublasLt::choose(const driver::Gemm& gemm, Plan& p, void* scratch,
                      driver::StreamHandle stream) {
  Stopwatch watch(driver_);
  const int best = fastest(int(p.candidates.size()), [&](int candidate, int runs) {
    const auto run = [&] {
      return multiply(gemm, p, std::size_t(candidate), scratch, stream) == CUBLAS_STATUS_SUCCESS;
    };
    if (!run()) return 0.0;
    double least = 0;
    for (int i = 0; i < runs; ++i) {
      driver_.fill(scratch, 0, kWorkspaceBytes, stream);
      watch.start(stream);
      run();
      const double ms = watch.stop(stream);
      least = i == 0 ? ms : std::min(least, ms);
    }
    return least;
  });
  p.chosen = std::size_t(std::max(best, 0));
}

bool CublasLt::gemm(const driver::Gemm& gemm, driver::StreamHandle stream) {
  if (!types_supported(gemm)) return false;
  const std::shared_ptr<Plan> p = plan(gemm);
  if (p->candidates.empty()) return false;
  void* const scratch = workspace(stream);
  if (p->candidates.size() > 1)
    std::call_once(p->choosing, [&] { choose(gemm, *p, scratch, stream); });
  const auto status = cublasStatus_t(multiply(gemm, *p, p->chosen, scratch, stream));
  if (status != CUBLAS_STATUS_SUCCESS) api_->check(status, "cublasLtMatmul", describe(gemm));
  return true;
}

}  // namespace flame::blas
