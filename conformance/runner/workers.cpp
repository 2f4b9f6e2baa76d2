#include "conformance/runner/workers.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <vector>

#include "lib/core/error.h"

namespace flame::conformance {
namespace {

constexpr int kMaxJobs = 64;
constexpr std::uint64_t kHello = ~0ull, kNoDevice = ~0ull - 1, kStartFailed = ~0ull - 2;

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What parent and workers share: which item is next, and what each worker is on.
struct Shared {
  struct Slot {
    std::atomic<std::int64_t> item{-1};
    std::atomic<double> since{0};
  };
  std::atomic<std::size_t> next{0};
  Slot slots[kMaxJobs];
};

struct Unmap {
  void operator()(Shared* p) const { munmap(p, sizeof(Shared)); }
};

void write_all(int fd, const void* data, std::size_t bytes) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = write(fd, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(3);  // the parent is gone
    p += n;
    bytes -= std::size_t(n);
  }
}

void send(int fd, std::uint64_t tag, const std::string& text) {
  const std::uint64_t head[2] = {tag, text.size()};
  write_all(fd, head, sizeof head);
  write_all(fd, text.data(), text.size());
}

[[noreturn]] void worker_main(const Fleet& fleet, Shared& shared, Shared::Slot& slot, int fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::unique_ptr<Worker> worker;
  try {
    worker = fleet.start();
    send(fd, kHello, worker->hello());
  } catch (const NoDeviceError& e) {
    send(fd, kNoDevice, e.what());
    _exit(0);
  } catch (const std::exception& e) {
    send(fd, kStartFailed, e.what());
    _exit(0);
  }
  for (;;) {
    const std::size_t item = shared.next.fetch_add(1);
    if (item >= fleet.items) break;
    slot.since = now_s();
    slot.item = std::int64_t(item);
    send(fd, item, worker->run(item));
    slot.item = -1;
    if (!worker->healthy()) break;
  }
  // Device and threads go with the process: a driver that is broken must not hang its destructor.
  std::fflush(nullptr);
  _exit(0);
}

class Parent {
 public:
  Parent(const Fleet& fleet, Shared& shared) : fleet_(fleet), shared_(shared) {}
  ~Parent() {
    for (Process& p : processes_) stop(p);
  }

  void run() {
    const int jobs = std::min(fleet_.jobs, kMaxJobs);
    processes_.resize(std::size_t(jobs));
    for (Process& p : processes_) launch(p);
    while (pump()) {
    }
    check<Error>(emitted_ == fleet_.items, "verify: ", emitted_, " of ", fleet_.items,
                 " items came back");
  }

 private:
  struct Process {
    pid_t pid = -1;
    int fd = -1;
    std::string buffer;
  };

  Shared::Slot& slot(const Process& p) { return shared_.slots[&p - processes_.data()]; }

  void launch(Process& p) {
    int ends[2];
    check<Error>(pipe(ends) == 0, "verify: no pipe: ", std::strerror(errno));
    std::fflush(nullptr);
    slot(p).item = -1;
    p.pid = fork();
    check<Error>(p.pid >= 0, "verify: no process: ", std::strerror(errno));
    if (p.pid == 0) {
      close(ends[0]);
      for (Process& other : processes_)
        if (&other != &p && other.fd >= 0) close(other.fd);
      worker_main(fleet_, shared_, slot(p), ends[1]);
    }
    close(ends[1]);
    p.fd = ends[0];
    p.buffer.clear();
  }

  void stop(Process& p) {
    if (p.pid <= 0) return;
    kill(p.pid, SIGKILL);
    waitpid(p.pid, nullptr, 0);
    close(p.fd);
    p.pid = p.fd = -1;
  }

  // Waits for news; false when every process has ended.
  bool pump() {
    std::vector<pollfd> polls;
    std::vector<Process*> owners;
    for (Process& p : processes_)
      if (p.fd >= 0) polls.push_back({p.fd, POLLIN, 0}), owners.push_back(&p);
    if (polls.empty()) return false;
    poll(polls.data(), polls.size(), 1000);
    for (std::size_t i = 0; i < polls.size(); ++i)
      if (polls[i].revents) read_from(*owners[i]);
    for (Process& p : processes_) {
      if (p.pid <= 0 || slot(p).item < 0) continue;
      if (now_s() - slot(p).since > fleet_.limit_s) kill(p.pid, SIGKILL), late_ = true;
    }
    return true;
  }

  void read_from(Process& p) {
    char chunk[65536];
    const ssize_t n = read(p.fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n > 0) {
      p.buffer.append(chunk, std::size_t(n));
      parse(p);
    } else {
      ended(p);
    }
  }

  void parse(Process& p) {
    std::size_t at = 0;
    for (;;) {
      std::uint64_t head[2];
      if (p.buffer.size() - at < sizeof head) break;
      std::memcpy(head, p.buffer.data() + at, sizeof head);
      if (p.buffer.size() - at - sizeof head < head[1]) break;
      const std::string text = p.buffer.substr(at + sizeof head, head[1]);
      at += sizeof head + head[1];
      if (head[0] == kNoDevice) throw NoDeviceError(text);
      if (head[0] == kStartFailed) throw Error(text);
      if (head[0] == kHello) {
        if (fleet_.on_hello) fleet_.on_hello(text);
      } else {
        finish(std::size_t(head[0]), text);
      }
    }
    p.buffer.erase(0, at);
  }

  void ended(Process& p) {
    int status = 0;
    waitpid(p.pid, &status, 0);
    close(p.fd);
    const std::int64_t item = slot(p).item;
    p.pid = p.fd = -1;
    if (item >= 0 && !done_.count(std::size_t(item))) {
      const std::string how = late_ ? str_cat("did not end within ", fleet_.limit_s, " s")
                              : WIFSIGNALED(status)
                                  ? str_cat("the process died of signal ", WTERMSIG(status), " (",
                                            strsignal(WTERMSIG(status)), ")")
                                  : str_cat("the process ended with code ", WEXITSTATUS(status));
      late_ = false;
      finish(std::size_t(item), fleet_.on_death(std::size_t(item), how));
    }
    if (shared_.next < fleet_.items) launch(p);
  }

  void finish(std::size_t item, const std::string& result) {
    done_[item] = result;
    if (fleet_.on_finished) fleet_.on_finished(item);
    // Results leave in item order, whoever was first.
    for (auto it = done_.find(emitted_); it != done_.end(); it = done_.find(emitted_)) {
      fleet_.on_result(emitted_, it->second);
      it->second.clear();
      ++emitted_;
    }
  }

  const Fleet& fleet_;
  Shared& shared_;
  std::vector<Process> processes_;
  std::map<std::size_t, std::string> done_;
  std::size_t emitted_ = 0;
  bool late_ = false;
};

void run_here(const Fleet& fleet) {
  const std::unique_ptr<Worker> worker = fleet.start();
  if (fleet.on_hello) fleet.on_hello(worker->hello());
  for (std::size_t item = 0; item < fleet.items; ++item) {
    const std::string result = worker->run(item);
    if (fleet.on_finished) fleet.on_finished(item);
    fleet.on_result(item, result);
  }
}

}  // namespace

void run_fleet(const Fleet& fleet) {
  if (fleet.in_process) return run_here(fleet);
  void* memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  check<Error>(memory != MAP_FAILED, "verify: no shared memory: ", std::strerror(errno));
  const std::unique_ptr<Shared, Unmap> shared(new (memory) Shared);
  Parent(fleet, *shared).run();
}

}  // namespace flame::conformance
