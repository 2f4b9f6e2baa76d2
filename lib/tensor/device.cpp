#include "lib/tensor/device.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "lib/core/error.h"
#include "lib/tensor/runtime.h"

namespace flame {
namespace {

// The value of a variable, or nothing when it is unset or empty.
std::string_view variable(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}

template <class Int>
Int integer(const char* name, Int fallback) {
  const std::string_view text = variable(name);
  if (text.empty()) return fallback;
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check<ValueError>(error == std::errc() && end == text.data() + text.size() && value >= 0, name,
                    "=", text, " is not a non-negative integer");
  return value;
}

// True when the variable is `on`, false when unset or `off`.
bool choice(const char* name, std::string_view on, std::string_view off) {
  const std::string_view text = variable(name);
  check<ValueError>(text.empty() || text == on || text == off, name, "=", text, " is neither ", on,
                    " nor ", off);
  return text == on;
}

}  // namespace

struct StreamState {
  explicit StreamState(std::shared_ptr<driver::Driver> d)
      : driver(std::move(d)), handle(driver->create_stream()) {}
  // Waits first: blocks freed on this stream stay cached under its handle, which the driver may
  // give to a new stream at once.
  ~StreamState() {
    try {
      driver->synchronize(handle);
    } catch (const Error&) {  // reported by whoever synchronises next; a destructor cannot throw
    }
    driver->destroy_stream(handle);
  }
  std::shared_ptr<driver::Driver> driver;
  driver::StreamHandle handle;
};

DeviceOptions options_from_environment() {
  DeviceOptions o;
  o.direct_allocator = choice("FLAME_ALLOCATOR", "direct", "pool");
  o.sync = choice("FLAME_SYNC", "1", "0");
  o.allow_tf32 = choice("FLAME_MATMUL_PRECISION", "tf32", "highest");
  o.own_blas = choice("FLAME_BLAS", "own", "cublaslt");
  o.tune_products = !choice("FLAME_MATMUL_TUNING", "off", "on");
  o.memory_limit = integer<std::int64_t>("FLAME_MEM_LIMIT", 0);
  o.seed = integer<std::uint64_t>("FLAME_SEED", 0);
  return o;
}

driver::StreamHandle Stream::handle() const { return state_ ? state_->handle : 0; }

Device Device::cuda(int index) {
  // One runtime a GPU, for as long as anything holds it: the driver's primary context is one too.
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<Runtime>> open;
  std::lock_guard lock(mutex);
  if (auto runtime = open[index].lock()) {
    Device device(nullptr, DeviceOptions{});
    device.runtime_ = std::move(runtime);
    return device;
  }
  Device device(driver::open_cuda(index));
  open[index] = device.runtime_;
  return device;
}

Device::Device(std::shared_ptr<driver::Driver> driver, const DeviceOptions& options) {
  if (driver) runtime_ = std::make_shared<Runtime>(std::move(driver), options);
}

const driver::Info& Device::info() const { return runtime_->driver().info(); }

std::string Device::to_string() const {
  return str_cat(info().kind == driver::Kind::kCuda ? "cuda:" : "sim:", info().index);
}

std::ostream& operator<<(std::ostream& out, const Device& device) {
  return out << device.to_string();
}

Device Device::on(const Stream& stream) const {
  Device device = *this;
  device.stream_ = stream;
  return device;
}

Stream Device::new_stream() const {
  Stream stream;
  // The state keeps the driver, and through it the device, alive.
  stream.state_ =
      std::make_shared<StreamState>(std::shared_ptr<driver::Driver>(runtime_, &runtime_->driver()));
  return stream;
}

void Device::synchronize() const {
  runtime_->driver().synchronize(stream());
  runtime_->check_faults();
}

void Device::manual_seed(std::uint64_t seed) const { runtime_->manual_seed(seed); }
MemoryStats Device::memory_stats() const { return runtime_->allocator().stats(); }
void Device::reset_peak_memory() const { runtime_->allocator().reset_peak(); }
void Device::trim_cache(std::int64_t keep) const { runtime_->allocator().trim(keep); }
void Device::set_allow_tf32(bool allow) const { runtime_->allow_tf32 = allow; }

}  // namespace flame
