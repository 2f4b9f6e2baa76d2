// A driver whose memory starts out poisoned and lies between guard bands, so that what a kernel did
// not write, and what it wrote beside its tensor, shows. Works over any device.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "conformance/runner/forwarding_driver.h"

namespace flame::conformance {

class PoisonDriver : public ForwardingDriver {
 public:
  using ForwardingDriver::ForwardingDriver;
  ~PoisonDriver() override;

  // What allocations from now on are filled with: 0xFF makes NaN of every floating type and index
  // -1; 0x3F makes ordinary numbers.
  void set_pattern(std::uint8_t byte) { pattern_ = byte; }

  void* allocate(std::size_t bytes, std::string_view label) override;
  void deallocate(void* p) noexcept override;

  // Looks at the bands of everything alive, and hands out what was found since the last call, in
  // freed memory too: "3 bytes written behind 'tensor' of 400 bytes, first 4 bytes past its end".
  std::vector<std::string> take_violations();

  static constexpr std::size_t kGuardBytes = 512;  // keeps the 256-byte alignment
  static constexpr std::uint8_t kGuardByte = 0xC3;

 private:
  struct Block {
    std::size_t bytes;
    std::string label;
  };
  void look_at(void* p, const Block& block);

  std::atomic<std::uint8_t> pattern_ = 0xFF;
  std::mutex mutex_;
  std::map<void*, Block> blocks_;
  std::vector<std::string> violations_;
};

}  // namespace flame::conformance
