// Whole runs on the simulated device. What they time is the simulator: the rows must be complete
// and make no claim of speed.
#include "bench/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

#include "bench/judging.h"
#include "bench/peers/process.h"
#include "conformance/sim/sim.h"
#include "lib/core/error.h"

namespace flame::bench {
namespace {

class RunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "bench_test_XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  RunOptions options(const std::string& op) const {
    RunOptions o;
    o.device = "sim";
    o.plan = {.op = op, .scale = 512};
    o.rule = {.most = 12, .seconds = 0.05};
    o.out = folder_;
    o.command = "flame bench --device sim";
    return o;
  }

  // Runs everything, and reads the folder back with the strict reader.
  records::BenchRun run(const RunOptions& o, bool passes = true) {
    Runner runner(o, out_);
    runner.begin();
    for (std::size_t i = 0; i < runner.items().size(); ++i) runner.run(i);
    EXPECT_EQ(runner.finish(), passes) << out_.str();
    return records::read_bench(folder_);
  }

  static std::string fake_peer(const std::string& mode) {
    return "python3 " FLAME_SOURCE_DIR "/bench/tests/fake_peer.py " + mode;
  }

  std::string folder_;
  std::ostringstream out_;
};

TEST_F(RunTest, RowsAreCompleteAndClaimNoSpeed) {
  const records::BenchRun run = this->run(options("softmax"));
  std::set<std::string> seen;
  for (const records::BenchRow& row : run.rows) {
    seen.insert(row.op);
    EXPECT_GE(row.samples, 10) << records::to_line(row);
    EXPECT_EQ(std::int64_t(row.times_us.size()), row.samples);
    EXPECT_EQ(row.harness, kHarness);
    EXPECT_EQ(row.share_copy, -1);
    EXPECT_EQ(row.share_datasheet_bandwidth, -1);
    EXPECT_EQ(row.driver, "none");
  }
  EXPECT_EQ(seen, (std::set<std::string>{records::kRoofOp, records::kProbeOp, kHostOp, "softmax"}));
  EXPECT_EQ(run.manifest.device_kind, "simulated");
  EXPECT_EQ(run.manifest.level, "bench");
  EXPECT_EQ(run.manifest.planned, std::int64_t(plan(options("softmax").plan).size()));
  EXPECT_EQ(out_.str().find("GB/s"), std::string::npos);
  EXPECT_NE(out_.str().find("simulated device"), std::string::npos);
}

TEST_F(RunTest, EveryItemOfThePlanRuns) {
  RunOptions o = options("*");
  o.temperature = "cold";
  o.plan.scale = 100000;
  o.rule = {.least = 1, .most = 1, .seconds = 0};
  const records::BenchRun run = this->run(o);
  std::size_t ours = 0;
  for (const records::BenchRow& row : run.rows)
    ours += row.implementation == "flame" && row.op != kHostOp && row.samples > 0;
  EXPECT_EQ(ours, plan(o.plan).size());
}

TEST_F(RunTest, APeerIsTimedInTheSameRoundsAndJudged) {
  RunOptions o = options("add");
  o.plan.direction = "forward";
  o.plan.mode = "float32";
  o.peers = {fake_peer("")};
  const records::BenchRun run = this->run(o);
  int peers = 0, left_out = 0;
  for (const records::BenchRow& row : run.rows) {
    if (row.op == kHostOp) continue;
    if (row.implementation == "fake_eager") {
      ++peers;
      EXPECT_DOUBLE_EQ(row.median_us, 250);
      EXPECT_GT(row.ratio, 0);
      EXPECT_GE(row.r, 0);
      EXPECT_LE(row.r, 1);
    }
    left_out += row.implementation == "fake_compile" && row.reason == "cannot compile";
    if (row.implementation == "flame") {
      EXPECT_EQ(row.ratio, -1);
      EXPECT_LE(row.r, 1);
    }
  }
  EXPECT_EQ(peers, 4);  // two cases, cold and hot
  EXPECT_EQ(left_out, 4);
}

TEST_F(RunTest, APeerThatIsWrongIsShownAsSuch) {
  RunOptions o = options("add");
  o.plan = {.op = "add",
            .case_name = "16777216",
            .direction = "forward",
            .mode = "float32",
            .scale = 4096};
  o.peers = {fake_peer("wrong")};
  bool found = false;
  for (const records::BenchRow& row : this->run(o).rows)
    if (row.implementation == "fake_eager" && row.op != kHostOp) {
      found = true;
      EXPECT_GT(row.r, 1);
    }
  EXPECT_TRUE(found);
  EXPECT_NE(out_.str().find("WRONG"), std::string::npos);
}

