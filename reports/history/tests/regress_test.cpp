// Whole nights through the store: code told from machine, floors, drift, two runs side by side.
#include "reports/history/regress.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"
#include "reports/history/history_json.h"
#include "reports/history/tests/bench_runs.h"
#include "reports/history/tests/nights.h"

namespace flame::history {
namespace {

namespace fs = std::filesystem;
using records::BenchRow;

class RegressTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            (std::string("flame_regress_") +
             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
    store_ = std::make_unique<Store>((root_ / "h.db").string(), Access::kWrite);
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(root_);
  }

  // Nights of the copy probe, of exp and of log, with what `change` makes of the times.
  struct Times {
    double roof = 200, exp = 210, log = 220;
  };
  void nights(int count, const std::function<void(int, Times&, std::vector<BenchRow>&)>& change) {
    Nights noise(3, 0.003, 0);
    for (int n = 0; n < count; ++n) {
      Times t{noise.next(200), noise.next(210), noise.next(220)};
      std::vector<BenchRow> more;
      change(n, t, more);
      std::vector<BenchRow> rows{bench_row(records::kRoofOp, t.roof), bench_row("exp", t.exp),
                                 bench_row("log", t.log)};
      rows.insert(rows.end(), more.begin(), more.end());
      ASSERT_TRUE(store_->record(bench_input(n, rows)));
    }
  }
  NightReport judged(const Thresholds& thresholds = {}) {
    return judge_night(store_->series(), store_->worst_r(), thresholds);
  }
  static const SeriesVerdict& of(const NightReport& report, const std::string& op) {
    for (const SeriesVerdict& v : report.series)
      if (v.key.op == op) return v;
    throw ValueError("no series of " + op);
  }
  std::string file(const std::string& text) {
    const std::string path = (root_ / "thresholds.toml").string();
    std::ofstream(path) << text;
    return path;
  }

