#include "bench/peers/cudnn.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "bench/judging.h"
#include "bench/peers/cudnn_run.h"
#include "conformance/runner/device_io.h"
#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"

namespace flame::bench {
namespace {

// The heuristics put the likely ones first; each costs its preparation and a few runs.
constexpr int kCandidates = 8, kEveryCandidate = 64;

class CudnnWay final : public Contender {
 public:
  CudnnWay(std::shared_ptr<CudnnLibrary> library, CudnnCalls& calls, const Workload& w,
           bool channels_last, Timer& timer)
      : library_(std::move(library)),
        item_(w.item()),
        device_(w.inputs()[0].device()),
        channels_last_(channels_last),
        timer_(timer),
        run_(calls, w.item(), w.inputs(), w.grad_outputs(), channels_last, kCandidates) {
    run_.prepare(&timer);
  }
  std::string name() const override { return channels_last_ ? "cudnn_channels_last" : "cudnn"; }

  std::vector<double> time(Temperature temperature, int count) override {
    std::vector<double> out;
    for (int i = 0; i < count; ++i) out.push_back(timer_.time([this] { run_(); }, temperature));
    return out;
  }

  // On a smaller case, by the same engines where they take it.
  Judged judge() override {
    const auto c = judged_case(item_);
    if (!c) return {.r = -1, .where = "", .reason = "not cuDNN's at a smaller size", .inputs = ""};
    std::vector<Tensor> inputs, grads;
    for (const auto& x : c->inputs) inputs.push_back(conformance::upload(device_, x));
    for (const auto& g : c->grad_outputs) grads.push_back(conformance::upload(device_, g));
    try {
      CudnnCalls calls(library_);
      CudnnRun run(calls, c->item, inputs, grads, channels_last_, kEveryCandidate);
      run.prepare(nullptr, run_.engines());
      run();
      return judge_results(*c, run.results());
    } catch (const Error& e) {
      return {.r = -1, .where = "", .reason = e.what(), .inputs = ""};
    }
  }

 private:
  std::shared_ptr<CudnnLibrary> library_;
  Item item_;
  Device device_;
  bool channels_last_;
  Timer& timer_;
  CudnnRun run_;
};

// What cuDNN could not do, as a row that says why.
class Refused final : public Contender {
 public:
  Refused(std::string name, std::string reason)
      : name_(std::move(name)), reason_(std::move(reason)) {}
  std::string name() const override { return name_; }
  std::vector<double> time(Temperature, int) override { throw Error(reason_); }

 private:
  std::string name_, reason_;
};

class CudnnPeers final : public PeerSource {
 public:
  explicit CudnnPeers(const std::shared_ptr<CudnnLibrary>& library)
      : library_(library), calls_(library) {}

  std::vector<std::unique_ptr<Contender>> peers(const Workload& w, Timer& timer) override {
    std::vector<std::unique_ptr<Contender>> out;
    const bool images = cudnn_convolution_of(w.item()) || cudnn_pooling_of(w.item());
    if (!images && !cudnn_softmax_of(w.item())) return out;
    for (const bool channels_last : {false, true}) {
      if (channels_last && !images) continue;
      try {
        out.push_back(std::make_unique<CudnnWay>(library_, calls_, w, channels_last, timer));
      } catch (const Error& e) {
        out.push_back(
            std::make_unique<Refused>(channels_last ? "cudnn_channels_last" : "cudnn", e.what()));
      }
    }
    return out;
  }

 private:
  std::shared_ptr<CudnnLibrary> library_;
  CudnnCalls calls_;
};

// FLAME_CUDNN alone where it is set; else as the system finds it, and where toolkits have it.
std::vector<std::string> places() {
  if (const char* named = std::getenv("FLAME_CUDNN"); named && *named) return {named};
  std::vector<std::string> out{""};
  for (const auto& folder : driver::toolkit_folders())
    for (const char* sub : {"lib64", "lib"}) {
      const auto file = folder / sub / "libcudnn.so.9";
      std::error_code error;
      if (std::filesystem::exists(file, error)) out.push_back(file.string());
    }
  return out;
}

}  // namespace

std::unique_ptr<PeerSource> open_cudnn(const Device& device) {
  if (device.info().kind != driver::Kind::kCuda) return nullptr;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  void* peer = dlopen((self / "libflame_peer_cudnn.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!peer) return nullptr;
  auto library = std::make_shared<CudnnLibrary>();
  if (!library->api.resolve([peer](const char* name) { return dlsym(peer, name); })) return nullptr;
  for (const std::string& place : places()) {
    char why[cudnn::kWhyBytes] = {};
    library->context = library->api.open(place.c_str(), why);
    if (library->context) return std::make_unique<CudnnPeers>(library);
  }
  return nullptr;
}

}  // namespace flame::bench
