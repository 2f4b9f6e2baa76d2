// One device's state: its driver, allocator, loaded kernels, random counter and pending faults.
#pragma once
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/tensor/allocator.h"
#include "lib/tensor/device.h"
#include "lib/tensor/launch.h"

namespace flame {

// What a kernel leaves in device memory when data is wrong; read at the next synchronisation.
// `code` 0: nothing happened. Kernels write it with report_fault() of kernels/fault.cuh.
struct FaultWord {
  unsigned long long code;  // 1: index out of range
  long long value, limit, position;
};

class Runtime {
 public:
  Runtime(std::shared_ptr<driver::Driver> driver, const DeviceOptions& options);
  ~Runtime();

  driver::Driver& driver() { return *driver_; }
  Allocator& allocator() { return allocator_; }
  const DeviceOptions& options() const { return options_; }
  std::atomic<bool> allow_tf32;

  // Compiled and loaded once for a spelling; safe from any thread.
  driver::KernelHandle kernel(const KernelName& name);

  // The next `count` numbers of the Philox sequence: the seed, and where they start.
  struct PhiloxSlice {
    std::uint64_t seed, offset;
  };
  PhiloxSlice take_random(std::uint64_t count);
  void manual_seed(std::uint64_t seed);

  // A zeroed FaultWord in device memory on `stream` for an op that may find bad data; it is looked
  // at by check_faults(), which throws IndexError "<what>: index 7 is out of range [0, 5)".
  void* arm_fault(std::string what, driver::StreamHandle stream);
  void check_faults();

  // kTickets 32-bit zeros in device memory for the kernels of `stream`: blocks count in one who of
  // them comes last, and leave it zero (kernels/reduce.cuh). Made once for a stream.
  static constexpr std::int64_t kTickets = 1024;
  void* tickets(driver::StreamHandle stream);

 private:
  struct PendingFault {
    std::string what;
    void* word;
    driver::StreamHandle stream;
  };
  std::shared_ptr<driver::Driver> driver_;
  DeviceOptions options_;
  Allocator allocator_;
  std::shared_mutex kernels_mutex_;
  // Found by what is known of a name that is not spelled out.
  struct LoadedName {
    driver::KernelId id;
    std::size_t hash;
  };
  struct HashName {
    using is_transparent = void;
    std::size_t operator()(const LoadedName& name) const { return name.hash; }
    std::size_t operator()(const KernelName& name) const { return name.expression.hash(); }
  };
  struct SameName {
    using is_transparent = void;
    bool operator()(const LoadedName& a, const LoadedName& b) const { return a.id == b.id; }
    bool operator()(const KernelName& a, const LoadedName& b) const {
      return a.expression.is(b.id.expression) && a.file == b.id.file;
    }
  };
  std::unordered_map<LoadedName, driver::KernelHandle, HashName, SameName> kernels_;
  std::mutex random_mutex_;
  std::uint64_t seed_ = 0, counter_ = 0;
  std::mutex faults_mutex_;
  std::vector<PendingFault> faults_;
  std::mutex tickets_mutex_;
  std::unordered_map<driver::StreamHandle, void*> tickets_;
};

}  // namespace flame
