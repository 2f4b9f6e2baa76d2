#include "conformance/sim/workers.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "conformance/sim/executor.h"

namespace flame::sim {
namespace {

constexpr double kTrialMicroseconds = 200;

int default_threads() {
  if (const char* text = std::getenv("FLAME_SIM_THREADS"))
    if (const int n = std::atoi(text); n > 0) return n;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Threads that help whoever runs a launch. One launch at a time has helpers; others go without.
class Helpers {
 public:
  static Helpers& instance() {
    static Helpers helpers;
    return helpers;
  }

  // Runs blocks of `grid` on `count` helpers until none is left; `own` is the caller's share. Gives
  // the first fault found.
  template <class Own>
  std::string run(Grid& grid, int count, Own own) {
    std::unique_lock turn(turn_, std::try_to_lock);
    if (!turn.owns_lock()) return own();
    {
      std::lock_guard lock(mutex_);
      while (static_cast<int>(threads_.size()) < count) threads_.emplace_back([this] { serve(); });
      grid_ = &grid;
      wanted_ = count;
      fault_.clear();
    }
    wake_.notify_all();
    std::string fault = own();
    std::unique_lock lock(mutex_);
    wanted_ = 0;  // who has not begun need not
    done_.wait(lock, [this] { return busy_ == 0; });
    grid_ = nullptr;
    return fault.empty() ? fault_ : fault;
  }

 private:
  ~Helpers() {
    {
      std::lock_guard lock(mutex_);
      leaving_ = true;
    }
    wake_.notify_all();
    for (auto& t : threads_) t.join();
  }

  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return leaving_ || wanted_ > 0; });
      if (leaving_) return;
      --wanted_;
      ++busy_;
      Grid& grid = *grid_;
      lock.unlock();
      std::string fault = Executor::current().run(grid);
      lock.lock();
      if (fault_.empty()) fault_ = std::move(fault);
      if (--busy_ == 0) done_.notify_all();
    }
  }

  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  Grid* grid_ = nullptr;
  int wanted_ = 0, busy_ = 0;
  std::string fault_;
  bool leaving_ = false;
};

}  // namespace

std::string run_grid(Grid& grid, int threads) {
  Executor& own = Executor::current();
  if (kInstrumented || grid.seed != 0 || grid.blocks == 1) return own.run(grid);
  static const int automatic = default_threads();
  const int count = threads > 0 ? threads : automatic;
  if (count == 1) return own.run(grid);
  // Most launches are over before a helper would be awake: first see how far one thread gets.
  grid.give_up_after = kTrialMicroseconds;
  std::string fault = own.run(grid);
  grid.give_up_after = 0;
  if (!fault.empty() || grid.next.load() >= grid.blocks) return fault;
  const auto helpers = std::min<std::size_t>(count - 1, grid.blocks - grid.next.load());
  return Helpers::instance().run(grid, static_cast<int>(helpers), [&] { return own.run(grid); });
}

}  // namespace flame::sim
