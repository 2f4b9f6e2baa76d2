// Switching between the simulated threads of one OS thread.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace flame::sim {

struct Fiber {
  void* context = nullptr;  // where it left off
  std::byte* stack = nullptr;
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's
};

// The fibers of one OS thread: its own stack (`main`) and as many others as ever waited at once.
// Boost's C layer rather than boost::context::fiber: that one knows AddressSanitizer only when the
// library was built for it, which a distribution's is not.
class Fibers {
 public:
  using Body = void (*)(void* self);

  // Every fiber but main runs body(self), which must not return.
  Fibers(Body body, void* self) : body_(body), self_(self) {}
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  Fiber* main() { return &main_; }
  Fiber* current() const { return current_; }
  bool on_main() const { return current_ == &main_; }

  // One that is not in use. Its body starts at the first switch to it.
  Fiber* take();
  // The current one will be left by the next switch, with nothing on it that is still needed: from
  // its last switch it goes on as if freshly taken.
  void release(Fiber* fiber) { idle_.push_back(fiber); }
  // Returns when somebody switches back.
  void switch_to(Fiber* to);
  // From main: forgets what is on every stack.
  void abandon_all();

  // Of the current fiber, guard page below included.
  bool in_stack(std::size_t address) const;
  bool in_stack_guard(std::size_t address) const;

 private:
  void landed(Fiber* me, void* from_context, Fiber* from);
  void make(Fiber& fiber);
  friend struct FiberEntry;

  Body body_;
  void* self_;
  Fiber main_;
  Fiber *current_ = &main_, *target_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> all_;
  std::vector<Fiber*> idle_;
  const void* main_bottom_ = nullptr;  // AddressSanitizer's idea of the OS thread's stack
  std::size_t main_bytes_ = 0;
};

// Tells AddressSanitizer that what lay on [p, p + bytes) is gone.
void forget_stack(void* p, std::size_t bytes);

}  // namespace flame::sim
