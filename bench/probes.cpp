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
constexpr std::size_t kTile2 = 256 * 2, kTile4 = 512 * 4;
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

unsigned blocks_of(std::size_t vectors, std::size_t each) {
  return unsigned((vectors + each - 1) / each);
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
  read_tile2_ = load("probe_read_tile<256, 2>");
  read_tile4_ = load("probe_read_tile<512, 4>");
  copy_ = load("probe_copy");
  copy_one_ = load("probe_copy_one");
  fill_ = load("probe_fill");
  spin_ = load("probe_spin");
  nothing_ = load("probe_nothing", &nothing_image_);
  buffer_ = driver_.allocate(displace_bytes_, "what displaces the cache");
  room_for_sums(blocks_);
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

// Made larger where a pass has more blocks; never while one is timed: passes run once before.
void Probes::room_for_sums(unsigned blocks) {
  const std::size_t bytes = std::size_t(blocks) * sizeof(float);
  if (bytes <= sums_bytes_) return;
  if (sums_) {
    device_.synchronize();
    driver_.deallocate(sums_);
    sums_ = nullptr;
  }
  sums_ = driver_.allocate(bytes, "sums of the probes");
  sums_bytes_ = bytes;
}

void Probes::read(const void* from, std::size_t bytes, Reader how) {
  const auto vectors = static_cast<long long>(bytes / kVector);
  const std::size_t tile = how == Reader::kTile2 ? kTile2 : kTile4;
  const unsigned blocks = how == Reader::kGrid ? blocks_ : blocks_of(bytes / kVector, tile);
  const unsigned threads = how == Reader::kTile4 ? 512 : kThreads;
  const driver::KernelHandle kernel = how == Reader::kGrid    ? read_
                                      : how == Reader::kTile2 ? read_tile2_
                                                              : read_tile4_;
  room_for_sums(blocks);
  launch_probe(driver_, kernel, blocks, threads, device_.stream(), from, sums_, vectors);
}

void Probes::copy(const void* from, void* to, std::size_t bytes, Copier how) {
  const auto vectors = static_cast<long long>(bytes / kVector);
  const bool one = how == Copier::kOne;
  const unsigned blocks = blocks_of(bytes / kVector, one ? kThreads : kThreads * kInFlight);
  launch_probe(driver_, one ? copy_one_ : copy_, blocks, kThreads, device_.stream(), from, to,
               vectors);
}

void Probes::fill(void* to, std::size_t bytes) {
  const auto vectors = static_cast<long long>(bytes / kVector);
  launch_probe(driver_, fill_, blocks_of(bytes / kVector, kThreads), kThreads, device_.stream(), to,
               vectors);
}

}  // namespace flame::bench
