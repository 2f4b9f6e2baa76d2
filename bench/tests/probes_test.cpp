#include "bench/probes.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "bench/timer.h"
#include "conformance/sim/sim.h"
#include "lib/jit/compiler.h"
#include "lib/ops/ops.h"

namespace flame::bench {
namespace {

// Needs NVRTC, no GPU: what the bench launches on a card compiles for it.
TEST(ProbesTest, CompileForEveryArchitecture) {
  std::string folder = (std::filesystem::temp_directory_path() / "probes_test_XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  jit::Compiler compiler(std::make_shared<jit::DiskCache>(folder), probe_sources());
  for (const char* arch : {"sm_80", "sm_90a", "sm_100"})
    for (const char* name : kProbeNames)
      EXPECT_FALSE(compiler.compile({"probe.cu", name}, arch).bytes.empty()) << arch << name;
  std::filesystem::remove_all(folder);
}

TEST(ProbesTest, CopyCopiesAndEveryTimeIsATime) {
  const Device device(sim::open());
  Probes probes(device, 4096);
  const Tensor from = randn({1037 * 4}, device), to = zeros({1037 * 4}, device);
  probes.copy(from.data(), to.data(), 1037 * 16);
  EXPECT_EQ(to.to_vector<float>(), from.to_vector<float>());
  for (const auto& [how, name] : kReaders) probes.read(from.data(), 1037 * 16, how);
  const Tensor other = zeros({1037 * 4}, device);
  probes.copy(from.data(), other.data(), 1037 * 16, Copier::kOne);
  EXPECT_EQ(other.to_vector<float>(), from.to_vector<float>());
  probes.fill(other.data(), 1037 * 16);
  EXPECT_EQ(other.to_vector<float>()[1037 * 4 - 1], 4.0f);
  probes.spin(3);
  DeviceTimer timer(device, probes);
  int runs = 0;
  for (const Temperature t : {Temperature::kCold, Temperature::kHot})
    EXPECT_GT(timer.time([&] { exp(from), ++runs; }, t), 0);
  EXPECT_EQ(runs, 3);  // hot work ran once more, just before
}

}  // namespace
}  // namespace flame::bench
