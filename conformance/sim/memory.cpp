#include "conformance/sim/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "conformance/sim/text.h"
#include "lib/core/error.h"

namespace flame::sim {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kGuard = 64;  // bytes before and after an allocation that are always checked
constexpr std::size_t kRememberFreed = 1 << 14;

// Guard zones read as NaN in every element type wider than a byte, so that a read past the end
// shows.
std::byte canary(std::uintptr_t address) { return std::byte(address & 1 ? 0x7F : 0xCB); }

std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

}  // namespace

Memory::Memory(const Options& options) : options_(options) {
  check<ValueError>(
      options.align >= 16 && options.align <= kPage && (options.align & (options.align - 1)) == 0,
      "simulated device: align must be a power of two from 16 to 4096, got ", options.align);
  file_ = memfd_create("flame-sim", MFD_CLOEXEC);
  check<OutOfMemoryError>(file_ >= 0, "simulated device: no memory file: ", std::strerror(errno));
  // Addresses are handed out once, so that use after free traps: reserve far more than is used.
  const int access = options.protect ? PROT_NONE : PROT_READ | PROT_WRITE;
  for (size_ = std::size_t(1) << 40; size_ >= std::size_t(1) << 30; size_ /= 4) {
    if (ftruncate(file_, static_cast<off_t>(size_)) != 0) continue;
    void* device = mmap(nullptr, size_, access, MAP_SHARED | MAP_NORESERVE, file_, 0);
    void* view = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
    if (device != MAP_FAILED && view != MAP_FAILED) {
      madvise(device, size_, MADV_DONTDUMP);
      madvise(view, size_, MADV_DONTDUMP);
      base_ = next_ = reinterpret_cast<std::uintptr_t>(device);
      view_ = static_cast<std::byte*>(view);
      return;
    }
    if (device != MAP_FAILED) munmap(device, size_);
    if (view != MAP_FAILED) munmap(view, size_);
  }
  close(file_);
  throw OutOfMemoryError("simulated device: cannot reserve 1 GiB of address space");
}

Memory::~Memory() {
  munmap(reinterpret_cast<void*>(base_), size_);
  munmap(view_, size_);
  close(file_);
}

// A free stretch of `span` bytes: after the last one, or, once the reservation has been used up,
// the first gap between live allocations.
std::uintptr_t Memory::place(std::size_t span) {
  if (next_ + span <= base_ + size_) {
    next_ += span;
    return next_ - span;
  }
  std::uintptr_t at = base_;
  for (const auto& [begin, block] : live_) {
    if (begin >= at + span) break;
    at = block.end;
  }
  check<OutOfMemoryError>(at + span <= base_ + size_, "simulated device: no room for ", span,
                          " bytes in its address space");
  forget_dead(at, at + span);
  return at;
}

void Memory::forget_dead(std::uintptr_t begin, std::uintptr_t end) {
  auto it = dead_.lower_bound(begin);
  while (it != dead_.end() && it->first < end) it = dead_.erase(it);
}

std::uintptr_t Memory::allocate(std::size_t bytes, std::string_view label) {
  std::lock_guard lock(mutex_);
  check<OutOfMemoryError>(bytes <= options_.memory_limit && used_ <= options_.memory_limit - bytes,
                          "out of memory on the simulated device: ", bytes, " bytes for '", label,
                          "', ", options_.memory_limit - std::min(used_, options_.memory_limit),
                          " of ", options_.memory_limit, " free");
  Block b;
  b.bytes = bytes;
  b.label = label;
  const std::size_t span = round_up(std::max<std::size_t>(bytes, 1), options_.align);
  if (options_.protect) {
    // A closed page, then whole pages that the allocation ends flush with.
    const std::size_t pages = round_up(span, kPage);
    b.begin = place(kPage + pages) + kPage;
    b.end = b.begin + pages;
    b.user = b.end - span;
  } else {
    const std::size_t front = round_up(kGuard, options_.align);
    b.begin = place(front + span + front);
    b.user = b.begin + front;
    b.end = b.user + span + front;
    b.mode = Mode::kWrite;
  }
  const std::uintptr_t guard = std::max(b.begin, b.user - kGuard);
  for (auto a = guard; a < b.user; ++a) *alias(a) = canary(a);
  for (auto a = b.user + bytes; a < b.end; ++a) *alias(a) = canary(a);
  for (std::size_t i = 0; i < bytes; i += 4)
    std::memcpy(alias(b.user + i), &kPoison, std::min<std::size_t>(4, bytes - i));
  if (kInstrumented) b.shadow = std::make_unique<Shadow>(bytes);
  used_ += bytes;
  const std::uintptr_t user = b.user;
  live_.emplace(b.begin, std::move(b));
  return user;
}

