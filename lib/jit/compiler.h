// Kernels from text to verified machine code, by NVRTC at first use, kept in the disk cache.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/driver/driver.h"
#include "lib/jit/cache.h"
#include "lib/jit/embedded.h"

namespace flame::jit {

class Nvrtc;

struct Request {
  std::string file;                       // of the sources: "unary.cu"
  std::vector<std::string> expressions;   // at least one: "unary_forward<Exp, float>"
  std::string arch;                       // "sm_90a"
  std::vector<std::string> options = {};  // beside default_options()
};

// What every kernel is compiled with, but for the include path: C++20, fused multiply-add, line
// numbers, and nothing that trades precision for speed.
std::vector<std::string> default_options(std::string_view arch);

// The version of the NVRTC that would be used (13000 for 13.0); 0 when there is none.
int nvrtc_version();

// `file` and all that it includes by quotes, directly or not, in order of first need; each once.
// Names that are not among `sources` are left out. Throws JitError when `file` is not among them.
std::vector<EmbeddedFile> include_closure(std::string_view file,
                                          std::span<const EmbeddedFile> sources);

// Safe from any thread.
class Compiler {
 public:
  // `sources` must outlive it.
  explicit Compiler(std::shared_ptr<DiskCache> cache = std::make_shared<DiskCache>(),
                    std::span<const EmbeddedFile> sources = embedded_files());
  ~Compiler();

  // All expressions in one image, each verified. Throws JitError: no NVRTC, no such file, or a
  // compile failure with the kernel, the options, the whole log and where the source was dumped.
  // FLAME_DUMP_KERNELS=dir keeps source, log and image of every kernel, cached or not.
  Compiled compile(const Request& request);
  // One kernel, as drivers want it.
  driver::Image compile(const driver::KernelId& kernel, std::string_view arch);

  DiskCache& cache() { return *cache_; }

 private:
  const Nvrtc& nvrtc();
  Compiled build(const Request& request, const std::vector<EmbeddedFile>& files,
                 const std::vector<std::string>& options);
  void say_if_slow(const Compiled& compiled);

  std::shared_ptr<DiskCache> cache_;
  std::span<const EmbeddedFile> sources_;
  std::mutex mutex_;  // guards nvrtc_
  std::shared_ptr<const Nvrtc> nvrtc_;
  std::atomic<bool> said_slow_{false};
};

// Compiles every exported kernel for `arch` into the cache, on `threads` threads (0: all cores).
// `progress(done, total)` is called after each, and before it `each` with what came out, never from
// two threads at once. Gives how many were compiled anew; throws the first JitError after the
// others are done.
std::size_t warm(Compiler& compiler, std::string_view arch, unsigned threads = 0,
                 const std::function<void(std::size_t, std::size_t)>& progress = {},
                 const std::function<void(const Compiled&)>& each = {});

}  // namespace flame::jit
