// The bench's own kernels on a device: displacing the cache, keeping the device busy, and the
// probes of its roofs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/driver/driver.h"
#include "lib/jit/embedded.h"
#include "lib/tensor/device.h"

namespace flame::bench {

// The probes' text with the headers it includes, for the run-time compiler.
std::span<const jit::EmbeddedFile> probe_sources();
inline constexpr const char* kProbeNames[] = {"probe_read", "probe_copy", "probe_spin",
                                              "probe_nothing"};

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
  void read(const void* from, std::size_t bytes);
  void copy(const void* from, void* to, std::size_t bytes);

  std::size_t displace_bytes() const { return displace_bytes_; }
  driver::KernelHandle nothing() const { return nothing_; }
  const driver::Image& nothing_image() const { return nothing_image_; }

 private:
  driver::KernelHandle load(const char* name, driver::Image* image = nullptr);

  Device device_;
  driver::Driver& driver_;
  std::size_t displace_bytes_;
  unsigned blocks_;
  void* buffer_ = nullptr;  // what displace() reads
  void* sums_ = nullptr;    // what reads leave behind
  driver::Image nothing_image_;
  driver::KernelHandle read_, copy_, spin_, nothing_;
};

}  // namespace flame::bench
