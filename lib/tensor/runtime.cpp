#include "lib/tensor/runtime.h"

#include "lib/core/error.h"
#include "lib/tensor/launch.h"

namespace flame {

Runtime::Runtime(std::shared_ptr<driver::Driver> driver, const DeviceOptions& options)
    : allow_tf32(options.allow_tf32),
      driver_(std::move(driver)),
      options_(options),
      allocator_(driver_, options.direct_allocator, options.memory_limit),
      seed_(options.seed) {}

Runtime::~Runtime() {
  for (const PendingFault& f : faults_) allocator_.deallocate(f.word, sizeof(FaultWord), f.stream);
  for (const auto& [stream, words] : tickets_) driver_->deallocate(words);
}

driver::KernelHandle Runtime::kernel(const KernelName& name) {
  {
    std::shared_lock lock(kernels_mutex_);
    if (auto it = kernels_.find(name); it != kernels_.end()) return it->second;
  }
  // Compiled outside the lock: two threads may both compile, one result is kept.
  const driver::KernelId id{std::string(name.file), name.expression};
  const driver::KernelHandle handle = driver_->load(driver_->compile(id), id);
  std::unique_lock lock(kernels_mutex_);
  return kernels_.try_emplace({id, name.expression.hash()}, handle).first->second;
}

Runtime::PhiloxSlice Runtime::take_random(std::uint64_t count) {
  std::lock_guard lock(random_mutex_);
  const PhiloxSlice slice{seed_, counter_};
  counter_ += count;
  return slice;
}

void Runtime::manual_seed(std::uint64_t seed) {
  std::lock_guard lock(random_mutex_);
  seed_ = seed;
  counter_ = 0;
}

void* Runtime::arm_fault(std::string what, driver::StreamHandle stream) {
  void* word = allocator_.allocate(sizeof(FaultWord), stream, "fault word");
  driver_->fill(word, 0, sizeof(FaultWord), stream);
  std::lock_guard lock(faults_mutex_);
  faults_.push_back({std::move(what), word, stream});
  return word;
}

void Runtime::check_faults() {
  std::vector<PendingFault> pending;
  {
    std::lock_guard lock(faults_mutex_);
    pending.swap(faults_);
  }
  std::string message;
  for (const PendingFault& f : pending) {
    FaultWord word{};
    driver_->copy_to_host(&word, f.word, sizeof word, f.stream);
    allocator_.deallocate(f.word, sizeof(FaultWord), f.stream);
    if (word.code && message.empty())
      message = str_cat(f.what, ": index ", word.value, " is out of range [0, ", word.limit,
                        ") at position ", word.position);
  }
  if (!message.empty()) throw IndexError(message);
}

// Not the allocator's memory: it is no tensor's, and lives as long as the device. A new stream may
// get the handle of one that is gone; all its kernels have ended, so that its words are zero.
void* Runtime::tickets(driver::StreamHandle stream) {
  constexpr std::size_t kBytes = kTickets * sizeof(std::uint32_t);
  std::lock_guard lock(tickets_mutex_);
  void*& words = tickets_[stream];
  if (words == nullptr) {
    void* const fresh = driver_->allocate(kBytes, "tickets");
    try {
      driver_->fill(fresh, 0, kBytes, stream);
    } catch (...) {
      driver_->deallocate(fresh);
      throw;
    }
    words = fresh;
  }
  return words;
}

void launch_kernel(const Device& device, const KernelName& kernel, driver::Dim3 grid,
                   driver::Dim3 block, unsigned shared_bytes, std::span<const driver::Arg> args,
                   bool early) {
  Runtime& runtime = device.runtime();
  const driver::KernelHandle handle = runtime.kernel(kernel);
  runtime.driver().launch(handle, {grid, block, shared_bytes, device.stream(), early}, args);
  if (!runtime.options().sync) return;
  try {
    runtime.driver().synchronize(device.stream());
  } catch (const Error& e) {
    throw DriverError(str_cat("kernel ", std::string(kernel.expression), " of ", kernel.file,
                              " failed (FLAME_SYNC): ", e.what()));
  }
}

}  // namespace flame
