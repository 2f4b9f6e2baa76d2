#include "lib/blas/cublaslt.h"

#include <array>

#include "lib/blas/algorithms.h"
#include "lib/blas/cublaslt_api.h"
#include "lib/blas/plan.h"
#include "lib/blas/tuner.h"

namespace flame::blas {
namespace {

// A training run has tens of kinds of product; past this many those that were not timed go.
constexpr std::size_t kMaxPlans = 4096;

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
  return std::make_unique<CublasLt>(std::move(api), driver, std::move(stream_of),
                                    std::make_unique<Choices>());
}

CublasLt::CublasLt(std::unique_ptr<CublasLtApi> api, driver::Driver& driver, StreamOf stream_of,
                   std::unique_ptr<Choices> choices)
    : api_(std::move(api)),
      driver_(driver),
      stream_of_(std::move(stream_of)),
      choices_(std::move(choices)) {}

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
  std::string key = plan_key(gemm);
  const std::lock_guard lock(mutex_);
  if (const auto found = plans_.find(key); found != plans_.end()) return found->second;
  if (plans_.size() >= kMaxPlans)  // choices stay: another one might round otherwise
    std::erase_if(plans_, [](const auto& entry) { return !entry.second->timed; });
  auto made = std::make_shared<Plan>();
  make_plan(*made, *api_, gemm);
  made->key = key;
  plans_.emplace(std::move(key), made);
  return made;
}

void* CublasLt::workspace(driver::StreamHandle stream) {
  const std::lock_guard lock(mutex_);
  void*& memory = workspaces_[stream];
  if (!memory) memory = driver_.allocate(kWorkspaceBytes, "the workspace of cuBLASLt");
  return memory;
}

// The device as far as an algorithm's speed may depend on it. Not the driver's version: cuBLASLt
// brings its own machine code, and a result should outlive an update.
std::string CublasLt::choice_key(const Plan& p) const {
  const driver::Info& info = driver_.info();
  return jit::content_key({"product 1", info.name, info.arch, std::to_string(info.multiprocessors),
                           std::to_string(api_->cublasLtGetVersion()),
                           std::to_string(kWorkspaceBytes), p.key});
}

void CublasLt::choose(const driver::Gemm& gemm, Plan& p, void* scratch,
                      driver::StreamHandle stream) {
  const auto known = [&](const Algorithm& a) { return accepted(*api_, p, a).has_value(); };
  const std::string key = choice_key(p);
  std::optional<Algorithm> kept = choices_->find(key, known);
  if (!kept) {
    const std::lock_guard lock(measuring_);
    static const driver::KernelId kDisplace{"matmul.cu", "gemm_displace"};
    if (!displace_) displace_ = driver_.load(driver_.compile(kDisplace), kDisplace);
    const std::optional<Candidate> best =
        measure(*api_, {driver_, displace_, stream, stream_of_(stream), scratch}, gemm, p);
    if (!best) return;  // none runs: the product itself will say why
    kept = choices_->keep(key, {describe(gemm), driver_.info().name, best->algorithm}, known);
  }
  if (const auto taken = accepted(*api_, p, *kept)) p.chosen = *taken;
}

bool CublasLt::gemm(const driver::Gemm& gemm, driver::StreamHandle stream) {
  if (!types_supported(gemm)) return false;
  const std::shared_ptr<Plan> p = plan(gemm);
  if (p->proposals.empty()) return false;
  void* const scratch = workspace(stream);
  if (p->timed) std::call_once(p->choosing, [&] { choose(gemm, *p, scratch, stream); });
  const cublasStatus_t status = multiply(*api_, gemm, *p, p->chosen, scratch, stream_of_(stream));
  if (status != CUBLAS_STATUS_SUCCESS) api_->check(status, "cublasLtMatmul", describe(gemm));
  return true;
}

}  // namespace flame::blas
