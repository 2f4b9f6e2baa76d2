// Whether ops record a graph. The only thread-local of the library.
#pragma once

namespace flame {

bool grad_enabled();

// No graph is recorded while one lives on this thread.
class NoGradGuard {
 public:
  NoGradGuard();
  ~NoGradGuard();
  NoGradGuard(const NoGradGuard&) = delete;
  NoGradGuard& operator=(const NoGradGuard&) = delete;

 private:
  bool before_;
};

}  // namespace flame
