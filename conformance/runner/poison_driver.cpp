#include "conformance/runner/poison_driver.h"

#include <utility>

#include "lib/core/error.h"

namespace flame::conformance {

PoisonDriver::~PoisonDriver() {
  for (const auto& [p, block] : blocks_) base().deallocate(static_cast<char*>(p) - kGuardBytes);
}

void* PoisonDriver::allocate(std::size_t bytes, std::string_view label) {
  char* whole = static_cast<char*>(base().allocate(bytes + 2 * kGuardBytes, label));
  char* p = whole + kGuardBytes;
  base().fill(whole, kGuardByte, kGuardBytes, 0);
  base().fill(p, pattern_, bytes, 0);
  base().fill(p + bytes, kGuardByte, kGuardBytes, 0);
  base().synchronize(0);  // other streams may use it at once
  std::lock_guard lock(mutex_);
  blocks_[p] = {bytes, std::string(label)};
  return p;
}

void PoisonDriver::look_at(void* p, const Block& block) {
  for (const bool behind : {false, true}) {
    std::uint8_t band[kGuardBytes];
    char* at = static_cast<char*>(p) +
               (behind ? std::ptrdiff_t(block.bytes) : -std::ptrdiff_t(kGuardBytes));
    base().copy_to_host(band, at, kGuardBytes, 0);
    std::size_t changed = 0, nearest = 0;
    for (std::size_t i = 0; i < kGuardBytes; ++i) {
      if (band[i] == kGuardByte) continue;
      const std::size_t distance = behind ? i : kGuardBytes - i;
      if (changed == 0 || distance < nearest) nearest = distance;
      ++changed;
    }
    if (changed == 0) continue;
    violations_.push_back(str_cat(changed, " bytes written ", behind ? "behind" : "before", " '",
                                  block.label, "' of ", block.bytes, " bytes, nearest ", nearest,
                                  " bytes away"));
    base().fill(at, kGuardByte, kGuardBytes, 0);  // said once
  }
}

void PoisonDriver::deallocate(void* p) noexcept {
  std::lock_guard lock(mutex_);
  const auto it = blocks_.find(p);
  if (it == blocks_.end()) {
    violations_.push_back("memory freed that was never allocated, or twice");
    return;
  }
  try {
    look_at(p, it->second);
  } catch (const Error& e) {
    violations_.push_back(
        str_cat("the guard bands of '", it->second.label, "' could not be read: ", e.what()));
  }
  blocks_.erase(it);
  base().deallocate(static_cast<char*>(p) - kGuardBytes);
}

std::vector<std::string> PoisonDriver::take_violations() {
  std::lock_guard lock(mutex_);
  for (const auto& [p, block] : blocks_) look_at(p, block);
  return std::exchange(violations_, {});
}

}  // namespace flame::conformance
