// The simulated device's memory: allocations between guard pages, closed to the host, full of
// poison.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/sim/ledger.h"
#include "conformance/sim/options.h"
#include "conformance/sim/shadow.h"

namespace flame::sim {

// Fresh memory holds this word: a signalling NaN as float and bfloat16, a NaN as half, a huge int32
// (so that an index made of it traps). x86 arithmetic quiets it and keeps the rest, which tells
// "computed from unwritten" from "unwritten" in float32.
inline constexpr std::uint32_t kPoison = 0x7FA57FA5u;
// A second one of the same kind: what equals neither in two runs was written.
inline constexpr std::uint32_t kPoison2 = 0x7FB37FB3u;
inline constexpr std::uint32_t kQuietBit = 0x00400000u;

// Words of a range that still hold a pattern. Indices count 4-byte words from its start.
struct Scan {
  std::size_t words = 0;
  std::size_t unwritten = 0, first_unwritten = 0;  // equal to the pattern
  std::size_t tainted = 0, first_tainted = 0;      // float32 results computed from it
  bool clean() const { return unwritten == 0 && tainted == 0; }
};

struct Buffer {
  std::string label;
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
};

// The memory is mapped twice: the device view, whose protection changes, and the runtime's own
// view, always open, so that copies and checks need not touch protections. Thread-safe.
class Memory {
 public:
  // Throws OutOfMemoryError when the address space cannot be reserved.
  explicit Memory(const Options& options);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Throws OutOfMemoryError beyond options.memory_limit.
  std::uintptr_t allocate(std::size_t bytes, std::string_view label);
  // What was released. Throws DriverError for an address that is no live allocation, and after
  // releasing it, for one whose guard zones were written.
  Buffer release(std::uintptr_t address);

  std::size_t used() const;
  std::vector<Buffer> live() const;
  // The live allocation that holds all of [address, address + bytes), if any.
  std::optional<Buffer> find(std::uintptr_t address, std::size_t bytes) const;
  bool owns(std::uintptr_t address) const { return address - base_ < size_; }
  // "'x' + 12 (allocation of 100 bytes)", with "(freed)" for what was; for any address in owns().
  std::string describe(std::uintptr_t address) const;
  bool is_protected() const { return options_.protect; }

  // The runtime's own view of device memory. `what` names the caller: throws DriverError unless
  // the range lies in one live allocation.
  std::byte* view(std::uintptr_t address, std::size_t bytes, const std::string& what) const;
  void poison(std::uintptr_t address, std::size_t bytes, std::uint32_t pattern);
  Scan scan(std::uintptr_t address, std::size_t bytes, std::uint32_t pattern) const;

  // Launch window: between these two, device code opens what it touches (open_on_fault).
  void begin_launch();
  struct Touched {
    std::vector<BufferRef> reads, writes;
    std::vector<std::string> broken;  // guard zones written: "'x': byte 100 of 100 ..."
  };
  // Closes again and says what was touched. Guard zones are checked of what was written, and of the
  // allocations that hold the addresses in `passed` (where there is no protection to tell).
  Touched end_launch(std::span<const std::uintptr_t> passed);
  // From the signal handler: opens the allocation around `address` to a kernel's access. False:
  // there is none, this access is a fault.
  bool open_on_fault(std::uintptr_t address, bool write);
  // Every guard zone of live memory that was written to, and repairs it.
  std::vector<std::string> broken_guards();

  // Shadow state of [address, address + n) for the checker; nullptr out of bounds of live memory.
  Cell* cells(std::uintptr_t address, std::size_t bytes);
  void mark(std::uintptr_t address, std::size_t bytes, bool written);
  void copy_shadow(std::uintptr_t to, std::uintptr_t from, std::size_t bytes);

 private:
  enum class Mode : std::uint8_t { kClosed, kRead, kWrite };
  struct Block {
    std::uintptr_t user = 0, begin = 0,
                   end = 0;  // guard zones are [begin, user), [user+bytes, end)
    std::size_t bytes = 0;
    Mode mode = Mode::kClosed;
    std::string label;
    std::unique_ptr<Shadow> shadow;
  };
  using Blocks = std::map<std::uintptr_t, Block>;  // by begin

  std::uintptr_t place(std::size_t span);
  std::string describe_locked(std::uintptr_t address) const;
  const Block* holding(std::uintptr_t address) const;
  Block* holding(std::uintptr_t address);
  std::byte* alias(std::uintptr_t address) const { return view_ + (address - base_); }
  void protect(const Block& block, int protection) const;
  std::optional<std::string> broken_guard(const Block& block) const;
  void forget_dead(std::uintptr_t begin, std::uintptr_t end);

  const Options& options_;
  std::uintptr_t base_ = 0, next_ = 0;
  std::size_t size_ = 0, used_ = 0;
  std::byte* view_ = nullptr;
  int file_ = -1;
  mutable std::mutex mutex_;
  Blocks live_;
  std::map<std::uintptr_t, Buffer> dead_;  // by begin; the newest freed ones, for reports
  std::deque<std::uintptr_t> dead_order_;
  std::vector<Block*> opened_;
  bool launching_ = false;
};

}  // namespace flame::sim
