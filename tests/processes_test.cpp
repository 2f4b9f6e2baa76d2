// What one process computes, another computes too: products large enough to be tuned on a GPU give
// the same bits in all processes that share a folder of choices, whatever each of them measured,
// and damage in that folder is refused. On the simulator the products are small, and nothing is
// tuned.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <set>

#include "flame/flame.h"
#include "lib/blas/choices.h"
#include "tests/support/jit_fixture.h"
#include "tests/support/test_device.h"

extern char** environ;

namespace flame::test {
namespace {

namespace fs = std::filesystem;
using jit::Variable;

// Forward and both gradients of products of which many algorithms split k, as bytes.
std::string results() {
  const Device device = new_device();
  const std::int64_t large = on_gpu() ? 32 : 1;
  std::string out;
  const auto add = [&](const Tensor& t) {
    const std::vector<float> values = to(t, DType::kFloat32).to_vector<float>();
    out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  };
  const std::array<std::array<std::int64_t, 4>, 1> sizes{{{1, 128, 12, 12}}};
  for (DType t : {DType::kFloat32, DType::kBFloat16})
    for (const auto& [batch, m, k, n] : sizes) {
      Tensor a = randn({batch, m * large, k * large}, {device, t});
      Tensor b = randn({batch, k * large, n * large}, {device, t});
      a.set_requires_grad();
      b.set_requires_grad();
      const Tensor c = matmul(a, b);
      c.backward(randn(c.shape(), {device, t}));
      add(c.detach());
      add(a.grad());
      add(b.grad());
    }
  return out;
}

class Processes : public testing::Test {
 protected:
  // Compiled kernels are no choices, and take seconds: those that there are may be used.
  void take_compiled_kernels() const {
    fs::create_directories(folder_.path() / "cache");
    std::error_code error;
    for (fs::directory_iterator at(jit::default_cache_folder(), error), end; !error && at != end;
         at.increment(error))
      if (at->path().extension() == ".flamek")
        fs::copy_file(at->path(), folder_.path() / "cache" / at->path().filename(), error);
  }

  // What each of some processes that run at the same time wrote to stderr; results go to files.
  std::vector<std::string> run(int count, int first) {
    std::vector<pid_t> children;
    for (int i = first; i < first + count; ++i) {
      const std::string name = std::to_string(i);
      const Variable cache("FLAME_CACHE_DIR", (folder_.path() / "cache").string());
      const Variable result("FLAME_TEST_RESULT", (folder_.path() / name).string());
      std::array<char*, 4> arguments{const_cast<char*>("processes_test"),
                                     const_cast<char*>("--gtest_filter=*DISABLED_OneOfThem"),
                                     const_cast<char*>("--gtest_also_run_disabled_tests"), nullptr};
      posix_spawn_file_actions_t actions;
      posix_spawn_file_actions_init(&actions);
      const std::string err = (folder_.path() / (name + ".err")).string();
      posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
      pid_t child = -1;
      EXPECT_EQ(posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environ),
                0);
      posix_spawn_file_actions_destroy(&actions);
      children.push_back(child);
    }
    for (pid_t child : children) {
      int status = -1;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
    std::vector<std::string> said;
    for (int i = first; i < first + count; ++i) said.push_back(content(std::to_string(i) + ".err"));
    return said;
  }
  std::string content(const std::string& name) const {
    std::ifstream in(folder_.path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // How many different results some of the processes had.
  std::size_t different(int count, int first) const {
    std::set<std::string> all;
    for (int i = first; i < first + count; ++i) all.insert(content(std::to_string(i)));
    EXPECT_FALSE(all.contains(""));
    return all.size();
  }
  std::vector<blas::ChoiceItem> choices() const {
    return blas::Choices(folder_.path() / "cache").list();
  }

  jit::Folder folder_;
};

TEST_F(Processes, DISABLED_OneOfThem) {
  std::ofstream(std::getenv("FLAME_TEST_RESULT"), std::ios::binary) << results();
}

TEST_F(Processes, AgreeBitForBit) {
  take_compiled_kernels();
  run(2, 0);  // neither finds a choice that is made already
  run(1, 2);  // this one finds them all
  EXPECT_EQ(different(3, 0), 1u);
  EXPECT_EQ(choices().empty(), !on_gpu());
  for (const blas::ChoiceItem& item : choices()) EXPECT_TRUE(item.readable) << item.path;
}

TEST_F(Processes, RefuseAPoisonedFolder) {
  take_compiled_kernels();
  run(1, 0);
  const std::vector<blas::ChoiceItem> before = choices();
  for (std::size_t i = 0; i < before.size(); ++i) {
    std::string bytes = content("cache/" + before[i].path.filename().string());
    if (i % 3 == 0) bytes.resize(bytes.size() / 2);
    if (i % 3 == 1) bytes.back() ^= 1;
    if (i % 3 == 2) {  // whole, and of an algorithm that nobody proposes
      fs::remove(before[i].path);
      blas::Choice wrong = before[i].choice;
      wrong.algorithm = {12345, 1, 1};
      blas::Choices(folder_.path() / "cache")
          .keep(before[i].path.stem().string(), wrong, [](const auto&) { return true; });
      continue;
    }
    std::ofstream(before[i].path, std::ios::binary | std::ios::trunc) << bytes;
  }
  const std::vector<std::string> said = run(2, 1);
  EXPECT_EQ(different(2, 1), 1u);
  EXPECT_EQ(choices().size(), before.size());
  for (const blas::ChoiceItem& item : choices()) {
    EXPECT_TRUE(item.readable) << item.path;
    EXPECT_NE(item.choice.algorithm[0], 12345u) << item.path;
  }
  EXPECT_EQ(said[0].find("is made again") != std::string::npos, on_gpu()) << said[0];
}

}  // namespace
}  // namespace flame::test
