// flame record, compare and regress as a user meets them.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"
#include "reports/history/tests/bench_runs.h"
#include "reports/history/tests/nights.h"

namespace flame::history {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class HistoryCli : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            (std::string("flame_history_cli_") +
             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  struct Result {
    int code = -1;
    std::string out, err;
  };
  Result flame(const std::string& args) { return shell(str_cat("'", FLAME_PROGRAM, "' ", args)); }
  Result shell(const std::string& command) {
    const std::string err = (root_ / "stderr").string();
    const std::string line = str_cat(command, " 2>'", err, "'");
    FILE* pipe = popen(line.c_str(), "r");
    Result r;
    char buffer[4096];
    for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) r.out.append(buffer, n);
    const int status = pclose(pipe);
    r.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::ifstream in(err);
    r.err.assign(std::istreambuf_iterator<char>(in), {});
    return r;
  }
  // A run's folder with exp at `us` and the copy probe.
  std::string folder(int n, double us, const std::string& name) {
    const fs::path path = root_ / name;
    fs::create_directories(path);
    std::ofstream(path / "run.json") << records::to_json(manifest(night(n)));
    std::ofstream(path / "bench.jsonl")
        << records::to_line(bench_row(records::kRoofOp, 200)) << '\n'
        << records::to_line(bench_row("exp", us)) << '\n';
    return path.string();
  }
  std::string recorded(int nights, int slow) {
    Nights noise(1, 0.003, 0);
    std::string folders;
    for (int n = 0; n < nights; ++n) {
      const double us = noise.next(n < nights - slow ? 210 : 240);
      folders += str_cat(" ", folder(n, us, std::to_string(n)));
    }
    const std::string database = (root_ / "history.db").string();
    const Result r = flame("record " + database + folders);
    EXPECT_EQ(r.code, 0) << r.err;
    return database;
  }

  fs::path root_;
};

TEST_F(HistoryCli, QuietNightsAreZero) {
  const std::string database = recorded(20, 0);
  const Result r = flame("regress " + database);
  EXPECT_EQ(r.code, 0) << r.out << r.err;
  EXPECT_NE(r.out.find("SAME 1"), std::string::npos) << r.out;
  EXPECT_EQ(Json::parse(flame("regress --json " + database).out)["outcome"], "pass");
  EXPECT_NE(flame("regress --all " + database).out.find("exp"), std::string::npos);
  // The same runs again change nothing.
  const Result again = flame("record " + database + " " + (root_ / "3").string());
  EXPECT_EQ(again.code, 0);
  EXPECT_NE(again.out.find("recorded before"), std::string::npos);
  EXPECT_NE(again.err.find("holds 20 runs"), std::string::npos);
}

TEST_F(HistoryCli, ASlowdownIsOneAndASuspicionIsFour) {
  const std::string slow = recorded(20, 3);
  const Result r = flame("regress " + slow);
  EXPECT_EQ(r.code, 1) << r.out;
  EXPECT_NE(r.out.find("SLOWER"), std::string::npos);
  fs::remove_all(root_ / "history.db");
  for (const char* tail : {"-wal", "-shm"}) fs::remove(root_ / str_cat("history.db", tail));
  const std::string once = recorded(20, 1);
  EXPECT_EQ(flame("regress " + once).code, 4);
  EXPECT_EQ(flame("regress --fail-on suspect " + once).code, 1);
  // Runs in turn settle it.
  const std::string base = folder(50, 210, "base"), head = folder(51, 240, "head");
  EXPECT_EQ(flame("regress " + once + " --base " + base + " --head " + head).code, 1);
  EXPECT_EQ(flame("regress " + once + " --base " + base + " --head " + base).code, 0);
}

TEST_F(HistoryCli, AFewNightsAreInconclusiveButFloorsHold) {
  const std::string database = recorded(3, 0);
  EXPECT_EQ(flame("regress " + database).code, 4);
  const fs::path floors = root_ / "floors.toml";
  std::ofstream(floors) << "[[floor]]\nop = \"exp\"\nmin_share_copy = 0.99\n"
                        << "because = \"measured\"\n";
  const Result r = flame("regress " + database + " --thresholds " + floors.string());
  EXPECT_EQ(r.code, 1);
  EXPECT_NE(r.out.find("share of copy is 0.95, at least 0.99"), std::string::npos) << r.out;
}

