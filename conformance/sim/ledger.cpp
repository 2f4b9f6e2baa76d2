#include "conformance/sim/ledger.h"

#include <utility>

namespace flame::sim {
namespace {

thread_local std::string_view current_op;

}  // namespace

const char* to_string(EventKind kind) {
  switch (kind) {
    case EventKind::kLaunch:
      return "launch";
    case EventKind::kCopyToDevice:
      return "copy_to_device";
    case EventKind::kCopyToHost:
      return "copy_to_host";
    case EventKind::kCopyOnDevice:
      return "copy_on_device";
    case EventKind::kFill:
      return "fill";
    case EventKind::kAllocate:
      return "allocate";
    case EventKind::kFree:
      return "free";
    case EventKind::kSynchronize:
      return "synchronize";
  }
  return "unknown";
}

OpScope::OpScope(std::string_view name) : before_(current_op), name_(name) { current_op = name_; }
OpScope::~OpScope() { current_op = before_; }
std::string_view OpScope::current() { return current_op; }

void Ledger::add(Event event) {
  if (!enabled()) return;
  event.op = OpScope::current();
  std::lock_guard lock(mutex_);
  if (events_.size() == capacity_) {
    events_.pop_front();
    ++dropped_;
  }
  events_.push_back(std::move(event));
}

std::vector<Event> Ledger::events() const {
  std::lock_guard lock(mutex_);
  return {events_.begin(), events_.end()};
}

Event Ledger::last(EventKind kind) const {
  std::lock_guard lock(mutex_);
  for (auto it = events_.rbegin(); it != events_.rend(); ++it)
    if (it->kind == kind) return *it;
  Event none;
  none.kind = kind;
  return none;
}

void Ledger::clear() {
  std::lock_guard lock(mutex_);
  events_.clear();
  dropped_ = 0;
}

std::size_t Ledger::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace flame::sim
