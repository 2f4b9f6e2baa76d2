// longjmp-like switches confuse fortified libc functions.
#undef _FORTIFY_SOURCE
#include "conformance/sim/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>

#include "lib/core/error.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace flame::sim {
namespace {

namespace context = boost::context::detail;
constexpr std::size_t kPage = 4096;
// Sanitizers and unoptimised kernels need several times the stack.
constexpr std::size_t kStackBytes = std::size_t(256) << 10;

}  // namespace

void forget_stack([[maybe_unused]] void* p, [[maybe_unused]] std::size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(p, bytes);
#endif
}

struct FiberEntry {
  // The fiber was told through target_ of the Fibers object whose fiber jumped here.
  static void start(context::transfer_t t) {
    auto* fibers = static_cast<Fibers*>(t.data);
    Fiber* me = fibers->target_;
    fibers->landed(me, t.fctx, fibers->current_);
    fibers->body_(fibers->self_);
  }
};

Fibers::~Fibers() {
  for (auto& f : all_) munmap(f->stack - kPage, kStackBytes + kPage);
}

void Fibers::make(Fiber& f) {
  f.fake_stack = nullptr;
  f.context = context::make_fcontext(f.stack + f.stack_bytes, f.stack_bytes, &FiberEntry::start);
}

Fiber* Fibers::take() {
  if (idle_.empty()) {
    void* p = mmap(nullptr, kStackBytes + kPage, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check<OutOfMemoryError>(p != MAP_FAILED, "simulated device: no stack for fiber ", all_.size());
    mprotect(p, kPage, PROT_NONE);
    forget_stack(p, kStackBytes + kPage);  // another stack may have been there
    Fiber& f = *all_.emplace_back(std::make_unique<Fiber>());
    f.stack = static_cast<std::byte*>(p) + kPage;
    // Coloured: stacks at equal offsets from a page would share cache sets.
    f.stack_bytes = kStackBytes - all_.size() % 61 * 320;
    make(f);
    return &f;
  }
  Fiber* f = idle_.back();
  idle_.pop_back();
  return f;
}

void Fibers::switch_to(Fiber* to) {
  Fiber* from = current_;
  target_ = to;
#ifdef __SANITIZE_ADDRESS__
  const bool home = to == &main_;
  __sanitizer_start_switch_fiber(&from->fake_stack, home ? main_bottom_ : to->stack,
                                 home ? main_bytes_ : to->stack_bytes);
#endif
  const context::transfer_t t = context::jump_fcontext(to->context, this);
  landed(from, t.fctx, current_);
}

void Fibers::landed(Fiber* me, void* from_context, Fiber* from) {
  from->context = from_context;
  current_ = me;
#ifdef __SANITIZE_ADDRESS__
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(me->fake_stack, &bottom, &bytes);
  if (from == &main_) {
    main_bottom_ = bottom;
    main_bytes_ = bytes;
  }
#endif
}

void Fibers::abandon_all() {
  idle_.clear();
  for (auto& f : all_) {
    forget_stack(f->stack, kStackBytes);
    make(*f);
    idle_.push_back(f.get());
  }
}

bool Fibers::in_stack(std::size_t address) const {
  const auto bottom = reinterpret_cast<std::size_t>(current_->stack);
  return !on_main() && address >= bottom && address < bottom + kStackBytes;
}

bool Fibers::in_stack_guard(std::size_t address) const {
  const auto bottom = reinterpret_cast<std::size_t>(current_->stack);
  return !on_main() && address < bottom && address >= bottom - kPage;
}

}  // namespace flame::sim
