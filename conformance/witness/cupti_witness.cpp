#include "conformance/witness/cupti_witness.h"

#if __has_include(<cupti.h>)

#include <cupti.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "conformance/witness/kernel_names.h"
#include "lib/driver/cuda_api.h"

namespace flame::conformance {
namespace {

// The records of the CUPTI whose header this is built with.
#if CUPTI_API_VERSION >= 130000
using KernelRecord = CUpti_ActivityKernel10;
using CopyRecord = CUpti_ActivityMemcpy6;
using SyncRecord = CUpti_ActivitySynchronization2;
#else
using KernelRecord = CUpti_ActivityKernel9;
using CopyRecord = CUpti_ActivityMemcpy5;
using SyncRecord = CUpti_ActivitySynchronization;
#endif
using PeerCopyRecord = CUpti_ActivityMemcpyPtoP4;
using MemsetRecord = CUpti_ActivityMemset4;

constexpr std::size_t kBufferBytes = std::size_t(1) << 20;
constexpr std::array kKinds{CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY,
                            CUPTI_ACTIVITY_KIND_MEMCPY2, CUPTI_ACTIVITY_KIND_MEMSET,
                            CUPTI_ACTIVITY_KIND_SYNCHRONIZATION};

#define FLAME_CUPTI_CALLS(X)                                                  \
  X(cuptiGetVersion)                                                          \
  X(cuptiGetResultString)                                                     \
  X(cuptiGetTimestamp) X(cuptiGetContextId) X(cuptiActivityRegisterCallbacks) \
      X(cuptiActivityEnable) X(cuptiActivityDisable) X(cuptiActivityFlushAll) \
          X(cuptiActivityGetNextRecord) X(cuptiActivityGetNumDroppedRecords)

// CUDA 12 counted 19, 20, ...; since 13 the version is 130001.
int cuda_major(std::uint32_t cupti_version) {
  return cupti_version >= 130000 ? int(cupti_version / 10000) : 12;
}

struct CuptiApi {
  driver::SharedLibrary library;
#define FLAME_DECLARE(f) decltype(&::f) f = nullptr;
  FLAME_CUPTI_CALLS(FLAME_DECLARE)
#undef FLAME_DECLARE

