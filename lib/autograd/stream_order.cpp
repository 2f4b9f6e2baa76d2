#include "lib/autograd/stream_order.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/tensor/runtime.h"

namespace flame {
namespace {

void make_wait(driver::Driver& driver, driver::StreamHandle waiting, driver::StreamHandle first) {
  const driver::EventHandle event = driver.create_event();
  driver.record(event, first);
  driver.wait(waiting, event);
  driver.destroy_event(event);
}

}  // namespace

void StreamOrder::wait_for(const Tensor& tensor) {
  const Stream& other = tensor.device().stream_object();
  const bool known = std::any_of(others_.begin(), others_.end(),
                                 [&](const Stream& s) { return s.handle() == other.handle(); });
  if (known) return;
  others_.push_back(other);
  make_wait(device_.runtime().driver(), device_.stream(), other.handle());
}

StreamOrder::~StreamOrder() {
  for (const Stream& other : others_) {
    try {
      make_wait(device_.runtime().driver(), other.handle(), device_.stream());
    } catch (const Error&) {  // the device is lost: whoever synchronises next is told
    }
  }
}

}  // namespace flame
