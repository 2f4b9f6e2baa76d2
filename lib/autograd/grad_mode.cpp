#include "lib/autograd/grad_mode.h"

namespace flame {
namespace {
thread_local bool enabled = true;
}

bool grad_enabled() { return enabled; }
NoGradGuard::NoGradGuard() : before_(enabled) { enabled = false; }
NoGradGuard::~NoGradGuard() { enabled = before_; }

}  // namespace flame
