// A device that does nothing at all: what is left is FLAME's own cost on the host.
#pragma once
#include <cstdlib>

#include "lib/driver/driver.h"

namespace flame::test {

class NullDriver : public driver::Driver {
 public:
  const driver::Info& info() const override { return info_; }
  void* allocate(std::size_t bytes, std::string_view) override {
    ++allocations;
    return std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  }
  void deallocate(void* p) noexcept override { std::free(p); }
  std::size_t free_memory() override { return info_.total_memory; }
  void copy_to_device(void*, const void*, std::size_t, driver::StreamHandle) override {}
  void copy_to_host(void*, const void*, std::size_t, driver::StreamHandle) override {}
  void copy_on_device(void*, const void*, std::size_t, driver::StreamHandle) override {}
  void fill(void*, std::uint8_t, std::size_t, driver::StreamHandle) override {}
  driver::StreamHandle create_stream() override { return ++handles_; }
  void destroy_stream(driver::StreamHandle) noexcept override {}
  void synchronize(driver::StreamHandle) override {}
  driver::EventHandle create_event() override { return ++handles_; }
  void destroy_event(driver::EventHandle) noexcept override {}
  void record(driver::EventHandle, driver::StreamHandle) override {}
  void wait(driver::StreamHandle, driver::EventHandle) override {}
  double elapsed_ms(driver::EventHandle, driver::EventHandle) override { return 0; }
  driver::Image compile(const driver::KernelId&) override {
    ++compilations;
    return {};
  }
  driver::KernelHandle load(const driver::Image&, const driver::KernelId&) override {
    return ++handles_;
  }
  void launch(driver::KernelHandle, const driver::Launch&, std::span<const driver::Arg>) override {
    ++launches;
  }

  int launches = 0, allocations = 0, compilations = 0;

 private:
  driver::Info info_{.kind = driver::Kind::kSimulated,
                     .name = "null",
                     .arch = "sm_90a",
                     .compute_major = 9,
                     .multiprocessors = 132,
                     .total_memory = std::size_t{1} << 37,
                     .l2_bytes = std::size_t{50} << 20,
                     .max_shared_bytes = 227 << 10};
  std::uintptr_t handles_ = 0;
};

}  // namespace flame::test
