#include "conformance/sim/streams.h"

#include <utility>
#include <vector>

#include "conformance/sim/text.h"
#include "lib/core/error.h"

namespace flame::sim {

using driver::EventHandle;
using driver::StreamHandle;

// splitmix64; state 0 stays 0 and means: in order, and no more than is asked for.
std::uint64_t Streams::random() {
  std::uint64_t z = random_ += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  return z ^ z >> 31;
}

StreamHandle Streams::create_stream() {
  std::lock_guard lock(mutex_);
  queues_[next_handle_];
  return next_handle_++;
}

EventHandle Streams::create_event() {
  std::lock_guard lock(mutex_);
  events_[next_handle_];
  return next_handle_++;
}

void Streams::check_stream(StreamHandle stream, const char* what) const {
  std::lock_guard lock(mutex_);
  check<DriverError>(queues_.contains(stream), what, ": ", hex(stream), " is no live stream");
}

void Streams::check_event(EventHandle event, const char* what) const {
  std::lock_guard lock(mutex_);
  const auto e = events_.find(event);
  check<DriverError>(e != events_.end() && !e->second.destroyed, what, ": ", hex(event),
                     " is no live event");
}

void Streams::destroy_stream(StreamHandle stream) {
  std::lock_guard lock(mutex_);
  queues_.erase(stream);
}

// As on CUDA, streams that wait for it still do: it goes when it was reached.
void Streams::destroy_event(EventHandle event) {
  std::lock_guard lock(mutex_);
  EventState& e = events_[event];
  e.destroyed = true;
  if (e.done >= e.recorded) events_.erase(event);
}

void Streams::push(StreamHandle stream, std::function<void()> work) {
  std::lock_guard lock(mutex_);
  queues_[stream].push_back({std::move(work), 0, 0, false});
}

void Streams::record(EventHandle event, StreamHandle stream) {
  std::lock_guard lock(mutex_);
  EventState& e = events_[event];
  e.recorded = ++tickets_;
  e.stream = stream;
  queues_[stream].push_back({nullptr, event, e.recorded, true});
}

// Waiting for an event that was never recorded is no wait, as on CUDA.
void Streams::wait(StreamHandle stream, EventHandle event) {
  std::lock_guard lock(mutex_);
  const EventState& e = events_[event];
  if (e.recorded > e.done) queues_[stream].push_back({nullptr, event, e.recorded, false});
}

// An event that is gone was reached.
bool Streams::blocked(const Step& s) const {
  if (s.work || s.is_record) return false;
  const auto e = events_.find(s.event);
  return e != events_.end() && e->second.done < s.ticket;
}

bool Streams::step(StreamHandle stream) {
  std::function<void()> work;
  {
    std::lock_guard lock(mutex_);
    Queue& q = queues_[stream];
    if (q.empty() || blocked(q.front())) return false;
    const Step s = std::move(q.front());
    q.pop_front();
    if (s.is_record) {
      if (const auto e = events_.find(s.event); e != events_.end()) {
        e->second.done = s.ticket;
        e->second.when = Clock::now();
        if (e->second.destroyed && e->second.done >= e->second.recorded) events_.erase(e);
      }
    }
    work = s.work;
  }
  if (work) work();
  return true;
}

void Streams::force(StreamHandle stream) {
  for (;;) {
    StreamHandle next = stream;
    {
      std::lock_guard lock(mutex_);
      if (queues_[stream].empty()) return;
      if (const Step& s = queues_[stream].front(); blocked(s)) next = events_[s.event].stream;
      if (random_ != 0 && random() % 2 == 0) {
        auto any = queues_.begin();
        std::advance(any, static_cast<std::ptrdiff_t>(random() % queues_.size()));
        if (!any->second.empty()) next = any->first;
      }
    }
    // Whoever it waits for was recorded earlier, so following the waits comes to an end.
    while (!step(next)) {
      std::lock_guard lock(mutex_);
      const Queue& q = queues_[next];
      if (q.empty()) break;
      next = events_[q.front().event].stream;
    }
  }
}

void Streams::force_event(EventHandle event) {
  for (;;) {
    StreamHandle stream = 0;
    {
      std::lock_guard lock(mutex_);
      const EventState& e = events_[event];
      if (e.done >= e.recorded) return;
      stream = e.stream;
    }
    force(stream);
  }
}

void Streams::force_all() {
  std::vector<StreamHandle> all;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [stream, queue] : queues_) all.push_back(stream);
  }
  for (const StreamHandle s : all) force(s);
}

double Streams::elapsed_ms(EventHandle from, EventHandle to) {
  for (const EventHandle e : {from, to}) {
    {
      std::lock_guard lock(mutex_);
      check<DriverError>(events_[e].recorded != 0, "elapsed_ms: event ", hex(e),
                         " was never recorded");
    }
    force_event(e);
  }
  std::lock_guard lock(mutex_);
  return std::chrono::duration<double, std::milli>(events_[to].when - events_[from].when).count();
}

}  // namespace flame::sim
