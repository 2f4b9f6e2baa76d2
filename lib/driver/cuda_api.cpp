#include "lib/driver/cuda_api.h"

#include <array>

#include "lib/core/error.h"

namespace flame::driver {

std::shared_ptr<const CudaApi> CudaApi::open() {
  static constexpr std::array<std::string_view, 1> kNames{"libcuda.so.1"};
  std::shared_ptr<CudaApi> api(new CudaApi);
  api->library_ = SharedLibrary::open(kNames);
  flame::check<NoDeviceError>(bool(api->library_),
                              "cuda: no NVIDIA driver on this machine: ", api->library_.problem(),
                              "; FLAME computes on a GPU only");
  api->resolve();
  api->start();
  return api;
}

void CudaApi::resolve() {
  auto get = reinterpret_cast<PFN_cuGetProcAddress_v12000>(library_.symbol("cuGetProcAddress_v2"));
  flame::check<NoDeviceError>(get != nullptr,
                              "cuda: the NVIDIA driver is older than CUDA 12.0; FLAME needs 12.4");
#define FLAME_RESOLVE(function, version)                                                        \
  {                                                                                             \
    void* found = nullptr;                                                                      \
    CUdriverProcAddressQueryResult why{};                                                       \
    const CUresult result = get(#function, &found, version, CU_GET_PROC_ADDRESS_DEFAULT, &why); \
    flame::check<NoDeviceError>(result == CUDA_SUCCESS && found != nullptr,                     \
                                "cuda: the NVIDIA driver has no " #function " of CUDA ",        \
                                version_text(version), "; FLAME needs a driver of CUDA 12.4");  \
    this->function = reinterpret_cast<PFN_##function##_v##version>(found);                      \
  }
  FLAME_CUDA_CALLS(FLAME_RESOLVE)
#undef FLAME_RESOLVE
}

void CudaApi::start() {
  const CUresult result = cuInit(0);
  flame::check<NoDeviceError>(result == CUDA_SUCCESS, "cuda: no GPU that the NVIDIA driver can ",
                              "use: ", describe("cuInit", result));
  check(cuDriverGetVersion(&driver_version), "cuDriverGetVersion");
  check(cuDeviceGetCount(&device_count), "cuDeviceGetCount");
}

std::string CudaApi::describe(std::string_view call, CUresult result) const {
  const char* name = nullptr;
  const char* text = nullptr;
  if (cuGetErrorName(result, &name) != CUDA_SUCCESS || !name) name = "unknown error";
  if (cuGetErrorString(result, &text) != CUDA_SUCCESS || !text) text = "no description";
  return str_cat(call, ": ", name, ": ", text);
}

void CudaApi::fail(CUresult result, std::string_view call, const std::string& context) const {
  const std::string where = context.empty() ? "" : " (" + context + ")";
  throw DriverError(describe(call, result) + where);
}

}  // namespace flame::driver
