// Opening the device; its memory, streams and events. Kernels are in cuda_kernels.cpp.
#include <vector>

#include "lib/core/error.h"
#include "lib/driver/cuda_driver.h"

namespace flame::driver {
namespace {

CUdeviceptr address(const void* p) { return reinterpret_cast<CUdeviceptr>(p); }
CUevent event(EventHandle handle) { return reinterpret_cast<CUevent>(handle); }

}  // namespace

std::shared_ptr<Driver> open_cuda(int index) {
  std::shared_ptr<const CudaApi> api = CudaApi::open();
  check<NoDeviceError>(api->device_count > 0, "cuda: the NVIDIA driver of CUDA ",
                       version_text(api->driver_version), " shows no GPU to this process");
  check<ValueError>(index >= 0 && index < api->device_count, "cuda: no device ", index,
                    "; there are ", api->device_count, ", counted from 0");
  return std::make_shared<CudaDriver>(std::move(api), index);
}

int cuda_device_count() {
  try {
    return CudaApi::open()->device_count;
  } catch (const NoDeviceError&) {
    return 0;
  }
}

PrimaryContext::PrimaryContext(std::shared_ptr<const CudaApi> api, int index)
    : api_(std::move(api)) {
  api_->check(api_->cuDeviceGet(&device_, index), "cuDeviceGet");
  api_->check(api_->cuDevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
}

PrimaryContext::~PrimaryContext() { api_->cuDevicePrimaryCtxRelease(device_); }

CudaDriver::CudaDriver(std::shared_ptr<const CudaApi> api, int index)
    : api_(std::move(api)), context_(api_, index) {
  read_info(index);
  require_driver(info_.driver_version, info_.toolkit_version);
  context_.enter();
  api_->check(api_->cuStreamCreate(&default_stream_, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
}

// Failures here have nobody to tell: the context may already be gone with the process, or a kernel
// may have broken it, which every call before this one has reported.
CudaDriver::~CudaDriver() {
  if (!context_.try_enter()) return;
  api_->cuCtxSynchronize();
  blas_.reset();
  for (const auto& kernel : kernels_) api_->cuModuleUnload(kernel->module);
  api_->cuStreamDestroy(default_stream_);
}

int CudaDriver::attribute(CUdevice_attribute which) const {
  int value = 0;
  api_->check(api_->cuDeviceGetAttribute(&value, which, context_.device()), "cuDeviceGetAttribute");
  return value;
}

void CudaDriver::read_info(int index) {
  char name[256] = {};
  api_->check(api_->cuDeviceGetName(name, sizeof name, context_.device()), "cuDeviceGetName");
  info_.kind = Kind::kCuda;
  info_.index = index;
  info_.name = name;
  info_.compute_major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  info_.compute_minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  info_.arch = arch_of(info_.compute_major, info_.compute_minor);
  info_.multiprocessors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  info_.l2_bytes = std::size_t(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
  info_.max_shared_bytes =
      std::size_t(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
  api_->check(api_->cuDeviceTotalMem(&info_.total_memory, context_.device()), "cuDeviceTotalMem");
  info_.driver_version = api_->driver_version;
  info_.toolkit_version = jit::nvrtc_version();
}

// ---- memory

void* CudaDriver::allocate(std::size_t bytes, std::string_view label) {
  context_.enter();
  CUdeviceptr out = 0;
  const CUresult result = api_->cuMemAlloc(&out, bytes);
  if (result == CUDA_ERROR_OUT_OF_MEMORY) {
    std::size_t free = 0, total = 0;
    api_->cuMemGetInfo(&free, &total);
    throw OutOfMemoryError(str_cat("cuda: ", bytes, " bytes for ", label, " do not fit: ", free,
                                   " of the device's ", total, " bytes are free"));
  }
  api_->check(result, "cuMemAlloc", bytes, " bytes for ", label);
  return reinterpret_cast<void*>(out);
}

// CUDA's own cuMemFree only may wait, it does not promise to.
void CudaDriver::deallocate(void* p) noexcept {
  if (!p || !context_.try_enter()) return;
  api_->cuCtxSynchronize();
  api_->cuMemFree(address(p));
}

std::size_t CudaDriver::free_memory() {
  context_.enter();
  std::size_t free = 0, total = 0;
  api_->check(api_->cuMemGetInfo(&free, &total), "cuMemGetInfo");
  return free;
}

void CudaDriver::copy_to_device(void* to, const void* from, std::size_t bytes, StreamHandle s) {
  context_.enter();
  api_->check(api_->cuMemcpyHtoDAsync(address(to), from, bytes, stream(s)), "cuMemcpyHtoDAsync",
              bytes, " bytes");
}

void CudaDriver::copy_to_host(void* to, const void* from, std::size_t bytes, StreamHandle s) {
  context_.enter();
  api_->check(api_->cuMemcpyDtoHAsync(to, address(from), bytes, stream(s)), "cuMemcpyDtoHAsync",
              bytes, " bytes");
  api_->check(api_->cuStreamSynchronize(stream(s)), "cuStreamSynchronize",
              "after copying to the host");
}

void CudaDriver::copy_on_device(void* to, const void* from, std::size_t bytes, StreamHandle s) {
  context_.enter();
  api_->check(api_->cuMemcpyDtoDAsync(address(to), address(from), bytes, stream(s)),
              "cuMemcpyDtoDAsync", bytes, " bytes");
}

void CudaDriver::fill(void* to, std::uint8_t byte, std::size_t bytes, StreamHandle s) {
  context_.enter();
  api_->check(api_->cuMemsetD8Async(address(to), byte, bytes, stream(s)), "cuMemsetD8Async", bytes,
              " bytes");
}

// ---- streams and events

StreamHandle CudaDriver::create_stream() {
  context_.enter();
  CUstream out = nullptr;
  api_->check(api_->cuStreamCreate(&out, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  return reinterpret_cast<StreamHandle>(out);
}

void CudaDriver::destroy_stream(StreamHandle handle) noexcept {
  if (!handle || !context_.try_enter()) return;
  {
    const std::lock_guard lock(mutex_);
    if (blas_) blas_->forget_stream(handle);
  }
  api_->cuStreamDestroy(stream(handle));
}

void CudaDriver::synchronize(StreamHandle handle) {
  context_.enter();
  api_->check(api_->cuStreamSynchronize(stream(handle)), "cuStreamSynchronize");
}

EventHandle CudaDriver::create_event() {
  context_.enter();
  CUevent out = nullptr;
  api_->check(api_->cuEventCreate(&out, CU_EVENT_DEFAULT), "cuEventCreate");
  return reinterpret_cast<EventHandle>(out);
}

void CudaDriver::destroy_event(EventHandle handle) noexcept {
  if (handle && context_.try_enter()) api_->cuEventDestroy(event(handle));
}

void CudaDriver::record(EventHandle handle, StreamHandle on) {
  context_.enter();
  api_->check(api_->cuEventRecord(event(handle), stream(on)), "cuEventRecord");
}

void CudaDriver::wait(StreamHandle waiting, EventHandle handle) {
  context_.enter();
  api_->check(api_->cuStreamWaitEvent(stream(waiting), event(handle), CU_EVENT_WAIT_DEFAULT),
              "cuStreamWaitEvent");
}

double CudaDriver::elapsed_ms(EventHandle from, EventHandle to) {
  context_.enter();
  api_->check(api_->cuEventSynchronize(event(from)), "cuEventSynchronize");
  api_->check(api_->cuEventSynchronize(event(to)), "cuEventSynchronize");
  float out = 0;
  api_->check(api_->cuEventElapsedTime(&out, event(from), event(to)), "cuEventElapsedTime");
  return double(out);
}

Blas* CudaDriver::blas() {
  const std::lock_guard lock(mutex_);
  if (!looked_for_blas_) {
    context_.enter();
    blas_ = blas::CublasLt::open(*this, [this](StreamHandle s) { return stream(s); });
    looked_for_blas_ = true;
  }
  return blas_.get();
}

}  // namespace flame::driver
