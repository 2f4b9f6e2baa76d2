#include "bench/monitor.h"

#include <array>

#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"

namespace flame::bench {
namespace {

// NVML's C interface, as far as it is used: nvml.h is not part of every toolkit.
using NvmlDevice = struct nvmlDevice_st*;
constexpr int kClockSm = 1, kClockMemory = 2, kTemperatureGpu = 0;

struct Unwatched final : Monitor {
  std::optional<Reading> read() override { return std::nullopt; }
};

class Nvml final : public Monitor {
 public:
  // False with `problem` set when anything is missing.
  bool open(const driver::Info& info, std::string& problem) {
    static constexpr std::array<std::string_view, 2> kNames{"libnvidia-ml.so.1", "libnvidia-ml.so"};
    library_ = driver::SharedLibrary::open(kNames);
    if (!library_) return problem = library_.problem(), false;
    int (*init)() = nullptr;
    int (*by_bus)(const char*, NvmlDevice*) = nullptr;
    const bool complete = resolve(init, "nvmlInit_v2") &
                          resolve(by_bus, "nvmlDeviceGetHandleByPciBusId_v2") &
                          resolve(clock_, "nvmlDeviceGetClockInfo") &
                          resolve(max_clock_, "nvmlDeviceGetMaxClockInfo") &
                          resolve(power_, "nvmlDeviceGetPowerUsage") &
                          resolve(temperature_, "nvmlDeviceGetTemperature") &
                          resolve(reasons_, "nvmlDeviceGetCurrentClocksThrottleReasons");
    if (!complete) return problem = "NVML lacks an entry point", false;
    if (init() != 0) return problem = "nvmlInit failed", false;
    const std::string bus = bus_id(info.index);
    if (bus.empty() || by_bus(bus.c_str(), &device_) != 0)
      return problem = "NVML does not know the device", false;
    return true;
  }

  std::optional<Reading> read() override {
    Reading out;
    unsigned value = 0;
    if (clock_(device_, kClockSm, &value) == 0) out.sm_mhz = int(value);
    if (clock_(device_, kClockMemory, &value) == 0) out.memory_mhz = int(value);
    if (max_clock_(device_, kClockSm, &value) == 0) out.max_sm_mhz = int(value);
    if (power_(device_, &value) == 0) out.watts = value / 1000.0;
    if (temperature_(device_, kTemperatureGpu, &value) == 0) out.celsius = int(value);
    unsigned long long reasons = 0;
    out.throttle = reasons_(device_, &reasons) == 0 ? throttle_words(reasons) : "unknown";
    return out;
  }

 private:
  template <class F>
  bool resolve(F& f, const char* name) {
    f = reinterpret_cast<F>(library_.symbol(name));
    return f != nullptr;
  }

  // NVML counts all devices, CUDA the visible ones: the bus tells which is which.
  static std::string bus_id(int index) {
    static constexpr std::array<std::string_view, 2> kNames{"libcuda.so.1", "libcuda.so"};
    const driver::SharedLibrary cuda = driver::SharedLibrary::open(kNames);
    if (!cuda) return {};
    const auto device_get = reinterpret_cast<int (*)(int*, int)>(cuda.symbol("cuDeviceGet"));
    const auto bus_get =
        reinterpret_cast<int (*)(char*, int, int)>(cuda.symbol("cuDeviceGetPCIBusId"));
    char text[64] = {};
    int device = 0;
    if (!device_get || !bus_get || device_get(&device, index) != 0) return {};
    return bus_get(text, sizeof text, device) == 0 ? text : std::string();
  }

  driver::SharedLibrary library_;
  NvmlDevice device_ = nullptr;
  int (*clock_)(NvmlDevice, int, unsigned*) = nullptr;
  int (*max_clock_)(NvmlDevice, int, unsigned*) = nullptr;
  int (*power_)(NvmlDevice, unsigned*) = nullptr;
  int (*temperature_)(NvmlDevice, int, unsigned*) = nullptr;
  int (*reasons_)(NvmlDevice, unsigned long long*) = nullptr;
};

}  // namespace

std::string throttle_words(unsigned long long reasons) {
  static constexpr std::array<std::pair<unsigned long long, const char*>, 8> kWords{{
      {0x002, "applications_clocks"},
      {0x004, "sw_power_cap"},
      {0x008, "hw_slowdown"},
      {0x010, "sync_boost"},
      {0x020, "sw_thermal"},
      {0x040, "hw_thermal"},
      {0x080, "hw_power_brake"},
      {0x100, "display_clocks"},
  }};
  std::string out;
  for (const auto& [bit, word] : kWords)
    if (reasons & bit) out += (out.empty() ? "" : ",") + std::string(word);
  return out;
}

std::unique_ptr<Monitor> open_monitor(const driver::Info& info, std::string* problem) {
  std::string why;
  if (info.kind == driver::Kind::kSimulated) {
    why = "the device is simulated";
  } else if (auto nvml = std::make_unique<Nvml>(); nvml->open(info, why)) {
    return nvml;
  }
  if (problem) *problem = why;
  return std::make_unique<Unwatched>();
}

}  // namespace flame::bench
