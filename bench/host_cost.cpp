#include "bench/host_cost.h"

#include <array>
#include <chrono>

#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"
#include "lib/ops/ops.h"
#include "lib/tensor/runtime.h"
#include "reports/bench_record.h"

namespace flame::bench {
namespace {

// Calls that one sample makes, timed on the host; the queue is emptied before and after. Fewer than
// what a stream's queue holds (1024): a full queue would time the device.
class HostContender final : public Contender {
 public:
  HostContender(std::string name, int calls, std::function<void()> call,
                std::function<void()> drain)
      : name_(std::move(name)), calls_(calls), call_(std::move(call)), drain_(std::move(drain)) {}
  std::string name() const override { return name_; }
  std::vector<double> time(Temperature, int count) override {
    std::vector<double> out;
    for (int i = 0; i < count; ++i) {
      drain_();
      const auto begin = std::chrono::steady_clock::now();
      for (int k = 0; k < calls_; ++k) call_();
      const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - begin;
      drain_();
      out.push_back(ms.count() / calls_);
    }
    return out;
  }

 private:
  std::string name_;
  int calls_;
  std::function<void()> call_, drain_;
};

// cuLaunchKernel without anything around it, on a stream of its own in the current context.
class RawLaunch {
 public:
  explicit RawLaunch(const driver::Image& image) {
    static constexpr std::array<std::string_view, 2> kNames{"libcuda.so.1", "libcuda.so"};
    library_ = driver::SharedLibrary::open(kNames);
    check<DriverError>(bool(library_), library_.problem());
    resolve(launch_, "cuLaunchKernel");
    resolve(destroy_stream_, "cuStreamDestroy_v2");
    resolve(synchronize_, "cuStreamSynchronize");
    resolve(unload_, "cuModuleUnload");
    int (*load)(void**, const void*) = nullptr;
    int (*find)(void**, void*, const char*) = nullptr;
    int (*create_stream)(void**, unsigned) = nullptr;
    resolve(load, "cuModuleLoadData");
    resolve(find, "cuModuleGetFunction");
    resolve(create_stream, "cuStreamCreate");
    check<DriverError>(load(&module_, image.bytes.data()) == 0 &&
                           find(&function_, module_, image.entry.c_str()) == 0 &&
                           create_stream(&stream_, 1) == 0,
                       "bench: the probe of bare launches does not load");
  }
  ~RawLaunch() {
    destroy_stream_(stream_);
    unload_(module_);
  }
  void operator()() const {
    const int result = launch_(function_, 1, 1, 1, 32, 1, 1, 0, stream_, nullptr, nullptr);
    check<DriverError>(result == 0, "cuLaunchKernel: error ", result);
  }
  void drain() const {
    check<DriverError>(synchronize_(stream_) == 0, "bench: bare launches failed");
  }

 private:
  template <class F>
  void resolve(F& f, const char* name) {
    f = reinterpret_cast<F>(library_.symbol(name));
    check<DriverError>(f != nullptr, "bench: the driver has no ", name);
  }
  driver::SharedLibrary library_;
  int (*launch_)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*,
                 void**, void**) = nullptr;
  int (*destroy_stream_)(void*) = nullptr;
  int (*synchronize_)(void*) = nullptr;
  int (*unload_)(void*) = nullptr;
  void *module_ = nullptr, *function_ = nullptr, *stream_ = nullptr;
};

}  // namespace

struct HostCost::Parts {
  Device device;
  std::unique_ptr<RawLaunch> raw;
  Tensor a, b, leaf, gradient;
  std::vector<std::unique_ptr<Contender>> contenders;
};

HostCost::HostCost(const Device& device, Probes& probes, int calls)
    : parts_(new Parts{device, {}, {}, {}, {}, {}, {}}) {
  Parts& p = *parts_;
  p.a = randn({1}, device);
  p.b = randn({1}, device);
  p.leaf = randn({1}, device);
  p.leaf.set_requires_grad();
  p.gradient = randn({1}, device);
  device.synchronize();  // and so the device's context is current on this thread
  driver::Driver& driver = device.runtime().driver();
  const auto add_call = [&](const char* name, std::function<void()> call) {
    p.contenders.push_back(std::make_unique<HostContender>(name, calls, std::move(call),
                                                           [&p] { p.device.synchronize(); }));
  };
  add_call("flame", [&p] {
    const NoGradGuard no_grad;
    add(p.a, p.b);
  });
  add_call("flame", [&p] {
    const Tensor out = add(p.leaf, p.b);
    grad(std::array{out}, std::array{p.leaf}, std::array{p.gradient});
  });
  add_call("driver_seam", [&driver, &p, kernel = probes.nothing()] {
    driver.launch(kernel, {{1}, {32}, 0, p.device.stream()}, {});
  });
  if (device.info().kind != driver::Kind::kCuda) return;
  p.raw = std::make_unique<RawLaunch>(probes.nothing_image());
  p.contenders.push_back(std::make_unique<HostContender>(
      records::kRawLaunch, calls, [&p] { (*p.raw)(); }, [&p] { p.raw->drain(); }));
}

HostCost::~HostCost() = default;

std::vector<Contender*> HostCost::contenders(bool with_backward) {
  std::vector<Contender*> out{parts_->contenders[with_backward ? 1 : 0].get()};
  for (std::size_t i = 2; i < parts_->contenders.size(); ++i)
    out.push_back(parts_->contenders[i].get());
  return out;
}

}  // namespace flame::bench