Buffer Memory::release(std::uintptr_t address) {
  std::lock_guard lock(mutex_);
  const Block* found = holding(address);
  check<DriverError>(found && found->user == address, "free of ", hex(address),
                     ", which is no live allocation",
                     owns(address) ? ": " + describe_locked(address) : std::string());
  Block b = std::move(live_.extract(found->begin).mapped());
  const auto broken = broken_guard(b);
  used_ -= b.bytes;
  Buffer buffer{b.label, b.user, b.bytes};
  if (options_.protect) {
    // The pages go back, the addresses stay closed: use after free traps too.
    fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              static_cast<off_t>(b.begin - base_), static_cast<off_t>(b.end - b.begin));
  } else {
    for (std::size_t i = 0; i < b.bytes; i += 4)
      std::memcpy(alias(b.user + i), &kPoison, std::min<std::size_t>(4, b.bytes - i));
    const auto first = round_up(b.begin, kPage), last = b.end / kPage * kPage;
    if (last > first)
      fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(first - base_), static_cast<off_t>(last - first));
  }
  if (dead_order_.size() == kRememberFreed) {
    dead_.erase(dead_order_.front());
    dead_order_.pop_front();
  }
  dead_order_.push_back(b.begin);
  dead_[b.begin] = buffer;
  if (broken) throw DriverError("found when it was freed: " + *broken);
  return buffer;
}

const Memory::Block* Memory::holding(std::uintptr_t address) const {
  auto it = live_.upper_bound(address);
  if (it == live_.begin()) return nullptr;
  const Block& b = std::prev(it)->second;
  return address < b.end ? &b : nullptr;
}
Memory::Block* Memory::holding(std::uintptr_t address) {
  return const_cast<Block*>(std::as_const(*this).holding(address));
}

std::size_t Memory::used() const {
  std::lock_guard lock(mutex_);
  return used_;
}

std::vector<Buffer> Memory::live() const {
  std::lock_guard lock(mutex_);
  std::vector<Buffer> out;
  for (const auto& [begin, b] : live_) out.push_back({b.label, b.user, b.bytes});
  return out;
}

std::optional<Buffer> Memory::find(std::uintptr_t address, std::size_t bytes) const {
  std::lock_guard lock(mutex_);
  const Block* b = holding(address);
  if (!b || address < b->user || bytes > b->bytes || address - b->user > b->bytes - bytes)
    return std::nullopt;
  return Buffer{b->label, b->user, b->bytes};
}

std::byte* Memory::view(std::uintptr_t address, std::size_t bytes, const std::string& what) const {
  const bool inside = owns(address) && find(address, bytes).has_value();
  if (inside) return alias(address);
  std::string where = "which is no device memory";
  if (owns(address)) {
    std::lock_guard lock(mutex_);
    where = describe_locked(address);
  }
  throw DriverError(str_cat(what, " of ", bytes, " bytes at ", hex(address), " leaves ", where));
}

void Memory::poison(std::uintptr_t address, std::size_t bytes, std::uint32_t pattern) {
  std::byte* p = view(address, bytes, "poison");
  for (std::size_t i = 0; i < bytes; i += 4)
    std::memcpy(p + i, &pattern, std::min<std::size_t>(4, bytes - i));
  mark(address, bytes, false);
}

Scan Memory::scan(std::uintptr_t address, std::size_t bytes, std::uint32_t pattern) const {
  const std::byte* p = view(address, bytes, "scan");
  Scan s;
  s.words = bytes / 4;
  for (std::size_t i = 0; i < s.words; ++i) {
    std::uint32_t w;
    std::memcpy(&w, p + 4 * i, 4);
    if (w == pattern && s.unwritten++ == 0) s.first_unwritten = i;
    if (w == (pattern | kQuietBit) && s.tainted++ == 0) s.first_tainted = i;
  }
  return s;
}

std::string Memory::describe(std::uintptr_t address) const {
  std::lock_guard lock(mutex_);
  return describe_locked(address);
}

std::string Memory::describe_locked(std::uintptr_t address) const {
  // The nearest allocation, live or freed, that the address lies in or just beside.
  const auto distance = [&](std::uintptr_t begin, std::size_t bytes) -> std::size_t {
    if (address < begin) return begin - address;
    return address < begin + bytes ? 0 : address - (begin + bytes) + 1;
  };
  std::size_t best = ~std::size_t(0);
  std::string text = "no allocation";
  const auto offer = [&](const std::string& label, std::uintptr_t user, std::size_t bytes,
                         bool freed) {
    const std::size_t d = distance(user, bytes);
    if (d >= best || d > 16 * kPage) return;
    best = d;
    const auto offset = static_cast<std::ptrdiff_t>(address - user);
    text = str_cat("'", label, "'", freed ? " (freed)" : "", offset < 0 ? " - " : " + ",
                   offset < 0 ? -offset : offset, " (allocation of ", bytes, " bytes)");
  };
  auto it = live_.upper_bound(address);
  if (it != live_.end()) offer(it->second.label, it->second.user, it->second.bytes, false);
  if (it != live_.begin()) {
    const Block& b = std::prev(it)->second;
    offer(b.label, b.user, b.bytes, false);
  }
  auto dead = dead_.upper_bound(address);
  if (dead != dead_.begin()) {
    const Buffer& b = std::prev(dead)->second;
    if (distance(b.address, b.bytes) == 0) best = ~std::size_t(0);
    offer(b.label, b.address, b.bytes, true);
  }
  return text;
}

