#include "conformance/runner/device_factory.h"

#include <charconv>
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

BaseDevice with_witness(std::shared_ptr<driver::Driver> driver) {
  auto witness = make_witness(*driver);
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

BaseDevice open_sim_without_barriers(const std::string& kernel_glob) {
  sim::Options options;
  options.drop_barriers = kernel_glob;
  return with_witness(sim::open(options));
}

}  // namespace flame::conformance
