// The CUDA device behind the seam. Private to lib/driver: open_cuda() is the way in.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/blas/cublaslt.h"
#include "lib/driver/cuda_api.h"
#include "lib/driver/driver.h"
#include "lib/jit/compiler.h"

namespace flame::driver {

// The device's primary context: shared with whatever else in the process uses the device.
class PrimaryContext {
 public:
  PrimaryContext(std::shared_ptr<const CudaApi> api, int index);
  ~PrimaryContext();
  PrimaryContext(const PrimaryContext&) = delete;
  PrimaryContext& operator=(const PrimaryContext&) = delete;

  // The calling thread may use the device from here on. A pointer comparison inside libcuda.
  void enter() const { api_->check(api_->cuCtxSetCurrent(context_), "cuCtxSetCurrent"); }
  bool try_enter() const noexcept { return api_->cuCtxSetCurrent(context_) == CUDA_SUCCESS; }
  CUdevice device() const { return device_; }

 private:
  std::shared_ptr<const CudaApi> api_;
  CUdevice device_ = 0;
  CUcontext context_ = nullptr;
};

// A loaded kernel: what a KernelHandle points to.
struct LoadedKernel {
  std::string name;  // "unary.cu: unary_forward<Exp, float>"
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  std::vector<std::size_t> parameters;       // sizes in bytes
  unsigned static_shared = 0;                // bytes
  std::atomic<unsigned> granted_shared = 0;  // dynamic bytes that a launch may ask for, so far
};

// Streams. Handle 0 is a stream of this driver's own, not CUDA's legacy one: all streams here are
// non-blocking, so work on two of them is ordered by nothing but events. A block that deallocate()
// gave back may be used on any stream, because deallocate() waits for all of them first.
class CudaDriver final : public Driver {
 public:
  CudaDriver(std::shared_ptr<const CudaApi> api, int index);
  ~CudaDriver() override;

  const Info& info() const override { return info_; }

  void* allocate(std::size_t bytes, std::string_view label) override;
  void deallocate(void* p) noexcept override;
  std::size_t free_memory() override;
  // `from` may be reused on return where it is ordinary (pageable) memory.
  void copy_to_device(void* to, const void* from, std::size_t bytes, StreamHandle) override;
  void copy_to_host(void* to, const void* from, std::size_t bytes, StreamHandle) override;
  void copy_on_device(void* to, const void* from, std::size_t bytes, StreamHandle) override;
  void fill(void* to, std::uint8_t byte, std::size_t bytes, StreamHandle) override;

  StreamHandle create_stream() override;
  void destroy_stream(StreamHandle) noexcept override;
  void synchronize(StreamHandle) override;
  EventHandle create_event() override;
  void destroy_event(EventHandle) noexcept override;
  void record(EventHandle, StreamHandle) override;
  void wait(StreamHandle, EventHandle) override;
  double elapsed_ms(EventHandle from, EventHandle to) override;

  Image compile(const KernelId&) override;
  KernelHandle load(const Image&, const KernelId&) override;
  void launch(KernelHandle, const Launch&, std::span<const Arg>) override;

  Blas* blas() override;

 private:
  void read_info(int index);
  void find_parameters(LoadedKernel& kernel, std::size_t count) const;
  void check_arguments(const LoadedKernel& kernel, std::span<const Arg> args) const;
  void grant_shared(LoadedKernel& kernel, unsigned bytes);
  CUresult launch_early(const LoadedKernel& kernel, const Launch& launch, void** arguments) const;
  CUstream stream(StreamHandle handle) const {
    return handle ? reinterpret_cast<CUstream>(handle) : default_stream_;
  }
  int attribute(CUdevice_attribute which) const;

  std::shared_ptr<const CudaApi> api_;
  PrimaryContext context_;
  Info info_;
  CUstream default_stream_ = nullptr;
  jit::Compiler compiler_;
  std::mutex mutex_;  // guards the three below
  std::vector<std::unique_ptr<LoadedKernel>> kernels_;
  bool looked_for_blas_ = false;
  std::unique_ptr<blas::CublasLt> blas_;
};

}  // namespace flame::driver
