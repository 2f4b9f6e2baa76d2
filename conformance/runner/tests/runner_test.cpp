// The machinery around the checks: plan, workers, poison, layouts, the run folder.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "conformance/runner/device_factory.h"
#include "conformance/runner/plan.h"
#include "conformance/runner/session.h"
#include "conformance/runner/workers.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

using records::Record;
using records::Verdict;
using reference::HostTensor;

VerifyOptions on_first_op() {
  VerifyOptions options;
  options.op = std::string(all_ops().front()->name);
  options.dtype = DType::kFloat32;
  return options;
}

TEST(Plan, ShardsAreAPartitionInOrder) {
  VerifyOptions options = on_first_op();
  std::set<std::string> all;
  for (const PlanItem& item : plan(options)) EXPECT_TRUE(all.insert(item.to_string()).second);
  std::set<std::string> joined;
  options.shard_count = 3;
  for (options.shard_index = 0; options.shard_index < 3; ++options.shard_index)
    for (const PlanItem& item : plan(options))
      EXPECT_TRUE(joined.insert(item.to_string()).second) << item.to_string();
  EXPECT_EQ(all, joined);
}

TEST(Plan, EveryOpHasEveryCheck) {
  std::map<std::string, std::set<std::string>> checks;
  for (const PlanItem& item : plan({})) checks[item.op].insert(item.check);
  EXPECT_EQ(checks.size(), all_ops().size());
  // All but what its own definition rules out: no tensors to keep, no backward to judge.
  for (const auto& [op, seen] : checks)
    for (const Check& check : all_checks())
      EXPECT_NE(seen.contains(check.id), out_of_scope(check, find_op(op)).has_value())
          << op << " " << check.id;
}

TEST(Plan, FullHoldsQuick) {
  VerifyOptions options = on_first_op();
  std::set<std::string> quick, full;
  for (const PlanItem& item : plan(options)) quick.insert(item.to_string());
  options.level = Level::kFull;
  for (const PlanItem& item : plan(options)) full.insert(item.to_string());
  EXPECT_TRUE(std::includes(full.begin(), full.end(), quick.begin(), quick.end()));
  EXPECT_GT(full.size(), quick.size());
}

TEST(Plan, BadFiltersAreErrorsThatNameThem) {
  VerifyOptions options;
  options.op = "no_such_op";
  EXPECT_THROW(plan(options), UnknownOpError);
  options = on_first_op();
  options.case_name = "no_such_case";
  EXPECT_THROW(plan(options), ValueError);
  options = {};
  options.shard_index = 3;
  options.shard_count = 3;
  EXPECT_THROW(plan(options), ValueError);
}

TEST(Seeds, DependOnEverythingButTheLayout) {
  const PlanItem item = plan(on_first_op()).front();
  PlanItem other = item;
  other.layout = "sliced";
  EXPECT_EQ(item_seed({}, item), item_seed({}, other));
  other.check = "x" + item.check;
  EXPECT_NE(item_seed({}, item), item_seed({}, other));
  VerifyOptions seeded;
  seeded.seed = 1;
  EXPECT_NE(item_seed({}, item), item_seed(seeded, item));
}

TEST(Verify, RecordsComeInPlanOrderAndAreTheSameEveryTime) {
  VerifyOptions options = on_first_op();
  options.check = "forward";
  std::vector<std::string> expected, first, second;
  for (const PlanItem& item : plan(options)) expected.push_back(item.case_name);
  std::vector<double> worst[2];
  for (int run = 0; run < 2; ++run) {
    options.jobs = run + 1;
    auto& names = run == 0 ? first : second;
    options.on_record = [&](const Record& r) {
      names.push_back(r.case_name);
      worst[run].push_back(r.r);
      EXPECT_FALSE(r.reproduce.empty());
    };
    const Summary s = verify(options);
    EXPECT_EQ(s.planned, s.passed + s.failed + s.not_run);
    EXPECT_EQ(s.manifest.device_kind, "simulated");
    EXPECT_EQ(s.manifest.ops.size(), all_ops().size());
  }
  EXPECT_EQ(first, expected);
  EXPECT_EQ(second, expected);
  EXPECT_EQ(worst[0], worst[1]);
}

TEST(Verify, ADeviceThatIsNotThereIsNeverReplaced) {
  VerifyOptions options = on_first_op();
  options.device = "abacus";
  EXPECT_THROW(verify(options), Error);
  if (driver::cuda_device_count() == 0) {
    options.device = "cuda";
    EXPECT_THROW(verify(options), NoDeviceError);
  }
}

TEST(Verify, NothingPassedIsNeverSuccess) {
  EXPECT_EQ((Summary{.passed = 3}).exit_code(), 0);
  EXPECT_EQ((Summary{.passed = 3, .failed = 1}).exit_code(), 1);
  EXPECT_EQ((Summary{.not_run = 9}).exit_code(), 4);
  EXPECT_EQ(Summary{}.exit_code(), 4);
}

TEST(FalseAlarms, NoneOverAFewSeeds) {
  VerifyOptions options = on_first_op();
  std::vector<Record> records;
  options.on_record = [&](const Record& r) { records.push_back(r); };
  const Summary s = false_alarms(options, 40);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(s.passed, 1) << records[0].reason << " " << records[0].reproduce;
  EXPECT_GT(records[0].compared, 40);
  EXPECT_GT(records[0].r, 0);
  EXPECT_LE(records[0].r, 1);
}