  fs::path root_;
  std::unique_ptr<Store> store_;
};

TEST_F(RegressTest, QuietNightsPass) {
  nights(30, [](int, Times&, auto&) {});
  const NightReport report = judged();
  EXPECT_EQ(report.night, night(29).substr(0, 10));
  EXPECT_EQ(report.count(Verdict::kSame), 2u);
  EXPECT_FALSE(report.machine_moved());
  EXPECT_EQ(outcome_of(report, FailOn::kSuspect), Outcome::kPass);
}

TEST_F(RegressTest, SlowerCodeFailsOnTheThirdNightAndIsASuspicionBefore) {
  nights(31, [](int n, Times& t, auto&) {
    if (n >= 30) t.exp *= 1.05;
  });
  NightReport report = judged();
  EXPECT_EQ(of(report, "exp").judgement.stage, Stage::kSuspect);
  EXPECT_EQ(outcome_of(report, FailOn::kConfirmed), Outcome::kInconclusive);
  EXPECT_EQ(outcome_of(report, FailOn::kSuspect), Outcome::kFail);
  for (const int n : {31, 32})
    store_->record(bench_input(
        n, {bench_row(records::kRoofOp, 200), bench_row("exp", 220.5), bench_row("log", 220)}));
  report = judged();
  EXPECT_EQ(of(report, "exp").judgement.verdict, Verdict::kSlower);
  EXPECT_EQ(of(report, "log").judgement.verdict, Verdict::kSame);
  EXPECT_EQ(outcome_of(report, FailOn::kConfirmed), Outcome::kFail);
}

// Everything 8 % slower, the probe too: the machine. One of them 8 % more: the code.
TEST_F(RegressTest, AMovedMachineIsNotTheCode) {
  nights(34, [](int n, Times& t, auto&) {
    if (n < 31) return;
    t.roof *= 1.08;
    t.exp *= 1.08;
    t.log *= 1.08 * 1.08;
  });
  const NightReport report = judged();
  EXPECT_TRUE(report.machine_moved());
  EXPECT_TRUE(of(report, "exp").machine_moved);
  EXPECT_EQ(of(report, "exp").judgement.verdict, Verdict::kSame) << of(report, "exp").judgement.why;
  EXPECT_EQ(of(report, "log").judgement.verdict, Verdict::kSlower);
  EXPECT_NEAR(of(report, "log").judgement.shift, 0.08, 0.02);
}

// Long after, when the baseline has followed, the history still says when and between which
// commits.
TEST_F(RegressTest, AChangeIsDated) {
  nights(90, [](int n, Times& t, auto&) {
    if (n >= 40) t.exp *= 1.05;
  });
  const NightReport report = judged();
  EXPECT_EQ(of(report, "exp").judgement.verdict, Verdict::kSame) << "fifty nights ago";
  const auto json = nlohmann::json::parse(to_json(report));
  for (const auto& series : json["series"]) {
    EXPECT_EQ(series["changes"].size(), series["op"] == "exp" ? 1u : 0u);
    if (series["op"] == "exp") {
      EXPECT_EQ(series["changes"][0]["night"], night(40).substr(0, 10));
    }
  }
}

TEST_F(RegressTest, ASlowerPeerFailsNothing) {
  nights(33, [](int n, Times&, std::vector<BenchRow>& more) {
    more.push_back(bench_row("exp", n < 30 ? 300 + n % 3 : 400));
    more.back().implementation = "pytorch_eager";
  });
  const NightReport report = judged();
  EXPECT_EQ(outcome_of(report, FailOn::kConfirmed), Outcome::kPass);
  bool shown = false;
  for (const SeriesVerdict& v : report.series)
    shown |= v.key.implementation == "pytorch_eager" && v.judgement.verdict == Verdict::kSlower;
  EXPECT_TRUE(shown);
}

// A new driver begins anew: NO-DATA, never a verdict across it, and nothing judged is no pass.
TEST_F(RegressTest, ANewDriverIsNoData) {
  nights(30, [](int, Times&, auto&) {});
  BenchRow row = bench_row("exp", 100);
  row.driver = "581";
  store_->record(bench_input(30, {row}));
  const NightReport report = judged();
  ASSERT_EQ(report.series.size(), 1u);
  EXPECT_EQ(report.series[0].judgement.verdict, Verdict::kNoData);
  EXPECT_EQ(report.ended, 2u);
  EXPECT_EQ(outcome_of(report, FailOn::kConfirmed), Outcome::kInconclusive);
}

TEST_F(RegressTest, WhatWasNotMeasuredTonightIsNoData) {
  nights(30, [](int, Times&, auto&) {});
  BenchRow row = bench_row("log", 1);
  row.samples = 0;
  row.reason = "out of memory";
  row.median_us = row.q1_us = row.q3_us = row.min_us = -1;
  row.times_us.clear();
  store_->record(bench_input(30, {bench_row(records::kRoofOp, 200), row}));
  const NightReport report = judged();
  EXPECT_EQ(of(report, "exp").judgement.verdict, Verdict::kNoData);
  EXPECT_EQ(of(report, "log").judgement.verdict, Verdict::kNoData);
  EXPECT_NE(of(report, "log").judgement.why.find("out of memory"), std::string::npos);
  EXPECT_EQ(outcome_of(report, FailOn::kConfirmed), Outcome::kInconclusive);
}

// One night measured three times is one night: it cannot confirm itself.
TEST_F(RegressTest, RunsOfOneNightAreOneNight) {
  nights(30, [](int, Times&, auto&) {});
  for (int i = 0; i < 3; ++i) {
    RunInput run = bench_input(
        30, {bench_row(records::kRoofOp, 200), bench_row("exp", 260), bench_row("log", 220)});
    run.manifest.command += " " + std::to_string(i);
    run.content += std::to_string(i);
    ASSERT_TRUE(store_->record(run));
  }
  EXPECT_EQ(of(judged(), "exp").judgement.stage, Stage::kSuspect);
}

TEST_F(RegressTest, AnEmptyHistoryIsAnError) { EXPECT_THROW(judged(), ValueError); }

TEST_F(RegressTest, FloorsHoldFromTheFirstNight) {
  store_->record(bench_input(0, {bench_row("exp", 210), bench_row("log", 220)}));
  const auto with = [&](const std::string& text) {
    return judged(read_thresholds(file("[[floor]]\nbecause = \"measured\"\n" + text)));
  };
  EXPECT_TRUE(with("op = \"exp\"\nmin_share_copy = 0.95\n").missed.empty());
  NightReport report = with("op = \"*\"\nmin_share_copy = 0.97\n");
  ASSERT_EQ(report.missed.size(), 2u);
  EXPECT_EQ(report.missed[0].because, "measured");
  EXPECT_EQ(outcome_of(report, FailOn::kConfirmed), Outcome::kFail);
  EXPECT_EQ(with("max_us = 215\n").missed.size(), 1u);
  EXPECT_EQ(with("op = \"@(exp|log)\"\nmax_us = 1\n").missed.size(), 2u);
  EXPECT_EQ(with("least_bytes = 1e12\nmax_us = 1\n").missed.size(), 0u);
  EXPECT_EQ(with("op = \"log\"\nmin_tflops = 1\n").missed.size(), 1u)
      << "a figure that is not there is below any floor";
  report = with("op = \"softmax\"\nmax_us = 1\n");
  EXPECT_TRUE(report.missed.empty());
  EXPECT_EQ(report.idle_floors.size(), 1u);
}

TEST_F(RegressTest, ATargetIsToldAndFailsNothing) {
  store_->record(bench_input(0, {bench_row("exp", 210), bench_row("log", 220)}));
  const NightReport report = judged(
      read_thresholds(file("[[target]]\nmax_us = 215\nbecause = \"a wish\"\n"
                           "[[target]]\nop = \"softmax\"\nmax_us = 215\nbecause = \"a wish\"\n")));
  EXPECT_TRUE(report.missed.empty());
  EXPECT_EQ(report.missed_targets.size(), 1u);
  EXPECT_EQ(report.targets_reached, 1u);
  EXPECT_TRUE(report.idle_floors.empty());
  EXPECT_NE(outcome_of(report, FailOn::kConfirmed), Outcome::kFail);
}

// The faster of a peer's ways is the one that is compared with.
TEST_F(RegressTest, AFloorMayBeARatioToAPeer) {
  const auto peer = [](const std::string& op, const char* name, double ratio) {
    records::BenchRow row = bench_row(op, 210 * ratio);
    row.implementation = name;
    row.ratio = row.ratio_min = row.ratio_max = ratio;
    return row;
  };
  store_->record(bench_input(
      0, {bench_row("exp", 210), peer("exp", "pytorch_eager", 1.5),
          peer("exp", "pytorch_compile", 1.1), peer("exp", "cublaslt_tuned", 0.5),
          bench_row("log", 210), peer("log", "pytorch_eager", 4.4), bench_row("sum", 210)}));
  const auto missed = [&](const std::string& text) {
    return judged(read_thresholds(file("[[floor]]\nbecause = \"x\"\n" + text))).missed;
  };
  EXPECT_EQ(missed("peer = \"pytorch*\"\nmin_ratio = 1.05\n").size(), 0u)
      << "log and exp; nobody did sum";
  const auto slower = missed("peer = \"pytorch*\"\nmin_ratio = 1.2\n");
  ASSERT_EQ(slower.size(), 1u);
  EXPECT_NE(slower[0].row.find("exp"), std::string::npos);
  EXPECT_NE(slower[0].why.find("1.1 times"), std::string::npos) << slower[0].why;
  records::BenchRow view = peer("exp", "pytorch_other", 0.01);
  view.view = true;
  view.bytes = 0;
  RunInput later = bench_input(1, {bench_row("exp", 210), peer("exp", "pytorch_eager", 1.5), view});
  store_->record(later);
  EXPECT_EQ(missed("peer = \"pytorch*\"\nmin_ratio = 1.2\n").size(), 0u) << "a view is other work";
  store_->record(bench_input(2, {bench_row("exp", 210), peer("exp", "pytorch_compile", 1.1),
                                 bench_row("log", 210), peer("log", "pytorch_eager", 4.4)}));
  // sqrt(1.1 * 4.4) = 2.2
  EXPECT_EQ(missed("peer = \"pytorch*\"\nmin_mean_ratio = 2.19\n").size(), 0u);
  EXPECT_EQ(missed("peer = \"pytorch*\"\nmin_mean_ratio = 2.21\n").size(), 1u);
  EXPECT_EQ(judged(read_thresholds(file("[[floor]]\nbecause = \"x\"\npeer = \"cub\"\n"
                                        "min_ratio = 1\n")))
                .idle_floors.size(),
            1u);
}

TEST_F(RegressTest, TheNightsOwnThresholdsAreRead) {
  const Thresholds night = read_thresholds(FLAME_THRESHOLDS);
  EXPECT_GT(night.floors.size(), 10u);
  for (const Floor& floor : night.floors) EXPECT_GT(floor.because.size(), 10u) << floor.name();
}

TEST_F(RegressTest, ThresholdsAreReadStrictly) {
  for (const char* bad :
       {"[[floor]]\nop = \"exp\"\nbecause = \"x\"\n",
        "[[floor]]\nmin_gbps = \"many\"\nbecause = \"x\"\n",
        "[[floor]]\nmin_gbps = -1\nbecause = \"x\"\n", "[[floor]]\nmin_gbsp = 1\nbecause = \"x\"\n",
        "[floor]\nmin_gbps = 1\nbecause = \"x\"\n", "x = 1\n", "[[floor]\n",
        "[[floor]]\nop = 3\nmin_gbps = 1\nbecause = \"x\"\n", "[[floor]]\nmin_gbps = 1\n",
        "[[floor]]\nmin_ratio = 1\nbecause = \"x\"\n",
        "[[target]]\npeer = \"cub\"\nmin_gbps = 1\nbecause = \"x\"\n",
        "[[explanation]]\nop = \"exp\"\n", "[[explanation]]\nbecause = \"x\"\n",
        "[[explanation]]\nop = \"exp\"\nbecause = \"x\"\nmax_us = 1\n",
        "[explanation]\nop = \"exp\"\nbecause = \"x\"\n"}) {
    try {
      read_thresholds(file(bad));
      ADD_FAILURE() << "took: " << bad;
    } catch (const FileError& e) {
      EXPECT_NE(std::string(e.what()).find("thresholds.toml:"), std::string::npos) << e.what();
    }
  }
  EXPECT_THROW(read_thresholds((root_ / "absent.toml").string()), FileError);
}

TEST_F(RegressTest, DriftOfRIsReported) {
  nights(1, [](int, Times&, auto&) {});
  for (int n = 1; n < 6; ++n) {
    RunInput run = bench_input(n, {});
    records::Record record;
    record.op = "exp";
    record.check = "forward";
    record.dtype = "float32";
    record.verdict = records::Verdict::kPass;
    record.r = n < 5 ? 0.1 : 0.5;
    run.records.push_back(record);
    store_->record(run);
  }
  const NightReport report = judged();
  ASSERT_EQ(report.drifts.size(), 1u);
  EXPECT_NEAR(report.drifts[0].factor, 5, 1e-9);
}

TEST_F(RegressTest, JsonSaysTheSame) {
  nights(30, [](int, Times&, auto&) {});
  const auto json = nlohmann::json::parse(to_json(judged()));
  EXPECT_EQ(json["outcome"], "pass");
  EXPECT_EQ(json["series"].size(), 2u);
  EXPECT_EQ(json["counts"]["SAME"], 2);
  EXPECT_EQ(json["series"][0]["points"].size(), 30u);
  EXPECT_EQ(json["series"][0]["points"][29]["night"], night(29).substr(0, 10));
}

// ---- two runs side by side ----

BenchRow noisy(const std::string& op, double level, std::uint64_t seed, double noise = 0.005) {
  Nights nights(seed, noise, 0);
  BenchRow row = bench_row(op, level);
  row.times_us = nights.take(21, level);
  row.samples = 21;
  auto sorted = row.times_us;
  std::sort(sorted.begin(), sorted.end());
  row.min_us = sorted[0];
  row.q1_us = sorted[5];
  row.median_us = sorted[10];
  row.q3_us = sorted[15];
  return row;
}

Comparison compared(BenchRow a, BenchRow b) {
  records::BenchRun left, right;
  left.rows = {std::move(a)};
  right.rows = {std::move(b)};
  return compare_runs(left, right);
}

TEST(CompareTest, Verdicts) {
  const auto verdict = [](const BenchRow& a, const BenchRow& b) {
    return compared(a, b).rows.at(0).verdict;
  };
  EXPECT_EQ(verdict(noisy("exp", 100, 1), noisy("exp", 100, 2)), Verdict::kSame);
  EXPECT_EQ(verdict(noisy("exp", 100, 1), noisy("exp", 105, 2)), Verdict::kSlower);
  EXPECT_EQ(verdict(noisy("exp", 105, 1), noisy("exp", 100, 2)), Verdict::kFaster);
  EXPECT_EQ(verdict(noisy("exp", 100, 1, 0.2), noisy("exp", 100, 2, 0.2)), Verdict::kAmbiguous);
  BenchRow other = noisy("exp", 100, 2);
  other.gpu = "A100";
  EXPECT_EQ(verdict(noisy("exp", 100, 1), other), Verdict::kNoData);
  other = noisy("exp", 110, 2);
  other.times_us.clear();
  EXPECT_EQ(verdict(noisy("exp", 100, 1), other), Verdict::kAmbiguous);
}

TEST(CompareTest, ManyRowsOfTheSameAreNotCalledDifferent) {
  records::BenchRun a, b;
  for (int i = 0; i < 400; ++i) {
    a.rows.push_back(noisy("op" + std::to_string(i), 100, std::uint64_t(i) + 1, 0.02));
    b.rows.push_back(noisy("op" + std::to_string(i), 100, std::uint64_t(i) + 9001, 0.02));
  }
  const Comparison c = compare_runs(a, b);
  EXPECT_EQ(c.count(Verdict::kSlower) + c.count(Verdict::kFaster), 0u);
  EXPECT_GT(c.count(Verdict::kSame), 100u);
}

// The same code twice differed by 6 %: 5 % is then nothing.
TEST(CompareTest, TheFloorIsMeasured) {
  records::BenchRun a, b, again;
  a.rows = {noisy("exp", 100, 1)};
  b.rows = {noisy("exp", 105, 2)};
  again.rows = {noisy("exp", 106, 3)};
  EXPECT_EQ(compare_runs(a, b).rows[0].verdict, Verdict::kSlower);
  EXPECT_NE(compare_runs(a, b, &again).rows[0].verdict, Verdict::kSlower);
  EXPECT_NEAR(compare_runs(a, b, &again).rows[0].floor, 0.06, 0.01);
  // Samples that alternate between two levels are their own floor.
  EXPECT_NEAR(aa_floor({100, 110, 100, 110, 100, 110}), 0.1, 1e-12);
}

TEST(CompareTest, RowsOfOneRunOnlyAreShown) {
  const Comparison c = compared(noisy("exp", 100, 1), noisy("log", 100, 2));
  ASSERT_EQ(c.rows.size(), 2u);
  EXPECT_EQ(c.count(Verdict::kNoData), 2u);
  EXPECT_EQ(nlohmann::json::parse(to_json(c))["rows"][1]["op"], "log");
}

TEST_F(RegressTest, RunsInTurnSettleASuspicionAtOnce) {
  nights(31, [](int n, Times& t, auto&) {
    if (n == 30) t.exp *= 1.06;
  });
  NightReport report = judged(), cleared = report;
  confirm_by(report, compared(noisy("exp", 210, 1), noisy("exp", 222, 2)));
  EXPECT_EQ(of(report, "exp").judgement.stage, Stage::kConfirmed);
  EXPECT_EQ(outcome_of(report, FailOn::kConfirmed), Outcome::kFail);
  confirm_by(cleared, compared(noisy("exp", 210, 1), noisy("exp", 210, 2)));
  EXPECT_EQ(of(cleared, "exp").judgement.verdict, Verdict::kSame);
}

}  // namespace
}  // namespace flame::history
