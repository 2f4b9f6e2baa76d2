// Stream-ordered caching allocator: a freed block is reused by the stream that freed it without
// asking the driver. `direct` bypasses the cache, so that compute-sanitizer and the simulator see
// every tensor as an allocation of its own.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/driver/driver.h"
#include "lib/tensor/device.h"

namespace flame {

class Allocator {
 public:
  Allocator(std::shared_ptr<driver::Driver> driver, bool direct, std::int64_t limit);
  ~Allocator();

  // nullptr for 0 bytes. Throws OutOfMemoryError (after one try with an emptied cache) with the
  // request, what is in use and what the device has left; everything held stays valid.
  void* allocate(std::size_t bytes, driver::StreamHandle stream, std::string_view label);
  void deallocate(void* p, driver::StreamHandle stream) noexcept;

  MemoryStats stats() const;
  void reset_peak();
  void empty_cache();

 private:
  struct Block {
    std::size_t bytes;
    driver::StreamHandle stream;
  };
  void* take_cached(std::size_t bytes, driver::StreamHandle stream);
  void* take_new(std::size_t bytes, std::size_t asked, std::string_view label);
  void empty_cache_locked();

  std::shared_ptr<driver::Driver> driver_;
  bool direct_;
  std::int64_t limit_;
  mutable std::mutex mutex_;
  MemoryStats stats_;
  std::unordered_map<void*, std::size_t> live_;  // rounded bytes
  // Per stream, size class -> free blocks. A block goes only to a request of its own class.
  std::map<driver::StreamHandle, std::map<std::size_t, std::vector<void*>>> cache_;
};

}  // namespace flame