// -- workers

struct Scripted : Worker {
  std::string run(std::size_t item) override {
    if (item == 3) std::raise(SIGKILL);
    if (item == 5) _exit(9);
    if (item == 7) std::this_thread::sleep_for(std::chrono::seconds(60));
    return "ran " + std::to_string(item);
  }
};

TEST(Workers, ADeadOrStuckProcessCostsItsItemOnly) {
  std::vector<std::string> results;
  Fleet fleet;
  fleet.jobs = 2;
  fleet.items = 12;
  fleet.limit_s = 1;
  fleet.start = [] { return std::make_unique<Scripted>(); };
  fleet.on_result = [&](std::size_t item, const std::string& result) {
    EXPECT_EQ(item, results.size());
    results.push_back(result);
  };
  fleet.on_death = [](std::size_t, const std::string& how) { return "died: " + how; };
  run_fleet(fleet);
  ASSERT_EQ(results.size(), 12u);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i == 3)
      EXPECT_NE(results[i].find("signal 9"), std::string::npos) << results[i];
    else if (i == 5)
      EXPECT_NE(results[i].find("code 9"), std::string::npos) << results[i];
    else if (i == 7)
      EXPECT_NE(results[i].find("did not end"), std::string::npos) << results[i];
    else
      EXPECT_EQ(results[i], "ran " + std::to_string(i));
  }
}

TEST(Workers, AStartThatFailsIsTheCallersError) {
  Fleet fleet;
  fleet.jobs = 2;
  fleet.items = 4;
  fleet.start = []() -> std::unique_ptr<Worker> { throw NoDeviceError("planted"); };
  fleet.on_result = [](std::size_t, const std::string&) {};
  EXPECT_THROW(run_fleet(fleet), NoDeviceError);
}

// -- device memory

class DeviceTest : public ::testing::Test {
 protected:
  static Rig& rig() {
    static const BaseDevice base = open_device("sim");
    static Rig rig(base.driver, base.witness);
    return rig;
  }
};

TEST_F(DeviceTest, EveryLayoutHoldsTheSameValues) {
  for (DType t : {DType::kFloat32, DType::kBFloat16, DType::kInt64, DType::kBool})
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{3, 4}, Shape{2, 1, 3}, Shape{0, 3}})
      for (Layout layout : kLayouts) {
        HostTensor host{t, shape, {}};
        for (std::int64_t i = 0; i < numel(shape); ++i) host.values.push_back(double(i % 2));
        host = values_in(layout, host);
        const Tensor tensor = upload(rig().device, host, layout);
        EXPECT_EQ(download(tensor).values, host.values) << to_string(layout);
        EXPECT_EQ(tensor.shape(), shape);
        const bool moved = !tensor.is_contiguous() || tensor.storage_offset() != 0;
        EXPECT_EQ(moved, layout_differs(layout, shape))
            << to_string(layout) << " " << flame::to_string(shape);
      }
}

TEST_F(DeviceTest, LayoutsAreReadByTheirNames) {
  for (Layout layout : kLayouts) EXPECT_EQ(parse_layout(to_string(layout)), layout);
  EXPECT_FALSE(parse_layout("diagonal"));
}

TEST_F(DeviceTest, PoisonFillsAndGuardsAreWatched) {
  rig().poison->set_pattern(0x3F);
  rig().poison->take_violations();
  Tensor t = empty({10}, {rig().strict, DType::kUInt8});
  for (double v : download(t).values) EXPECT_EQ(v, 0x3F);
  EXPECT_TRUE(rig().poison->take_violations().empty());
  rig().poison->fill(static_cast<char*>(t.data()) + 10, 1, 3, 0);
  const auto found = rig().poison->take_violations();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("3 bytes written behind"), std::string::npos) << found[0];
  EXPECT_TRUE(rig().poison->take_violations().empty());  // said once
  rig().poison->fill(static_cast<char*>(t.data()) - 1, 1, 1, 0);
  t = {};  // found when freed, too
  EXPECT_EQ(rig().poison->take_violations().size(), 1u);
}

TEST(RunFolder, WritesWhatReadRunReads) {
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("flame_run_" + std::to_string(getpid()))).string();
  {
    RunFolder out(folder);
    Record r;
    r.op = "x";
    r.check = "forward";
    r.verdict = Verdict::kPass;
    r.device_kind = "simulated";
    out.write(r);
    records::Kill kill;
    kill.fake = "zeros";
    kill.op = "x";
    kill.check = "forward";
    kill.allclose = kill.ggml_nmse = kill.jax_scaled = kill.sum_loss = "n/a";
    kill.device_kind = "simulated";
    out.write(kill);
    out.write(records::RunManifest{.device_kind = "simulated", .planned = 1});
  }
  const records::Run run = records::read_run(folder);
  EXPECT_EQ(run.records.size(), 1u);
  EXPECT_EQ(run.kills.size(), 1u);
  EXPECT_EQ(run.manifest.planned, 1);
  std::filesystem::remove_all(folder);
  EXPECT_THROW(RunFolder("/proc/no/such/place"), FileError);
}

}  // namespace
}  // namespace flame::conformance
