#include "lib/tensor/allocator.h"

#include <algorithm>
#include <bit>

#include "lib/core/error.h"

namespace flame {
namespace {

constexpr std::size_t kSmall = 512;
constexpr std::size_t kLarge = std::size_t{1} << 20;

// Size classes: powers of two and three quarters of them up to 1 MiB (at most a third wasted), then
// multiples of 1 MiB, so that a large tensor costs what it holds.
std::size_t size_class(std::size_t bytes) {
  if (bytes <= kSmall) return kSmall;
  if (bytes > kLarge) return (bytes + kLarge - 1) / kLarge * kLarge;
  const std::size_t up = std::bit_ceil(bytes);
  return bytes <= up / 4 * 3 ? up / 4 * 3 : up;
}

}  // namespace

Allocator::Allocator(std::shared_ptr<driver::Driver> driver, bool direct, std::int64_t limit)
    : driver_(std::move(driver)), direct_(direct), limit_(limit) {}

Allocator::~Allocator() { trim(); }

void* Allocator::take_cached(const Class& of) {
  const auto blocks = cache_.find(of);
  if (blocks == cache_.end() || blocks->second.empty()) return nullptr;
  void* p = blocks->second.back();
  blocks->second.pop_back();
  return p;
}

void* Allocator::take_new(std::size_t bytes, std::size_t asked, std::string_view label) {
  const auto taken = static_cast<std::int64_t>(bytes);
  auto refuse = [&](const std::string& why) {
    ++stats_.out_of_memory;
    throw OutOfMemoryError(str_cat("out of device memory: ", asked, " bytes for ", label, "; ",
                                   stats_.allocated, " in tensors, ", stats_.reserved,
                                   " reserved, ", why));
  };
  if (limit_ && taken > limit_ - stats_.reserved) {
    if (taken > limit_ - stats_.allocated) refuse(str_cat("limit ", limit_, " (FLAME_MEM_LIMIT)"));
    ++stats_.trims;
    trim_locked(limit_ - stats_.allocated - taken);
  }
  void* p = nullptr;
  try {
    p = driver_->allocate(bytes, label);
  } catch (const OutOfMemoryError&) {
    ++stats_.trims;
    trim_locked(0);
  }
  try {
    if (!p) p = driver_->allocate(bytes, label);
  } catch (const OutOfMemoryError& e) {
    refuse(str_cat("device: ", e.what()));
  }
  ++stats_.driver_allocations;
  stats_.reserved += taken;
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  return p;
}

void* Allocator::allocate(std::size_t bytes, driver::StreamHandle stream, std::string_view label) {
  if (bytes == 0) return nullptr;
  const std::size_t take = direct_ ? bytes : size_class(bytes);
  std::lock_guard lock(mutex_);
  void* p = direct_ ? nullptr : take_cached({take, stream});
  if (!p) p = take_new(take, bytes, label);
  stats_.allocated += static_cast<std::int64_t>(take);
  stats_.peak = std::max(stats_.peak, stats_.allocated);
  ++stats_.live_blocks;
  ++stats_.total_allocations;
  return p;
}

void Allocator::deallocate(void* p, std::size_t bytes, driver::StreamHandle stream) noexcept {
  if (!p) return;
  const std::size_t taken = direct_ ? bytes : size_class(bytes);
  std::lock_guard lock(mutex_);
  stats_.allocated -= static_cast<std::int64_t>(taken);
  --stats_.live_blocks;
  if (direct_) {
    stats_.reserved -= static_cast<std::int64_t>(taken);
    driver_->deallocate(p);
  } else {
    cache_[{taken, stream}].push_back(p);
  }
}

MemoryStats Allocator::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void Allocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak = stats_.allocated;
  stats_.peak_reserved = stats_.reserved;
}

void Allocator::trim(std::int64_t keep) {
  std::lock_guard lock(mutex_);
  trim_locked(keep);
}

void Allocator::trim_locked(std::int64_t keep) {
  std::vector<Class> by_size;
  for (const auto& [of, blocks] : cache_) by_size.push_back(of);
  std::sort(by_size.begin(), by_size.end(),
            [](const Class& a, const Class& b) { return a.bytes > b.bytes; });
  for (const Class& of : by_size) {
    std::vector<void*>& blocks = cache_[of];
    while (!blocks.empty() && stats_.reserved - stats_.allocated > keep) {
      driver_->deallocate(blocks.back());
      blocks.pop_back();
      stats_.reserved -= static_cast<std::int64_t>(of.bytes);
    }
    if (blocks.empty()) cache_.erase(of);
  }
}

}  // namespace flame
