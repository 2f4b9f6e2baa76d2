#include "lib/tensor/allocator.h"

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

Allocator::~Allocator() { empty_cache(); }

void* Allocator::take_cached(std::size_t bytes, driver::StreamHandle stream) {
  auto classes = cache_.find(stream);
  if (classes == cache_.end()) return nullptr;
  auto blocks = classes->second.find(bytes);
  if (blocks == classes->second.end() || blocks->second.empty()) return nullptr;
  void* p = blocks->second.back();
  blocks->second.pop_back();
  return p;
}

void* Allocator::take_new(std::size_t bytes, std::size_t asked, std::string_view label) {
  auto within_limit = [&] {
    return !limit_ || stats_.reserved + static_cast<std::int64_t>(bytes) <= limit_;
  };
  auto refuse = [&](const std::string& why) {
    throw OutOfMemoryError(str_cat("out of device memory: ", asked, " bytes for ", label, "; ",
                                   stats_.allocated, " in tensors, ", stats_.reserved,
                                   " reserved, ", why));
  };
  if (!within_limit()) empty_cache_locked();
  if (!within_limit()) refuse(str_cat("limit ", limit_, " (FLAME_MEM_LIMIT)"));
  try {
    return driver_->allocate(bytes, label);
  } catch (const OutOfMemoryError&) {
    empty_cache_locked();
  }
  try {
    return driver_->allocate(bytes, label);
  } catch (const OutOfMemoryError& e) {
    refuse(str_cat("device: ", e.what()));
  }
  return nullptr;
}

void* Allocator::allocate(std::size_t bytes, driver::StreamHandle stream, std::string_view label) {
  if (bytes == 0) return nullptr;
  const std::size_t take = direct_ ? bytes : size_class(bytes);
  std::lock_guard lock(mutex_);
  void* p = direct_ ? nullptr : take_cached(take, stream);
  if (!p) {
    p = take_new(take, bytes, label);
    stats_.reserved += static_cast<std::int64_t>(take);
  }
  live_.emplace(p, take);
  stats_.allocated += static_cast<std::int64_t>(take);
  stats_.peak = std::max(stats_.peak, stats_.allocated);
  ++stats_.live_blocks;
  ++stats_.total_allocations;
  return p;
}

void Allocator::deallocate(void* p, driver::StreamHandle stream) noexcept {
  if (!p) return;
  std::lock_guard lock(mutex_);
  const auto it = live_.find(p);
  if (it == live_.end()) return;  // not ours: nothing sane can be done in a destructor
  const std::size_t bytes = it->second;
  live_.erase(it);
  stats_.allocated -= static_cast<std::int64_t>(bytes);
  --stats_.live_blocks;
  if (direct_) {
    stats_.reserved -= static_cast<std::int64_t>(bytes);
    driver_->deallocate(p);
  } else {
    cache_[stream][bytes].push_back(p);
  }
}

MemoryStats Allocator::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void Allocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak = stats_.allocated;
}

void Allocator::empty_cache() {
  std::lock_guard lock(mutex_);
  empty_cache_locked();
}

void Allocator::empty_cache_locked() {
  for (auto& [stream, classes] : cache_)
    for (auto& [bytes, blocks] : classes)
      for (void* p : blocks) {
        driver_->deallocate(p);
        stats_.reserved -= static_cast<std::int64_t>(bytes);
      }
  cache_.clear();
}

}  // namespace flame
