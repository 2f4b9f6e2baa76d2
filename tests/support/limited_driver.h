// A driver with a budget of device memory, that counts what is asked of it.
#pragma once
#include <atomic>
#include <map>
#include <mutex>

#include "conformance/runner/forwarding_driver.h"
#include "lib/core/error.h"

namespace flame::test {

class LimitedDriver : public conformance::ForwardingDriver {
 public:
  LimitedDriver(std::shared_ptr<driver::Driver> base, std::size_t budget)
      : ForwardingDriver(std::move(base)), budget_(budget) {}

  void* allocate(std::size_t bytes, std::string_view label) override {
    std::lock_guard lock(mutex_);
    check<OutOfMemoryError>(used_ + bytes <= budget_, "limited driver: ", bytes, " bytes for ",
                            label, ", ", budget_ - used_, " left");
    void* p = ForwardingDriver::allocate(bytes, label);
    sizes_[p] = bytes;
    used_ += bytes;
    ++allocations;
    return p;
  }
  void deallocate(void* p) noexcept override {
    std::lock_guard lock(mutex_);
    used_ -= sizes_[p];
    sizes_.erase(p);
    ++deallocations;
    ForwardingDriver::deallocate(p);
  }
  std::size_t free_memory() override { return budget_ - used(); }
  driver::Image compile(const driver::KernelId& id) override {
    ++compilations;
    return ForwardingDriver::compile(id);
  }
  void launch(driver::KernelHandle kernel, const driver::Launch& how,
              std::span<const driver::Arg> args) override {
    ++launches;
    ForwardingDriver::launch(kernel, how, args);
  }

  std::size_t used() const {
    std::lock_guard lock(mutex_);
    return used_;
  }
  // Bytes of the driver's block that starts at p; 0 when there is none.
  std::size_t size_of_block(void* p) const {
    std::lock_guard lock(mutex_);
    const auto it = sizes_.find(p);
    return it == sizes_.end() ? 0 : it->second;
  }

  std::atomic<int> allocations{0}, deallocations{0}, compilations{0}, launches{0};

 private:
  mutable std::mutex mutex_;
  std::size_t budget_, used_ = 0;
  std::map<void*, std::size_t> sizes_;
};

}  // namespace flame::test
