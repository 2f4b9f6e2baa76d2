#include "lib/blas/cublaslt.h"

#include <algorithm>
#include <array>

#include "lib/blas/cublaslt_api.h"
#include "lib/blas/fastest.h"
#include "lib/blas/plan.h"

namespace flame::blas {
namespace {

// A training run has tens of kinds of product; past this many those that were not timed go.
constexpr std::size_t kMaxPlans = 4096;

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

// Displaces what the cache holds by reading something else, so that each timed run finds its
// operands in memory and nothing in the cache that waits to be written: what lies there when a
// product is asked for is not known, and this is the state that the benchmarks time in.
class Displacer {
 public:
  Displacer(driver::Driver& driver, driver::KernelHandle kernel, void* scratch,
            driver::StreamHandle stream)
      : driver_(driver), kernel_(kernel), stream_(stream), memory_(scratch) {
    const std::size_t wanted = std::max(4 * driver.info().l2_bytes, kWorkspaceBytes);
    try {
      memory_ = own_ = driver.allocate(wanted, "what displaces the cache");
      bytes_ = wanted;
    } catch (const OutOfMemoryError&) {  // the workspace, then
    }
    driver.fill(memory_, 0, bytes_, stream);
  }
  ~Displacer() {
    if (own_) driver_.deallocate(own_);
  }
  Displacer(const Displacer&) = delete;
  Displacer& operator=(const Displacer&) = delete;

  void run() {
    const long long vectors = static_cast<long long>(bytes_ / 16);
    const unsigned blocks = unsigned(std::max(1, driver_.info().multiprocessors)) * 8;
    const std::array<driver::Arg, 2> args{driver::Arg{&memory_, sizeof memory_},
                                          driver::Arg{&vectors, sizeof vectors}};
    driver_.launch(kernel_, {{blocks}, {256}, 0, stream_}, args);
  }

 private:
  driver::Driver& driver_;
  driver::KernelHandle kernel_;
  driver::StreamHandle stream_;
  void* memory_;
  void* own_ = nullptr;
  std::size_t bytes_ = kWorkspaceBytes;
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
    std::erase_if(plans_, [](const auto& entry) { return entry.second->candidates.size() <= 1; });
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
  const auto place = [&](const Algorithm& a) {
    return std::find_if(p.candidates.begin(), p.candidates.end(),
                        [&](const Candidate& c) { return c.algorithm == a; });
  };
  const auto proposed = [&](const Algorithm& a) { return place(a) != p.candidates.end(); };
  const std::string key = choice_key(p);
  std::optional<Algorithm> kept = choices_->find(key, proposed);
  if (!kept) {
    const int best = measure(gemm, p, scratch, stream);
    if (best < 0) return;  // none runs: the product itself will say why
    const Choice choice{describe(gemm), driver_.info().name,
                        p.candidates[std::size_t(best)].algorithm};
    kept = choices_->keep(key, choice, proposed);
  }
  p.chosen = std::size_t(place(*kept) - p.candidates.begin());
}

int CublasLt::measure(const driver::Gemm& gemm, const Plan& p, void* scratch,
                      driver::StreamHandle stream) {
  const std::lock_guard lock(measuring_);
  if (!displacing_) {
    static const driver::KernelId kDisplace{"matmul.cu", "gemm_displace"};
    displacing_ = driver_.load(driver_.compile(kDisplace), kDisplace);
  }
  Displacer displacer(driver_, displacing_, scratch, stream);
  Stopwatch watch(driver_);
  return fastest(int(p.candidates.size()), [&](int candidate) {
    displacer.run();
    watch.start(stream);
    const bool ran = multiply(*api_, gemm, p, std::size_t(candidate), scratch,
                              stream_of_(stream)) == CUBLAS_STATUS_SUCCESS;
    return ran ? watch.stop(stream) : 0.0;
  });
}

bool CublasLt::gemm(const driver::Gemm& gemm, driver::StreamHandle stream) {
  if (!types_supported(gemm)) return false;
  const std::shared_ptr<Plan> p = plan(gemm);
  if (p->candidates.empty()) return false;
  void* const scratch = workspace(stream);
  if (p->candidates.size() > 1)
    std::call_once(p->choosing, [&] { choose(gemm, *p, scratch, stream); });
  const cublasStatus_t status = multiply(*api_, gemm, *p, p->chosen, scratch, stream_of_(stream));
  if (status != CUBLAS_STATUS_SUCCESS) api_->check(status, "cublasLtMatmul", describe(gemm));
  return true;
}

}  // namespace flame::blas