std::optional<std::string> Memory::broken_guard(const Block& b) const {
  std::optional<std::string> first;
  const auto look = [&](std::uintptr_t from, std::uintptr_t to) {
    for (auto a = from; a < to; ++a) {
      if (*alias(a) == canary(a)) continue;
      *alias(a) = canary(a);
      if (!first)
        first = str_cat("wrote ", a < b.user ? "before the start" : "past the end", " of '",
                        b.label, "': byte ", static_cast<std::ptrdiff_t>(a - b.user),
                        " of an allocation of ", b.bytes, " bytes");
    }
  };
  look(std::max(b.begin, b.user - kGuard), b.user);
  look(b.user + b.bytes, b.end);
  return first;
}

std::vector<std::string> Memory::broken_guards() {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [begin, b] : live_)
    if (auto broken = broken_guard(b)) out.push_back(*broken);
  return out;
}

Cell* Memory::cells(std::uintptr_t address, std::size_t bytes) {
  std::lock_guard lock(mutex_);
  Block* b = holding(address);
  if (!b || !b->shadow || address < b->user || address + bytes > b->user + b->bytes) return nullptr;
  return b->shadow->cells.data() + (address - b->user) / kGranule;
}

void Memory::mark(std::uintptr_t address, std::size_t bytes, bool written) {
  if (!kInstrumented || bytes == 0) return;
  Cell* c = cells(address, bytes);
  for (std::size_t i = 0; c && i < granules(address, bytes); ++i) {
    const unsigned mask = granule_mask(address, bytes, i), before = c[i].initialised;
    c[i].initialised = static_cast<std::uint8_t>(written ? before | mask : before & ~mask);
  }
}

void Memory::copy_shadow(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) {
  if (!kInstrumented || bytes == 0) return;
  Cell* t = cells(to, bytes);
  const Cell* f = cells(from, bytes);
  if (!t || !f) return;
  std::vector<bool> known(bytes);  // first all of them: the ranges may overlap
  for (std::size_t i = 0; i < bytes; ++i) {
    const std::size_t at = from % kGranule + i;
    known[i] = f[at / kGranule].initialised >> at % kGranule & 1;
  }
  for (std::size_t i = 0; i < bytes; ++i) {
    const std::size_t at = to % kGranule + i;
    const unsigned bit = 1u << at % kGranule, before = t[at / kGranule].initialised;
    t[at / kGranule].initialised =
        static_cast<std::uint8_t>(known[i] ? before | bit : before & ~bit);
  }
}

// -- launches --

void Memory::protect(const Block& b, int protection) const {
  mprotect(reinterpret_cast<void*>(b.begin), b.end - b.begin, protection);
}

void Memory::begin_launch() {
  std::lock_guard lock(mutex_);
  launching_ = true;
}

bool Memory::open_on_fault(std::uintptr_t address, bool write) {
  std::lock_guard lock(mutex_);
  if (!launching_ || !options_.protect) return false;
  Block* b = holding(address);
  if (!b) return false;
  const Mode want = write ? Mode::kWrite : Mode::kRead;
  if (b->mode >= want) return true;  // another thread of this launch was quicker
  if (b->mode == Mode::kClosed) opened_.push_back(b);
  b->mode = want;
  protect(*b, write ? PROT_READ | PROT_WRITE : PROT_READ);
  return true;
}

Memory::Touched Memory::end_launch(std::span<const std::uintptr_t> passed) {
  std::lock_guard lock(mutex_);
  launching_ = false;
  Touched t;
  const auto look = [&](const Block& b) {
    if (auto broken = broken_guard(b)) t.broken.push_back(*broken);
  };
  for (Block* b : opened_) {
    if (b->mode == Mode::kWrite) look(*b);
    (b->mode == Mode::kWrite ? t.writes : t.reads).push_back({b->label, b->user, b->bytes});
    protect(*b, PROT_NONE);
    b->mode = Mode::kClosed;
  }
  opened_.clear();
  for (const std::uintptr_t address : passed)
    if (const Block* b = holding(address)) look(*b);
  return t;
}

}  // namespace flame::sim
