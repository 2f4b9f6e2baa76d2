// A device as the user holds it: a cheap value, the device plus the stream that work is put on.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>

#include "lib/driver/driver.h"

namespace flame {

class Runtime;  // lib/tensor/runtime.h

// Bytes of device memory held through one device's allocator.
struct MemoryStats {
  std::int64_t allocated = 0;  // in live tensors
  std::int64_t peak = 0;       // most of `allocated` since reset_peak_memory(); so below
  std::int64_t reserved = 0;   // taken from the driver, cached blocks included
  std::int64_t peak_reserved = 0;
  std::int64_t live_blocks = 0;  // live allocations
  std::int64_t total_allocations = 0;
  std::int64_t driver_allocations = 0;  // the driver was asked; the rest came out of the cache
  std::int64_t trims = 0;               // cached blocks were given back to make room for another
  std::int64_t out_of_memory = 0;       // requests that failed all the same
};

// How a device behaves; defaults come from the environment (FLAME_* variables, see `flame info`).
struct DeviceOptions {
  bool direct_allocator = false;  // FLAME_ALLOCATOR=direct: every allocation goes to the driver
  bool sync = false;              // FLAME_SYNC=1: wait after every launch and name what failed
  bool allow_tf32 = false;        // FLAME_MATMUL_PRECISION=tf32
  bool own_blas = false;          // FLAME_BLAS=own: FLAME's matmul kernel instead of cuBLASLt
  bool tune_products = true;      // FLAME_MATMUL_TUNING=off: no timing of large products
  std::int64_t memory_limit = 0;  // FLAME_MEM_LIMIT in bytes; 0: none
  std::uint64_t seed = 0;         // FLAME_SEED
};
// Reads the environment. Throws ValueError for a value that a variable does not take.
DeviceOptions options_from_environment();

class Stream {
 public:
  driver::StreamHandle handle() const;  // 0: the default stream

 private:
  friend class Device;
  std::shared_ptr<struct StreamState> state_;
};

class Device {
 public:
  // The CUDA device `index`. Calls share one runtime while any tensor or Device of it lives.
  // Throws NoDeviceError: FLAME has no CPU fallback.
  static Device cuda(int index = 0);
  // A device over any driver (the conformance suite's simulator and faulty drivers).
  explicit Device(std::shared_ptr<driver::Driver> driver,
                  const DeviceOptions& options = options_from_environment());

  const driver::Info& info() const;
  std::string to_string() const;  // "cuda:0", "sim:0"

  // The same device with work put on `stream`. Tensors remember the stream they were made on; an
  // op that mixes streams orders them with events.
  Device on(const Stream& stream) const;
  Stream new_stream() const;
  driver::StreamHandle stream() const { return stream_.handle(); }
  const Stream& stream_object() const { return stream_; }

  // Waits for this stream, then throws what device code reported (IndexError of a gather).
  void synchronize() const;
  // Seeds rand, randn and randint, and restarts their counter.
  void manual_seed(std::uint64_t seed) const;

  MemoryStats memory_stats() const;
  void reset_peak_memory() const;
  // Gives cached blocks back to the driver, the largest first, until at most `keep` bytes of them
  // are left. Waits for the device.
  void trim_cache(std::int64_t keep) const;
  void empty_cache() const { trim_cache(0); }
  void set_allow_tf32(bool allow) const;

  Runtime& runtime() const { return *runtime_; }
  // Same device; the stream does not matter.
  bool operator==(const Device& other) const { return runtime_ == other.runtime_; }
  friend std::ostream& operator<<(std::ostream& out, const Device& device);

 private:
  std::shared_ptr<Runtime> runtime_;
  Stream stream_;
};

}  // namespace flame
