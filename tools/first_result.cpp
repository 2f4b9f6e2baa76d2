// How long a program that uses FLAME waits for its first result, beyond what CUDA itself needs to
// start. Run it twice: the first run compiles the kernel where the cache does not hold it.
#include <chrono>
#include <cstdio>

#include "flame/flame.h"
#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

// CUDA's own start, as a program without FLAME would do it: the driver, and a context on device 0.
void start_cuda() {
  using namespace flame;
  constexpr std::string_view kNames[] = {"libcuda.so.1"};
  const auto cuda = driver::SharedLibrary::open(kNames);
  check<NoDeviceError>(bool(cuda), "first_result: ", cuda.problem());
  const auto init = reinterpret_cast<int (*)(unsigned)>(cuda.symbol("cuInit"));
  const auto retain =
      reinterpret_cast<int (*)(void**, int)>(cuda.symbol("cuDevicePrimaryCtxRetain"));
  void* context = nullptr;
  check<NoDeviceError>(init && retain && init(0) == 0 && retain(&context, 0) == 0,
                       "first_result: CUDA does not start on device 0; `flame doctor` says why");
}

int run() {
  const auto start = std::chrono::steady_clock::now();
  start_cuda();
  const double cuda_ms = milliseconds_since(start);
  const auto gpu = flame::Device::cuda();
  const double sum = (flame::ones({}, gpu) + flame::ones({}, gpu)).item();
  const double all_ms = milliseconds_since(start);
  std::printf("1 + 1 = %g after %.0f ms: CUDA's own start %.0f ms, FLAME %.0f ms\n", sum, all_ms,
              cuda_ms, all_ms - cuda_ms);
  return sum == 2 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 3;
  }
}
