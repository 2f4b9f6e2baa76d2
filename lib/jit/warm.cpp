#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>
#include <thread>

#include "lib/jit/compiler.h"

namespace flame::jit {

std::size_t warm(Compiler& compiler, std::string_view arch, unsigned threads,
                 const std::function<void(std::size_t, std::size_t)>& progress,
                 const std::function<void(const Compiled&)>& each) {
  const std::span<const EmbeddedExport> all = embedded_exports();
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  threads = unsigned(std::min<std::size_t>(threads, std::max<std::size_t>(all.size(), 1)));

  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // guards the three below and `progress`
  std::size_t done = 0, compiled_anew = 0;
  std::exception_ptr failure;
  auto work = [&] {
    for (std::size_t i; (i = next++) < all.size();) {
      std::optional<Compiled> compiled;
      std::exception_ptr problem;
      try {
        compiled = compiler.compile(
            {std::string(all[i].file), {std::string(all[i].expression)}, std::string(arch)});
      } catch (...) {
        problem = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      compiled_anew += compiled && !compiled->from_cache;
      if (compiled && each) each(*compiled);
      if (problem && !failure) failure = problem;
      ++done;
      if (progress) progress(done, all.size());
    }
  };
  {
    std::vector<std::jthread> pool;
    for (unsigned i = 0; i < threads; ++i) pool.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
  return compiled_anew;
}

}  // namespace flame::jit
