#include "bench/probes.h"

#include <algorithm>
#include <array>
#include <vector>

#include "bench/probe_source.h"
#include "lib/core/error.h"
#include "lib/jit/compiler.h"
#include "lib/tensor/runtime.h"

namespace flame::bench {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kInFlight = 4;  // of probe.cu
constexpr std::size_t kVector = 16;
constexpr std::size_t kLeastDisplaced = std::size_t(256) << 20;
// A dependent multiply-add takes 4 cycles; at about 1.8 GHz 450 of them take a microsecond.
constexpr double kRoundsPerMicrosecond = 450;

template <class... Args>
void launch_probe(driver::Driver& driver, driver::KernelHandle kernel, unsigned blocks,
                  unsigned threads, driver::StreamHandle stream, const Args&... args) {
  const std::array<driver::Arg, sizeof...(Args)> list{driver::Arg{&args, sizeof(args)}...};
  driver.launch(kernel, {{blocks}, {threads}, 0, stream}, list);
}

}  // namespace

std::span<const jit::EmbeddedFile> probe_sources() {
  static const std::vector<jit::EmbeddedFile> files = [] {
    std::vector<jit::EmbeddedFile> all{{"probe.cu", kProbeSource}};
    for (const jit::EmbeddedFile& file : jit::embedded_files()) all.push_back(file);
    return all;
  }();
  return files;
}

Probes::Probes(const Device& device, std::size_t displace_bytes)
    : device_(device), driver_(device.runtime().driver()), displace_bytes_(displace_bytes) {
  const driver::Info& info = device.info();
  if (displace_bytes_ == 0) displace_bytes_ = std::max(4 * info.l2_bytes, kLeastDisplaced);
  displace_bytes_ = displace_bytes_ / kVector * kVector;
  blocks_ = unsigned(std::max(1, info.multiprocessors)) * 8;
  read_ = load("probe_read");
  copy_ = load("probe_copy");
  spin_ = load("probe_spin");
  nothing_ = load("probe_nothing", &nothing_image_);
  buffer_ = driver_.allocate(displace_bytes_, "what displaces the cache");
  sums_ = driver_.allocate(std::size_t(blocks_) * sizeof(float), "sums of the probes");
  driver_.fill(buffer_, 0, displace_bytes_, device_.stream());
}

Probes::~Probes() {
  driver_.deallocate(buffer_);
  driver_.deallocate(sums_);
}

driver::KernelHandle Probes::load(const char* name, driver::Image* image) {
  const driver::KernelId id{"probe.cu", name};
  // The simulated device has the probes compiled in; on CUDA the library's compiler takes our text.
  driver::Image made;
  if (device_.info().kind == driver::Kind::kCuda) {
    static jit::Compiler compiler(std::make_shared<jit::DiskCache>(), probe_sources());
    made = compiler.compile(id, device_.info().arch);
  } else {
    made = driver_.compile(id);
  }
  const driver::KernelHandle handle = driver_.load(made, id);
  if (image) *image = std::move(made);
  return handle;
}

void Probes::displace() { read(buffer_, displace_bytes_); }

void Probes::spin(double microseconds) {
  const auto rounds = static_cast<long long>(microseconds * kRoundsPerMicrosecond);
  launch_probe(driver_, spin_, 1, 32, device_.stream(), sums_, rounds);
}

void Probes::read(const void* from, std::size_t bytes) {
  const auto vectors = static_cast<long long>(bytes / kVector);
  launch_probe(driver_, read_, blocks_, kThreads, device_.stream(), from, sums_, vectors);
}

void Probes::copy(const void* from, void* to, std::size_t bytes) {
  const auto vectors = static_cast<long long>(bytes / kVector);
  const auto blocks = unsigned((vectors + kThreads * kInFlight - 1) / (kThreads * kInFlight));
  launch_probe(driver_, copy_, blocks, kThreads, device_.stream(), from, to, vectors);
}

}  // namespace flame::bench
