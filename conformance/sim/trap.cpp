#undef _FORTIFY_SOURCE
#include "conformance/sim/trap.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>

#include "conformance/sim/executor.h"
#include "conformance/sim/memory.h"
#include "conformance/sim/source_line.h"
#include "conformance/sim/text.h"
#include "lib/core/error.h"

namespace flame::sim {
namespace {

constexpr std::size_t kMaxArenas = 256;
std::array<std::atomic<Memory*>, kMaxArenas> arenas;

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[65];

// What the handler saw, for leave_kernel().
struct Trap {
  int signal = 0, code = 0;
  std::uintptr_t address = 0;
  bool write = false;
  const void* pc = nullptr;
};
constinit thread_local Trap trap;

Memory* arena_of(std::uintptr_t address) {
  for (auto& slot : arenas) {
    Memory* m = slot.load(std::memory_order_acquire);
    if (m && m->owns(address)) return m;
  }
  return nullptr;
}

std::string place_of(Executor& e, std::uintptr_t address) {
  const auto dynamic_end =
      reinterpret_cast<std::uintptr_t>(e.dynamic_begin()) + Executor::kDynamicBytes;
  const auto dynamic = reinterpret_cast<std::uintptr_t>(e.dynamic_shared());
  if (address >= dynamic_end && address < dynamic_end + 4096)
    return str_cat("dynamic shared memory + ", address - dynamic, ", of ", e.grid().dynamic_bytes,
                   " bytes");
  if (e.fibers().in_stack_guard(address)) return "past the end of the thread's stack";
  if (const Memory* m = arena_of(address))
    return (m == e.grid().memory ? "" : "another device's ") + m->describe(address);
  return "an address that is no device memory";
}

void report_trap(Executor& e, const Trap& t) {
  std::string what;
  if (t.signal == SIGFPE) {
    what = "integer division by zero";
  } else if (t.signal == SIGILL) {
    what = "misaligned access, or code that must not be reached";
  } else if (t.code == SI_KERNEL) {
    what = "access to an address that is not aligned for its vector type, or not canonical";
  } else {
    what = str_cat("invalid ", t.write ? "write to " : "read of ", hex(t.address), " = ",
                   place_of(e, t.address));
  }
  e.report(str_cat(e.who(), ": ", what, source_line(t.pc)));
}

// Runs on the faulting device thread's stack in place of the instruction that trapped: an ordinary
// switch to the launch, no jump between stacks.
[[gnu::noinline]] void leave_kernel() {
  Executor& e = *Executor::existing();
  if constexpr (kInstrumented) e.checker().listen(false);
  report_trap(e, trap);
  e.leave();
}

void say(const std::string& text) {
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
}

void pass_on(int signal, siginfo_t* info, void* context) {
  const struct sigaction& old = previous[signal];
  if (old.sa_flags & SA_SIGINFO) return old.sa_sigaction(signal, info, context);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(signal);
  // Back to the instruction, which now ends the program the ordinary way.
  ::signal(signal, SIG_DFL);
}

void on_signal(int signal, siginfo_t* info, void* context) {
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const bool write = registers[REG_ERR] & 2;
  const bool memory_fault = signal == SIGSEGV || signal == SIGBUS;
  Executor* e = Executor::existing();
  if (e && e->in_kernel()) {
    Memory* memory = e->grid().memory;
    if (memory_fault && memory->owns(address) && memory->open_on_fault(address, write)) return;
    trap = {signal, info->si_code, address, write,
            reinterpret_cast<const void*>(registers[REG_RIP])};
    // The stack is going to be abandoned: use it from the top, wherever the fault left it.
    Fiber* fiber = e->fibers().current();
    forget_stack(fiber->stack, fiber->stack_bytes);
    const auto top = reinterpret_cast<std::uintptr_t>(fiber->stack) + fiber->stack_bytes;
    registers[REG_RIP] = reinterpret_cast<greg_t>(&leave_kernel);
    registers[REG_RSP] = static_cast<greg_t>((top & ~std::uintptr_t(15)) - 8);
    return;
  }
  if (const Memory* m = memory_fault ? arena_of(address) : nullptr) {
    std::string text = str_cat("flame: the host ", write ? "wrote to" : "read", " device memory ",
                               hex(address), " = ", m->describe(address));
    if (!OpScope::current().empty()) text += str_cat(" during op '", OpScope::current(), "'");
    say(text + "\n");
    ::signal(SIGABRT, SIG_DFL);
    std::abort();
  }
  pass_on(signal, info, context);
}

// A stack overflow leaves no room for the handler on the stack that overflowed.
class AlternateStack {
 public:
  AlternateStack() : bytes_(std::make_unique<std::byte[]>(kBytes)) {
    stack_t stack{};
    stack.ss_sp = bytes_.get();
    stack.ss_size = kBytes;
    sigaltstack(&stack, &before_);
  }
  ~AlternateStack() { sigaltstack(&before_, nullptr); }
  AlternateStack(const AlternateStack&) = delete;
  AlternateStack& operator=(const AlternateStack&) = delete;

 private:
  static constexpr std::size_t kBytes = std::size_t(128) << 10;
  std::unique_ptr<std::byte[]> bytes_;
  stack_t before_{};
};

void install_handlers() {
  struct sigaction action {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int s : kSignals) sigaction(s, &action, &previous[s]);
}

}  // namespace

void add_arena(const Memory* memory) {
  static std::once_flag once;
  std::call_once(once, install_handlers);
  for (auto& slot : arenas) {
    Memory* expected = nullptr;
    if (slot.compare_exchange_strong(expected, const_cast<Memory*>(memory))) return;
  }
  throw OutOfMemoryError(str_cat("more than ", kMaxArenas, " simulated devices at once"));
}

void remove_arena(const Memory* memory) {
  for (auto& slot : arenas) {
    auto* expected = const_cast<Memory*>(memory);
    if (slot.compare_exchange_strong(expected, nullptr)) return;
  }
}

void install_traps() { thread_local const AlternateStack stack; }

}  // namespace flame::sim
