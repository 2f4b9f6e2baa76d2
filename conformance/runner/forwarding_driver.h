// A driver that passes every call on. Decorators (poison, faults) override what they change.
#pragma once
#include "lib/driver/driver.h"

namespace flame::conformance {

class ForwardingDriver : public driver::Driver {
 public:
  explicit ForwardingDriver(std::shared_ptr<driver::Driver> base) : base_(std::move(base)) {}

  const driver::Info& info() const override { return base_->info(); }
  void* allocate(std::size_t bytes, std::string_view label) override {
    return base_->allocate(bytes, label);
  }
  void deallocate(void* p) noexcept override { base_->deallocate(p); }
  std::size_t free_memory() override { return base_->free_memory(); }
  void copy_to_device(void* to, const void* from, std::size_t bytes,
                      driver::StreamHandle s) override {
    base_->copy_to_device(to, from, bytes, s);
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes,
                    driver::StreamHandle s) override {
    base_->copy_to_host(to, from, bytes, s);
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes,
                      driver::StreamHandle s) override {
    base_->copy_on_device(to, from, bytes, s);
  }
  void fill(void* to, std::uint8_t byte, std::size_t bytes, driver::StreamHandle s) override {
    base_->fill(to, byte, bytes, s);
  }
  driver::StreamHandle create_stream() override { return base_->create_stream(); }
  void destroy_stream(driver::StreamHandle s) noexcept override { base_->destroy_stream(s); }
  void synchronize(driver::StreamHandle s) override { base_->synchronize(s); }
  driver::EventHandle create_event() override { return base_->create_event(); }
  void destroy_event(driver::EventHandle e) noexcept override { base_->destroy_event(e); }
  void record(driver::EventHandle e, driver::StreamHandle s) override { base_->record(e, s); }
  void wait(driver::StreamHandle s, driver::EventHandle e) override { base_->wait(s, e); }
  double elapsed_ms(driver::EventHandle from, driver::EventHandle to) override {
    return base_->elapsed_ms(from, to);
  }
  driver::Image compile(const driver::KernelId& id) override { return base_->compile(id); }
  driver::KernelHandle load(const driver::Image& image, const driver::KernelId& id) override {
    return base_->load(image, id);
  }
  void launch(driver::KernelHandle kernel, const driver::Launch& how,
              std::span<const driver::Arg> args) override {
    base_->launch(kernel, how, args);
  }
  driver::Blas* blas() override { return base_->blas(); }

 protected:
  driver::Driver& base() { return *base_; }

 private:
  std::shared_ptr<driver::Driver> base_;
};

}  // namespace flame::conformance