TEST_F(HistoryCli, TwoRunsSideBySide) {
  const std::string a = folder(0, 210, "a"), b = folder(1, 240, "b"), c = folder(2, 210.1, "c");
  EXPECT_EQ(flame("compare " + a + " " + c).code, 0);
  const Result slower = flame("compare " + a + " " + b);
  EXPECT_EQ(slower.code, 1);
  EXPECT_NE(slower.out.find("+14.29%"), std::string::npos) << slower.out;
  EXPECT_EQ(flame("compare " + b + " " + a).code, 0) << "faster";
  EXPECT_EQ(flame("compare " + a + " " + b + " --again " + b).code, 4) << "the floor is as large";
  const Json json = Json::parse(flame("compare --json " + a + " " + b).out);
  EXPECT_EQ(json["counts"]["SLOWER"], 1);
  EXPECT_EQ(json["counts"]["SAME"], 1) << "the probe";
}

TEST_F(HistoryCli, APageOfABenchRun) {
  const std::string a = folder(0, 210, "a"), b = folder(1, 240, "b");
  const Result alone = flame("report " + a);
  EXPECT_EQ(alone.code, 0) << alone.err;
  EXPECT_NE(alone.out.find("1 measurement of 1 op on H200"), std::string::npos) << alone.out;
  const auto page = [](const std::string& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(page(a + "/performance.md").find("SLOWER"), std::string::npos);
  EXPECT_EQ(flame("report " + b + " --against " + a).code, 0);
  EXPECT_NE(page(b + "/performance.md").find("| SLOWER |"), std::string::npos);
  EXPECT_EQ(flame("report " + b + " --against /nonexistent").code, 2);
  const Result history = flame("report " + b + " --history " + recorded(20, 3));
  EXPECT_EQ(history.code, 0) << history.err;
  EXPECT_NE(page(b + "/performance.md").find("## History"), std::string::npos);
  EXPECT_NE(page(b + "/performance.md").find("SLOWER confirmed"), std::string::npos);
  EXPECT_EQ(flame("report " + b + " --history /nonexistent").code, 2);
  std::ofstream(fs::path(b) / "bench.jsonl", std::ios::app) << "{}\n";
  const Result broken = flame("report " + b);
  EXPECT_EQ(broken.code, 2);
  EXPECT_NE(broken.err.find("bench.jsonl:3"), std::string::npos) << broken.err;
}

TEST_F(HistoryCli, PublishPutsTheRecordsIntoTheReadme) {
  const std::string run = folder(0, 210, "run"), readme = (root_ / "README.md").string();
  const std::string publish =
      str_cat("FLAME='", FLAME_PROGRAM, "' README='", readme, "' '", FLAME_SOURCE_DIR,
              "/tools/publish' --bench ", run, " ", (root_ / "out").string());
  std::ofstream(readme) << "no mark\n";
  EXPECT_EQ(shell(publish).code, 2);
  std::ofstream(readme) << "before\n<!-- performance -->\nstale\n<!-- /performance -->\nafter\n";
  // Twice: what is published is replaced, not added to.
  for (int i = 0; i < 2; ++i) {
    const Result r = shell(publish);
    ASSERT_EQ(r.code, 0) << r.err;
    std::ifstream in(readme);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    EXPECT_EQ(text.find("before\n<!-- performance -->\n1 measurement of 1 op on H200"), 0u) << text;
    EXPECT_NE(text.find("](out/bench/performance.svg)"), std::string::npos) << text;
    EXPECT_NE(text.find("\n| exp | 95 % |"), std::string::npos) << text;
    EXPECT_NE(text.find("\n<!-- /performance -->\nafter\n"), std::string::npos) << text;
    EXPECT_EQ(text.find("stale"), std::string::npos);
  }
  for (const char* file : {"bench.jsonl", "run.json", "performance.html", "performance.svg"})
    EXPECT_TRUE(fs::exists(root_ / "out" / "bench" / file)) << file;
}

TEST_F(HistoryCli, WhatMakesNoSenseIsUsage) {
  std::ofstream(root_ / "text") << "no database";
  const std::string text = (root_ / "text").string(), run = folder(0, 1, "run");
  for (const std::string& args : std::vector<std::string>{
           "record", "record " + (root_ / "x.db").string(),
           "record " + (root_ / "x.db").string() + " /nonexistent", "record " + text + " " + run,
           "regress /nonexistent", "regress " + text, "regress " + text + " --fail-on whim",
           "compare " + run, "compare " + run + " /nonexistent"}) {
    const Result r = flame(args);
    EXPECT_EQ(r.code, 2) << args << r.err;
    EXPECT_FALSE(r.err.empty()) << args;
    EXPECT_TRUE(r.out.empty()) << args << r.out;
  }
  // Nothing is kept of a list with one bad folder.
  EXPECT_EQ(flame("record " + (root_ / "x.db").string() + " " + run + " /nonexistent").code, 2);
  EXPECT_FALSE(fs::exists(root_ / "x.db"));
}

}  // namespace
}  // namespace flame::history
