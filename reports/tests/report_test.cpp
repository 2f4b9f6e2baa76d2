// Pages say what the records say, and nothing else.
#include "reports/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "lib/core/error.h"
#include "reports/charts.h"

namespace flame::reports {
namespace {

using records::RunManifest;
using records::Verdict;

constexpr Time kNow{std::chrono::sys_days(std::chrono::year(2026) / 11 / 20) +
                    std::chrono::hours(12)};

Record record(const std::string& op, const std::string& check, double r,
              Verdict verdict = Verdict::kPass) {
  Record out;
  out.op = op;
  out.case_name = op + " rows_7";
  out.dtype = "float32";
  out.layout = "contiguous";
  out.check = check;
  out.verdict = verdict;
  out.r = r;
  out.where = "output[1]";
  out.compared = 1234;
  out.device_kind = "gpu";
  out.ms = 2;
  out.reproduce = "flame verify --op " + op + " --case rows_7";
  if (verdict != Verdict::kPass) out.reason = "because of <this> & that | those";
  return out;
}

Kill kill(const std::string& fake, const std::string& op, Verdict verdict,
          const std::string& others = "missed") {
  Kill out;
  out.fake = fake;
  out.op = op;
  out.check = "forward";
  out.verdict = verdict;
  if (verdict == Verdict::kPass) out.caught_by = "forward";
  if (verdict != Verdict::kPass) out.reason = "has no second input";
  out.allclose = out.ggml_nmse = out.jax_scaled = others;
  out.sum_loss = "n/a";
  out.device_kind = "gpu";
  return out;
}

records::Run gpu_run() {
  records::Run run;
  RunManifest& m = run.manifest;
  m.device_kind = "gpu";
  m.device_name = "NVIDIA Test";
  m.arch = "sm_90a";
  m.commit = "abcdef012345";
  m.level = "quick";
  m.started_utc = "2026-11-20T09:00:00Z";
  m.ops = {{"alpha", "compute", true, {"float32"}, {}}, {"beta", "compute", true, {"float32"}, {}}};
  m.checks = {"forward", "backward", "deterministic", "memory"};
  m.exported_kernels = {"alpha_forward<float>", "alpha_forward<double>"};
  run.records = {record("alpha", "forward", 0.25), record("alpha", "backward", 0.5),
                 record("beta", "forward", 0.125), record("alpha", "deterministic", -1)};
  run.records[0].kernels = {"alpha_forward< float >"};
  run.records[0].witness = "cupti";
  m.planned = 4;
  return run;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Summary, CountsWhatIsThere) {
  records::Run run = gpu_run();
  run.records.push_back(record("beta", "backward", 1.5, Verdict::kFail));
  run.records.push_back(record("beta", "memory", -1, Verdict::kNotRun));
  run.manifest.planned = 10;
  const Summary s = summarise(run);
  EXPECT_EQ(s.all.passed, 4);
  EXPECT_EQ(s.all.failed, 1);
  EXPECT_EQ(s.all.not_run, 1);
  EXPECT_EQ(s.missing, 4);
  EXPECT_EQ(s.forward.at("alpha").worst_r(), 0.25);
  EXPECT_EQ(s.gradient.at("beta").worst_r(), 1.5);
  EXPECT_EQ(s.worst_gradients.front()->op, "beta");
  EXPECT_EQ(s.state, State::kFail);
}

TEST(Summary, NanIsTheWorst) {
  EXPECT_TRUE(worse(std::nan(""), 1e300));
  EXPECT_FALSE(worse(1e300, std::nan("")));
  records::Run run = gpu_run();
  run.records.push_back(record("alpha", "forward", std::nan(""), Verdict::kFail));
  run.records.push_back(record("alpha", "forward", 7, Verdict::kFail));
  EXPECT_TRUE(std::isnan(summarise(run).forward.at("alpha").worst_r()));
}

TEST(Summary, OnlyAWholeRunPasses) {
  records::Run run = gpu_run();
  EXPECT_EQ(summarise(run).state, State::kPass);
  run.manifest.planned = 5;
  EXPECT_EQ(summarise(run).state, State::kHoles);
  run.manifest.planned = 4;
  run.records[3].verdict = Verdict::kNotRun;
  EXPECT_EQ(summarise(run).state, State::kHoles);
  for (Record& r : run.records) r.verdict = Verdict::kNotRun;
  EXPECT_EQ(summarise(run).state, State::kEmpty);
  run.records.clear();
  EXPECT_EQ(summarise(run).state, State::kEmpty);
}

TEST(Summary, ARunThatNobodyEndedIsIncomplete) {
  records::Run run = gpu_run();
  run.manifest.state = records::kRunning;
  EXPECT_EQ(summarise(run).state, State::kIncomplete) << "although every record is there";
  EXPECT_TRUE(verdict_line(run, summarise(run)).starts_with("INCOMPLETE: "));
  run.records.push_back(record("alpha", "forward", 7, Verdict::kFail));
  EXPECT_EQ(summarise(run).state, State::kFail);
}

TEST(Summary, ASurvivorFailsTheRun) {
  records::Run run = gpu_run();
  run.kills = {kill("zeros", "alpha", Verdict::kPass), kill("zeros", "beta", Verdict::kFail),
               kill("copy", "alpha", Verdict::kNotRun)};
  const Summary s = summarise(run);
  EXPECT_EQ(s.state, State::kFail);
  EXPECT_EQ(s.kills.killed, 1);
  EXPECT_EQ(s.kills.survived, 1);
  EXPECT_EQ(s.kills.not_worn, 1);
  EXPECT_EQ(s.kills.missed[0], 2);  // the pair that cannot be worn says nothing of a judge
}

TEST(Summary, KernelsAreComparedWithoutSpaces) {
  const records::Run run = gpu_run();
  const Summary s = summarise(run);
  EXPECT_EQ(s.exported, 2);
  EXPECT_EQ(s.exported_witnessed, 1);
  ASSERT_EQ(s.kernels.size(), 1u);
  EXPECT_EQ(s.kernels[0].unseen, std::vector<std::string>{"alpha_forward<double>"});
}

TEST(Summary, PercentagesNeverRoundUpToAll) {
  records::Run run = gpu_run();
  for (int i = 0; i < 999; ++i) run.kills.push_back(kill(str_cat("f", i), "a", Verdict::kPass));
  run.kills.push_back(kill("last", "a", Verdict::kFail));
  EXPECT_FALSE(has(make_pages(run, kNow).markdown, "killed (100%)"));
  EXPECT_TRUE(has(make_pages(run, kNow).markdown, "999 of 1,000 killed (99%)"));
}

TEST(Claims, AGpuProofNeedsAWitness) {
  records::Run run = gpu_run();
  EXPECT_TRUE(has(verdict_line(run, summarise(run)), "witnessed by CUPTI"));
  run.records[0].witness.clear();
  EXPECT_TRUE(has(verdict_line(run, summarise(run)), "not witnessed"));
  EXPECT_TRUE(has(make_pages(run, kNow).html, "not a proof of GPU execution"));
  run = gpu_run();
  run.records[0].kernels.clear();
  EXPECT_FALSE(summarise(run).gpu_proof);
}

TEST(Claims, ASimulatedRunNeverSoundsLikeAGpu) {
  records::Run run = gpu_run();
  run.manifest.device_kind = "simulated";
  for (Record& r : run.records) {
    r.device_kind = "simulated";
    if (!r.witness.empty()) r.witness = "ledger";
  }
  const Pages pages = make_pages(run, kNow);
  for (const std::string* page : {&pages.html, &pages.markdown}) {
    EXPECT_TRUE(has(*page, "no evidence of any GPU"));
    EXPECT_TRUE(has(*page, "(simulated)"));
    EXPECT_FALSE(has(*page, "CUPTI"));
  }
  EXPECT_TRUE(has(pages.status_svg, "simulator"));
  EXPECT_TRUE(has(pages.summary_markdown, "(simulated)"));
}

TEST(Claims, SilenceIsSaid) {
  records::Run run = gpu_run();
  run.records.clear();
  const Pages pages = make_pages(run, kNow);
  EXPECT_TRUE(has(pages.html, "There are no records: nothing was checked."));
  EXPECT_TRUE(has(pages.markdown, "No gradient was checked in this run."));
  EXPECT_TRUE(has(pages.markdown, "No fakes were run"));
  EXPECT_TRUE(has(pages.markdown, "No kernel was seen to run"));
  EXPECT_TRUE(has(pages.markdown, "No record says anything of memory given back"));
  EXPECT_TRUE(has(pages.markdown, "Ops without any record: alpha, beta"));
  EXPECT_TRUE(has(verdict_line(run, summarise(run)), "EMPTY"));
}

TEST(Pages, EveryFailureHasItsReproducer) {
  records::Run run = gpu_run();
  run.records.push_back(record("beta", "backward", 1.5, Verdict::kFail));
  const Pages pages = make_pages(run, kNow);
  EXPECT_TRUE(has(pages.html, "flame verify --op beta --case rows_7"));
  EXPECT_TRUE(has(pages.markdown, "`flame verify --op beta --case rows_7`"));
}

TEST(Pages, TextCannotBecomeMarkup) {
  records::Run run = gpu_run();
  run.records.push_back(record("beta", "backward", 1.5, Verdict::kFail));
  run.records.back().where = "<script>alert(1)</script>";
  run.records.back().case_name = "\"><img src=x>";
  const Pages pages = make_pages(run, kNow);
  EXPECT_FALSE(has(pages.html, "<script>alert"));
  EXPECT_FALSE(has(pages.html, "\"><img"));
  EXPECT_FALSE(has(pages.html, "{{"));
  EXPECT_FALSE(has(pages.markdown, "{{"));
  EXPECT_TRUE(has(pages.markdown, "that \\| those"));
}

TEST(Pages, TheHtmlNeedsNothingElse) {
  const std::string html = make_pages(gpu_run(), kNow).html;
  for (const char* outside : {"http://", "https://", "//cdn", "@import", "<link", "src="})
    EXPECT_FALSE(has(html, outside)) << outside;
}

TEST(Pages, TheAgeIsCounted) {
  records::Run run = gpu_run();
  EXPECT_EQ(data_age(run.manifest.started_utc, kNow), "3 hours");
  EXPECT_EQ(data_age(run.manifest.started_utc, kNow + std::chrono::days(9)), "9 days");
  run.manifest.started_utc = "yesterday";
  EXPECT_EQ(data_age(run.manifest.started_utc, kNow), "unknown time");
  run.manifest.started_utc = "2026-13-40T00:00:00Z";
  EXPECT_EQ(data_age(run.manifest.started_utc, kNow), "unknown time");
}

TEST(Pages, AreTheSameForTheSameRecords) {
  EXPECT_EQ(make_pages(gpu_run(), kNow).html, make_pages(gpu_run(), kNow).html);
}

TEST(Pages, NumbersAreWritten) {
  EXPECT_EQ(format_r(-1), "-");
  EXPECT_EQ(format_r(0), "0");
  EXPECT_EQ(format_r(0.31), "0.31");
  EXPECT_EQ(format_r(0.996), "0.996");
  EXPECT_EQ(format_r(0.99999), "<1");
  EXPECT_EQ(format_r(1), "1.000");
  EXPECT_EQ(format_r(1.00001), ">1");
  EXPECT_EQ(format_r(1.02), "1.02");
  EXPECT_EQ(format_r(std::nan("")), "nan");
  EXPECT_EQ(format_r(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1234567), "1,234,567");
  EXPECT_EQ(format_ms(3.21), "3.2 ms");
  EXPECT_EQ(format_ms(125e3), "2 min 5 s");
}

TEST(Charts, ClassesFollowTheBound) {
  EXPECT_STREQ(headroom_class(1), "h4");
  EXPECT_STREQ(headroom_class(1.0000001), "bad");
  EXPECT_STREQ(headroom_class(std::nan("")), "bad");
  EXPECT_STREQ(headroom_class(-1), "none");
  // At the bound is within it: nothing right of the line is drawn as bad.
  EXPECT_FALSE(has(headroom_strip({1.0, 0.5}, "x"), "class=\"bad\""));
  EXPECT_TRUE(has(headroom_strip({1.01}, "x"), "class=\"bad\""));
  EXPECT_EQ(headroom_strip({}, "x"), "");
}

// A run that the suite itself recorded: what it writes is what is read here.
TEST(RecordedRun, IsReadAndAddsUp) {
  const records::Run run = records::read_run(std::string(FLAME_REPORT_DATA) + "/relu_sim");
  const Summary s = summarise(run);
  EXPECT_FALSE(s.gpu);
  EXPECT_EQ(s.all.total(), std::int64_t(run.records.size()));
  EXPECT_EQ(s.missing, 0);
  EXPECT_EQ(s.all.failed, 0);
  EXPECT_GT(s.forward.at("relu").passed, 0);
  EXPECT_GT(s.kills.killed, 0);
  EXPECT_EQ(s.kills.survived, 0);
  EXPECT_GT(s.exported_witnessed, 0);
  const Pages pages = make_pages(run, kNow);
  EXPECT_TRUE(has(pages.html, "no evidence of any GPU"));
  EXPECT_TRUE(has(pages.markdown, "| relu |"));
}

TEST(WritePages, WritesFourFilesOrSaysWhyNot) {
  const auto root = std::filesystem::path(::testing::TempDir()) / "flame_report_test";
  std::filesystem::remove_all(root);
  EXPECT_THROW(write_pages(gpu_run(), root.string()), FileError);
  std::filesystem::create_directories(root);
  write_pages(gpu_run(), root.string());
  for (const char* name : {"report.html", "report.md", "summary.md", "status.svg"})
    EXPECT_GT(std::filesystem::file_size(root / name), 100u) << name;
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace flame::reports