TEST_F(RunTest, AGradientThatIsPassedOnClaimsNoBytes) {
  RunOptions o = options("add");
  o.plan = {.op = "add", .case_name = "16777216", .mode = "float32", .scale = 4096};
  o.temperature = "cold";
  o.peers = {fake_peer("view")};
  std::set<std::string> seen;
  for (const records::BenchRow& row : this->run(o).rows) {
    if (row.implementation != "fake_eager" || row.op == kHostOp) continue;
    seen.insert(row.direction);
    EXPECT_TRUE(row.view) << row.direction;
    EXPECT_GT(row.ratio, 0) << row.direction;
    EXPECT_EQ(row.gbps() > 0, row.direction == "forward_backward") << row.direction;
    EXPECT_EQ(row.written > 0, row.direction == "forward_backward") << row.direction;
  }
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_NE(out_.str().find("  view"), std::string::npos);
}

TEST_F(RunTest, APeerThatDiesOrHangsDoesNotEndTheRun) {
  for (const char* mode : {"dies", "silent", "nonsense"}) {
    RunOptions o = options("add");
    o.plan.direction = "forward";
    o.plan.mode = "float32";
    o.peers = {fake_peer(mode)};
    o.peer_timeout = 2;
    int ours = 0, refused = 0;
    for (const records::BenchRow& row : this->run(o).rows) {
      if (row.op == kHostOp || row.op == records::kRoofOp) continue;
      ours += row.implementation == "flame" && row.samples >= 10;
      refused += row.implementation != "flame" && row.samples == 0 && !row.reason.empty();
    }
    EXPECT_EQ(ours, 4) << mode;
    EXPECT_GE(refused, 4) << mode;
  }
}

TEST_F(RunTest, APlantedSlownessIsThereAndIsCalledACanary) {
  RunOptions o = options("exp");
  o.plan = {.op = "exp",
            .case_name = "16777216",
            .direction = "forward",
            .mode = "float32",
            .scale = 4096};
  o.temperature = "cold";
  const auto median = [](const records::BenchRun& run) {
    for (const records::BenchRow& row : run.rows)
      if (row.op == "exp") return row.median_us;
    return -1.0;
  };
  const double honest = median(this->run(o));
  o.planted_slowness = 1;
  const records::BenchRun canary = this->run(o);
  EXPECT_GT(median(canary), 1.5 * honest);
  EXPECT_EQ(canary.manifest.level, "canary");
}

TEST_F(RunTest, NoSuchProgramIsAnError) {
  RunOptions o = options("add");
  o.peers = {"no_such_program_anywhere"};
  EXPECT_THROW(Runner(o, out_), Error);
  o.peers.clear();
  o.device = "tpu";
  EXPECT_THROW(Runner(o, out_), ValueError);
}

TEST(JudgingTest, FlamePassesItsOwnJudgeInEveryDirection) {
  const Device device(sim::open());
  int judged = 0;
  for (const Item& item : plan({.op = "*m*", .scale = 64})) {
    const Judged j = judge_flame(device, item);
    EXPECT_LE(j.r, 1) << item.name() << " " << j.reason;
    judged += j.r >= 0;
  }
  EXPECT_GT(judged, 50);
}

// A forward that is right and a gradient that is not.
TEST(JudgingTest, AWrongGradientIsSeen) {
  const Item item = plan({.op = "exp", .direction = "backward", .scale = 4096})[0];
  const auto c = judged_case(item);
  ASSERT_TRUE(c.has_value());
  std::vector<reference::HostTensor> wrong{c->grad_outputs[0]};  // the gradient of the identity
  EXPECT_GT(judge_results(*c, wrong).r, 1);
  EXPECT_EQ(judge_results(*c, {}).r, -1);
  EXPECT_FALSE(judge_results(*c, {}).reason.empty());
}

// A product of operands cut to TF32's bits is right where TF32 was asked for, and only there.
TEST(JudgingTest, Tf32IsRightWhereItWasAskedFor) {
  for (const char* direction : {"forward", "backward"}) {
    Item item = plan({.op = "matmul", .direction = direction, .mode = "tf32"})[0];
    auto c = judged_case(item);
    ASSERT_TRUE(c.has_value());
    const auto cut = [](std::vector<reference::HostTensor> tensors) {
      for (reference::HostTensor& t : tensors)
        for (double& v : t.values) {
          int exponent = 0;
          const double digits = std::frexp(v, &exponent);
          v = std::ldexp(std::trunc(digits * 0x1p11), exponent - 11);
        }
      return tensors;
    };
    std::vector<reference::HostTensor> results;
    for (const auto& bound :
         due(*item.contract, cut(c->inputs), c->item.attrs, cut(c->grad_outputs), false)) {
      reference::HostTensor t{.dtype = DType::kFloat32, .shape = bound.shape, .values = {}};
      for (const auto& v : bound.values)
        t.values.push_back(reference::round_to(DType::kFloat32, double(v.value)));
      results.push_back(t);
    }
    EXPECT_LE(judge_results(*c, results).r, 1) << direction;
    results[0].values[5] *= 1.1;
    EXPECT_GT(judge_results(*c, results).r, 1) << direction;
    results[0].values[5] /= 1.1;
    c->item.tf32 = false;
    EXPECT_GT(judge_results(*c, results).r, 1) << direction;
  }
}

}  // namespace
}  // namespace flame::bench
