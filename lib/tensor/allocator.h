// Stream-ordered caching allocator: a freed block is reused by the stream that freed it without
// asking the driver. `direct` bypasses the cache, so that compute-sanitizer and the simulator see
// every tensor as an allocation of its own.
#pragma once
#include <cstdint>
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

  // nullptr for 0 bytes. Where the limit or the device has no room, cached blocks are given back to
  // make it; throws OutOfMemoryError with the request, what is in use and what the device has left
  // when that does not help. Everything held stays valid.
  void* allocate(std::size_t bytes, driver::StreamHandle stream, std::string_view label);
  // `bytes`: as asked for.
  void deallocate(void* p, std::size_t bytes, driver::StreamHandle stream) noexcept;

  MemoryStats stats() const;
  void reset_peak();
  // Gives cached blocks back, the largest first, until at most `keep` bytes of them are left.
  void trim(std::int64_t keep = 0);

 private:
  // Blocks that are interchangeable: a freed one goes only to a request of its own class.
  struct Class {
    std::size_t bytes;
    driver::StreamHandle stream;
    bool operator==(const Class&) const = default;
  };
  struct HashClass {
    std::size_t operator()(const Class& c) const { return c.bytes ^ c.stream << 1; }
  };
  void* take_cached(const Class& of);
  void* take_new(std::size_t bytes, std::size_t asked, std::string_view label);
  void trim_locked(std::int64_t keep);

  std::shared_ptr<driver::Driver> driver_;
  bool direct_;
  std::int64_t limit_;
  mutable std::mutex mutex_;
  MemoryStats stats_;
  std::unordered_map<Class, std::vector<void*>, HashClass> cache_;  // the last freed last
};

}  // namespace flame
