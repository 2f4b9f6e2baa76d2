// Kernels of the CUDA device: compile, load, launch, with every argument checked.
#include <algorithm>
#include <array>

#include "lib/core/error.h"
#include "lib/driver/cuda_driver.h"

namespace flame::driver {
namespace {

// More than any kernel of FLAME has; launches need no allocation for the pointers.
constexpr std::size_t kMaxArguments = 64;
// Dynamic shared memory a block may have without asking, static included (CUDA programming guide).
constexpr unsigned kSharedWithoutAsking = 48 * 1024;

// The compute capability from which on a launch can start before the one before has ended.
constexpr int kEarlyFrom = 9;

std::string size_text(Dim3 d) { return str_cat(d.x, " x ", d.y, " x ", d.z); }

}  // namespace

Image CudaDriver::compile(const KernelId& id) { return compiler_.compile(id, info_.arch); }

KernelHandle CudaDriver::load(const Image& image, const KernelId& id) {
  auto kernel = std::make_unique<LoadedKernel>();
  kernel->name = str_cat(id.file, ": ", id.expression);
  jit::verify_image(image.bytes, info_.arch, image.entry, kernel->name);
  context_.enter();
  const std::string doing = "while loading " + kernel->name;
  api_->check(api_->cuModuleLoadData(&kernel->module, image.bytes.data()), "cuModuleLoadData",
              doing);
  try {
    api_->check(api_->cuModuleGetFunction(&kernel->function, kernel->module, image.entry.c_str()),
                "cuModuleGetFunction", doing);
    // Now, not at the first launch, which must not stall what else runs.
    api_->check(api_->cuFuncLoad(kernel->function), "cuFuncLoad", doing);
    find_parameters(*kernel, jit::read_resources(image.bytes, image.entry).parameters);
  } catch (...) {
    api_->cuModuleUnload(kernel->module);
    throw;
  }
  const std::lock_guard lock(mutex_);
  kernels_.push_back(std::move(kernel));
  return reinterpret_cast<KernelHandle>(kernels_.back().get());
}

// The image says how many there are: asking the driver past the last one is an error of its own,
// and compute-sanitizer rightly reports it.
void CudaDriver::find_parameters(LoadedKernel& kernel, std::size_t count) const {
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t offset = 0, size = 0;
    api_->check(api_->cuFuncGetParamInfo(kernel.function, i, &offset, &size), "cuFuncGetParamInfo",
                "while loading ", kernel.name);
    kernel.parameters.push_back(size);
  }
  int shared = 0;
  api_->check(
      api_->cuFuncGetAttribute(&shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, kernel.function),
      "cuFuncGetAttribute", "while loading ", kernel.name);
  kernel.static_shared = unsigned(shared);
  kernel.granted_shared = kSharedWithoutAsking - std::min(kSharedWithoutAsking, unsigned(shared));
}

void CudaDriver::check_arguments(const LoadedKernel& kernel, std::span<const Arg> args) const {
  flame::check<DriverError>(args.size() == kernel.parameters.size(), kernel.name, ": takes ",
                            kernel.parameters.size(), " arguments, was given ", args.size());
  for (std::size_t i = 0; i < args.size(); ++i)
    flame::check<DriverError>(args[i].size == kernel.parameters[i], kernel.name, ": argument ", i,
                              " has ", kernel.parameters[i], " bytes, was given ", args[i].size);
}

void CudaDriver::grant_shared(LoadedKernel& kernel, unsigned bytes) {
  if (bytes <= kernel.granted_shared) return;
  const unsigned most = unsigned(info_.max_shared_bytes) - kernel.static_shared;
  flame::check<DriverError>(bytes <= most, kernel.name, ": needs ", bytes,
                            " bytes of dynamic shared memory, the device has ", most);
  api_->check(api_->cuFuncSetAttribute(kernel.function,
                                       CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, int(most)),
              "cuFuncSetAttribute", "while launching ", kernel.name);
  kernel.granted_shared = most;
}

CUresult CudaDriver::launch_early(const LoadedKernel& kernel, const Launch& launch,
                                  void** arguments) const {
  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
  attribute.value.programmaticStreamSerializationAllowed = 1;
  const CUlaunchConfig config{.gridDimX = launch.grid.x,
                              .gridDimY = launch.grid.y,
                              .gridDimZ = launch.grid.z,
                              .blockDimX = launch.block.x,
                              .blockDimY = launch.block.y,
                              .blockDimZ = launch.block.z,
                              .sharedMemBytes = launch.shared_bytes,
                              .hStream = stream(launch.stream),
                              .attrs = &attribute,
                              .numAttrs = 1};
  return api_->cuLaunchKernelEx(&config, kernel.function, arguments, nullptr);
}

void CudaDriver::launch(KernelHandle handle, const Launch& launch, std::span<const Arg> args) {
  flame::check<DriverError>(handle != 0, "launch: no kernel");
  LoadedKernel& kernel = *reinterpret_cast<LoadedKernel*>(handle);
  check_arguments(kernel, args);
  flame::check<DriverError>(args.size() <= kMaxArguments, kernel.name, ": ", args.size(),
                            " arguments are more than FLAME passes (", kMaxArguments, ")");
  std::array<void*, kMaxArguments> pointers;
  for (std::size_t i = 0; i < args.size(); ++i) pointers[i] = const_cast<void*>(args[i].data);
  context_.enter();
  if (launch.shared_bytes > 0) grant_shared(kernel, launch.shared_bytes);
  const CUresult result =
      launch.early && info_.compute_major >= kEarlyFrom
          ? launch_early(kernel, launch, pointers.data())
          : api_->cuLaunchKernel(kernel.function, launch.grid.x, launch.grid.y, launch.grid.z,
                                 launch.block.x, launch.block.y, launch.block.z,
                                 launch.shared_bytes, stream(launch.stream), pointers.data(),
                                 nullptr);
  if (result != CUDA_SUCCESS) [[unlikely]]
    api_->fail(result, "cuLaunchKernel",
               str_cat("while launching ", kernel.name, ", grid ", size_text(launch.grid),
                       ", block ", size_text(launch.block), ", ", launch.shared_bytes,
                       " bytes of dynamic shared memory"));
}

}  // namespace flame::driver
