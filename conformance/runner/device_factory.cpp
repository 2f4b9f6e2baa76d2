#include "conformance/runner/device_factory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>

#include "conformance/sim/sim.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

// "cuda" and "cuda:1"; nullopt for anything else.
std::optional<int> cuda_index(std::string_view name) {
  if (name == "cuda") return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  name.remove_prefix(5);
  int index = -1;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size() || index < 0) return std::nullopt;
  return index;
}

// A device that cannot be watched (no CUPTI, or a tool such as compute-sanitizer that has it) is
// still worth judging: only the checks that need the witness are then not run.
BaseDevice with_witness(std::shared_ptr<driver::Driver> driver) {
  std::shared_ptr<Witness> witness;
  try {
    witness = make_witness(*driver);
  } catch (const WitnessError& e) {
    witness = absent_witness(e.what());
  }
  return {std::move(driver), std::move(witness)};
}

}  // namespace

BaseDevice open_device(const std::string& name, int sim_threads) {
  if (name == "sim") {
    sim::Options options;
    options.threads = sim_threads;
    return with_witness(sim::open(options));
  }
  const auto index = cuda_index(name);
  check<ValueError>(index.has_value(), "device: '", name, "' is none of sim, cuda, cuda:<index>");
  return with_witness(driver::open_cuda(*index));
}

int cuda_devices_for_workers() {
  std::fflush(nullptr);
  const pid_t child = fork();
  check<Error>(child >= 0, "device: no process to look for CUDA in: ", std::strerror(errno));
  if (child == 0) _exit(std::min(driver::cuda_device_count(), 100));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

}  // namespace flame::conformance
