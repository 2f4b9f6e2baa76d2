// The bench's own kernels on a device: displacing the cache, keeping the device busy, and the
// probes of its roofs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "lib/driver/driver.h"
#include "lib/jit/embedded.h"
#include "lib/tensor/device.h"

namespace flame::bench {

// The probes' text with the headers it includes, for the run-time compiler.
std::span<const jit::EmbeddedFile> probe_sources();
inline constexpr const char* kProbeNames[] = {"probe_read",
                                              "probe_read_tile<256, 2>",
                                              "probe_read_tile<512, 4>",
                                              "probe_copy",
                                              "probe_copy_one",
                                              "probe_fill",
                                              "probe_spin",
                                              "probe_nothing"};

// Ways of doing a pass over memory; rows name them as `implementation`. Which is the fastest
// depends on the size, and on the day: all are measured, the fastest is the roof.
enum class Reader : unsigned char { kGrid, kTile2, kTile4 };
inline constexpr std::pair<Reader, const char*> kReaders[] = {
    {Reader::kGrid, "kernel"}, {Reader::kTile2, "kernel_tile2"}, {Reader::kTile4, "kernel_tile4"}};
enum class Copier : unsigned char { kFour, kOne };
inline constexpr std::pair<Copier, const char*> kCopiers[] = {{Copier::kFour, "kernel"},
                                                              {Copier::kOne, "kernel_one"}};

class Probes {
 public:
  // Compiles and loads. `displace_bytes`: how much displace() reads; 0: four times the L2, at least
  // 256 MiB. Throws JitError, OutOfMemoryError.
  explicit Probes(const Device& device, std::size_t displace_bytes = 0);
  ~Probes();
  Probes(const Probes&) = delete;
  Probes& operator=(const Probes&) = delete;

  // Reads a buffer of more than three times the L2: whatever lay there is gone, and nothing dirty
  // is left whose writing back would be charged to what is timed next.
  void displace();
  // Keeps the device busy for about `microseconds` without touching memory.
  void spin(double microseconds);
  // One pass over `bytes` (a multiple of 16), on the device's stream.
  void read(const void* from, std::size_t bytes, Reader how = Reader::kGrid);
  void copy(const void* from, void* to, std::size_t bytes, Copier how = Copier::kFour);
  void fill(void* to, std::size_t bytes);

  std::size_t displace_bytes() const { return displace_bytes_; }
  driver::KernelHandle nothing() const { return nothing_; }
  const driver::Image& nothing_image() const { return nothing_image_; }

 private:
  void room_for_sums(unsigned blocks);
  driver::KernelHandle load(const char* name, driver::Image* image = nullptr);

  Device device_;
  driver::Driver& driver_;
  std::size_t displace_bytes_;
  unsigned blocks_;
  void* buffer_ = nullptr;  // what displace() reads
  // What reads leave behind: a float a block.
  void* sums_ = nullptr;
  std::size_t sums_bytes_ = 0;
  driver::Image nothing_image_;
  driver::KernelHandle read_, read_tile2_, read_tile4_, copy_, copy_one_, fill_, spin_, nothing_;
};

}  // namespace flame::bench