  CuptiApi() {
    static constexpr std::array<std::string_view, 3> kNames{"libcupti.so.13", "libcupti.so.12",
                                                            "libcupti.so"};
    library = driver::SharedLibrary::open(kNames);
    flame::check<WitnessError>(bool(library),
                               "cupti: libcupti, the witness of what runs on a GPU, ",
                               "was not found (", library.problem(), ")");
#define FLAME_RESOLVE(f)                                 \
  f = reinterpret_cast<decltype(f)>(library.symbol(#f)); \
  flame::check<WitnessError>(f != nullptr, "cupti: this libcupti has no " #f);
    FLAME_CUPTI_CALLS(FLAME_RESOLVE)
#undef FLAME_RESOLVE
    std::uint32_t version = 0;
    check(cuptiGetVersion(&version), "cuptiGetVersion");
    flame::check<WitnessError>(
        version >= CUPTI_API_VERSION && cuda_major(version) == cuda_major(CUPTI_API_VERSION),
        "cupti: libcupti is of API version ", version, ", its records are read as those of ",
        CUPTI_API_VERSION, "; set CUDA_HOME to the toolkit FLAME was built with");
  }
  void check(CUptiResult result, std::string_view call) const {
    if (result == CUPTI_SUCCESS) return;
    const char* text = nullptr;
    cuptiGetResultString(result, &text);
    throw WitnessError(str_cat("cupti: ", call, ": ", text ? text : "unknown error"));
  }
};

struct Timed {
  Event event;
  std::uint64_t start = 0;  // ns, CUPTI's clock
  std::uint32_t context = 0;
};

EventKind copy_kind(std::uint8_t kind) {
  switch (kind) {
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOD:
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOA:
      return EventKind::kCopyH2D;
    case CUPTI_ACTIVITY_MEMCPY_KIND_DTOH:
    case CUPTI_ACTIVITY_MEMCPY_KIND_ATOH:
    case CUPTI_ACTIVITY_MEMCPY_KIND_HTOH:
      return EventKind::kCopyD2H;  // ends on the host
    default:
      return EventKind::kCopyD2D;
  }
}

driver::Dim3 dim3(int x, int y, int z) { return {unsigned(x), unsigned(y), unsigned(z)}; }

template <class Record>
const Record& as(const CUpti_Activity* record) {
  return *reinterpret_cast<const Record*>(record);
}

// Only the kernel's raw name is copied here: this runs on CUPTI's thread.
std::optional<Timed> read(const CUpti_Activity* record) {
  Timed out;
  Event& e = out.event;
  switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_KERNEL:
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL: {
      const auto& r = as<KernelRecord>(record);
      e.kernel = r.name ? r.name : "";
      e.grid = dim3(r.gridX, r.gridY, r.gridZ);
      e.block = dim3(r.blockX, r.blockY, r.blockZ);
      e.stream = r.streamId;
      return Timed{e, r.start, r.contextId};
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY: {
      const auto& r = as<CopyRecord>(record);
      e.kind = copy_kind(r.copyKind);
      e.bytes = r.bytes;
      e.stream = r.streamId;
      return Timed{e, r.start, r.contextId};
    }
    case CUPTI_ACTIVITY_KIND_MEMCPY2: {
      const auto& r = as<PeerCopyRecord>(record);
      e.kind = EventKind::kCopyD2D;
      e.bytes = r.bytes;
      e.stream = r.streamId;
      return Timed{e, r.start, r.contextId};
    }
    case CUPTI_ACTIVITY_KIND_MEMSET: {
      const auto& r = as<MemsetRecord>(record);
      e.kind = EventKind::kMemset;
      e.bytes = r.bytes;
      e.stream = r.streamId;
      return Timed{e, r.start, r.contextId};
    }
    case CUPTI_ACTIVITY_KIND_SYNCHRONIZATION: {
      const auto& r = as<SyncRecord>(record);
      // A stream that waits for an event keeps nobody waiting on the host.
      if (r.type == CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT) return std::nullopt;
      e.kind = EventKind::kSync;
      e.stream = r.streamId;
      return Timed{e, r.start, r.contextId};
    }
    default:
      return std::nullopt;
  }
}

class CuptiWitness final : public Witness {
 public:
  explicit CuptiWitness(int index);
  ~CuptiWitness() override;

  void begin() override;
  std::vector<Event> end() override;
  std::string_view name() const override { return "cupti"; }

 private:
  static void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* records);
  static void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t size,
                                   std::size_t valid);
  void collect(std::uint8_t* buffer, std::size_t valid);
  void wait_and_flush();
  std::uint64_t now() const;

  // CUPTI's callbacks carry no pointer of ours, so the one witness alive is found here.
  static std::atomic<CuptiWitness*> alive_;

  CuptiApi api_;
  std::shared_ptr<const driver::CudaApi> cuda_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
  std::uint32_t context_id_ = 0;
  KernelNames names_;
  bool watching_ = false;
  std::uint64_t began_ = 0;
  std::mutex mutex_;  // guards the three below
  std::vector<Timed> seen_;
  std::size_t dropped_ = 0;
  bool unreadable_ = false;
};

std::atomic<CuptiWitness*> CuptiWitness::alive_{nullptr};

CuptiWitness::CuptiWitness(int index) : cuda_(driver::CudaApi::open()) {
  cuda_->check(cuda_->cuDeviceGet(&device_, index), "cuDeviceGet");
  CuptiWitness* nobody = nullptr;
  flame::check<WitnessError>(alive_.compare_exchange_strong(nobody, this),
                             "cupti: there is a witness in this process already");
  try {
    cuda_->check(cuda_->cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
    cuda_->check(cuda_->cuCtxSetCurrent(context_), "cuCtxSetCurrent");
    api_.check(api_.cuptiGetContextId(context_, &context_id_), "cuptiGetContextId");
    api_.check(api_.cuptiActivityRegisterCallbacks(&give_buffer, &take_buffer),
               "cuptiActivityRegisterCallbacks");
    for (CUpti_ActivityKind kind : kKinds)
      api_.check(api_.cuptiActivityEnable(kind), "cuptiActivityEnable");
  } catch (...) {
    if (context_) cuda_->cuDevicePrimaryCtxRelease(device_);
    alive_ = nullptr;
    throw;
  }
}

CuptiWitness::~CuptiWitness() {
  for (CUpti_ActivityKind kind : kKinds) api_.cuptiActivityDisable(kind);
  api_.cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  alive_ = nullptr;
  cuda_->cuDevicePrimaryCtxRelease(device_);
}

void CUPTIAPI CuptiWitness::give_buffer(std::uint8_t** buffer, std::size_t* size,
                                        std::size_t* records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(64, kBufferBytes));
  *size = *buffer ? kBufferBytes : 0;
  *records = 0;  // as many as fit
}

void CUPTIAPI CuptiWitness::take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                                        std::size_t valid) {
  if (CuptiWitness* witness = alive_) witness->collect(buffer, valid);
  std::free(buffer);
}

// Nothing may be thrown into CUPTI: what goes wrong is kept and thrown by end().
void CuptiWitness::collect(std::uint8_t* buffer, std::size_t valid) {
  const std::lock_guard lock(mutex_);
  CUpti_Activity* record = nullptr;
  CUptiResult result = CUPTI_SUCCESS;
  while ((result = api_.cuptiActivityGetNextRecord(buffer, valid, &record)) == CUPTI_SUCCESS)
    if (std::optional<Timed> event = read(record)) seen_.push_back(std::move(*event));
  if (result != CUPTI_ERROR_MAX_LIMIT_REACHED) unreadable_ = true;
  std::size_t dropped = 0;
  api_.cuptiActivityGetNumDroppedRecords(nullptr, 0, &dropped);
  dropped_ += dropped;
}

std::uint64_t CuptiWitness::now() const {
  std::uint64_t out = 0;
  api_.check(api_.cuptiGetTimestamp(&out), "cuptiGetTimestamp");
  return out;
}

void CuptiWitness::wait_and_flush() {
  cuda_->check(cuda_->cuCtxSetCurrent(context_), "cuCtxSetCurrent");
  cuda_->check(cuda_->cuCtxSynchronize(), "cuCtxSynchronize", "while the witness waited");
  api_.check(api_.cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "cuptiActivityFlushAll");
}

void CuptiWitness::begin() {
  wait_and_flush();
  {
    const std::lock_guard lock(mutex_);
    seen_.clear();
    dropped_ = 0;
    unreadable_ = false;
  }
  began_ = now();
  watching_ = true;
}

std::vector<Event> CuptiWitness::end() {
  flame::check<ValueError>(watching_, "cupti: end() of a witness that was not watching");
  watching_ = false;
  const std::uint64_t ended = now();
  wait_and_flush();
  std::vector<Timed> seen;
  {
    const std::lock_guard lock(mutex_);
    flame::check<WitnessError>(dropped_ == 0 && !unreadable_, "cupti: ", dropped_,
                               " records were dropped: what ran on the device is not known");
    seen.swap(seen_);
  }
  std::stable_sort(seen.begin(), seen.end(),
                   [](const Timed& a, const Timed& b) { return a.start < b.start; });
  std::vector<Event> out;
  for (Timed& t : seen) {
    if (t.context != context_id_) continue;
    // Waiting has host times, so the witness's own is recognised by when it was.
    if (t.event.kind == EventKind::kSync && (t.start < began_ || t.start >= ended)) continue;
    if (t.event.kind == EventKind::kLaunch) names_.resolve(t.event);
    out.push_back(std::move(t.event));
  }
  return out;
}

}  // namespace

std::shared_ptr<Witness> make_cupti_witness(int index) {
  return std::make_shared<CuptiWitness>(index);
}

}  // namespace flame::conformance

#else

namespace flame::conformance {

std::shared_ptr<Witness> make_cupti_witness(int) {
  throw WitnessError("cupti: this program was built with a CUDA toolkit without CUPTI's headers");
}

}  // namespace flame::conformance

#endif
