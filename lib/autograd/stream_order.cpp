#include "lib/autograd/stream_order.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/tensor/runtime.h"

namespace flame {
namespace {

void wait_for(driver::Driver& driver, driver::StreamHandle waiting, driver::StreamHandle first) {
  const driver::EventHandle event = driver.create_event();
  driver.record(event, first);
  driver.wait(waiting, event);
  driver.destroy_event(event);
}

}  // namespace

StreamOrder::StreamOrder(const Device& device, std::span<const Tensor> tensors) : device_(device) {
  for (const Tensor& t : tensors) {
    if (!t.defined() || t.device().stream() == device.stream()) continue;
    const Stream& other = t.device().stream_object();
    const bool known = std::any_of(others_.begin(), others_.end(),
                                   [&](const Stream& s) { return s.handle() == other.handle(); });
    if (known) continue;
    others_.push_back(other);
    wait_for(device.runtime().driver(), device.stream(), other.handle());
  }
}

StreamOrder::~StreamOrder() {
  for (const Stream& other : others_) {
    try {
      wait_for(device_.runtime().driver(), other.handle(), device_.stream());
    } catch (const Error&) {  // the device is lost: whoever synchronises next is told
    }
  }
}

}  // namespace flame
