// The history is whole at any moment, and refuses what is not it.
#include "reports/history/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "lib/core/error.h"
#include "reports/history/tests/bench_runs.h"

namespace flame::history {
namespace {

namespace fs = std::filesystem;

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            (std::string("flame_history_") +
             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
    path_ = (root_ / "history.db").string();
  }
  void TearDown() override { fs::remove_all(root_); }

  // What opening it for writing and for reading throws; fails the test where either passes.
  void expect_refused(const std::string& path, const std::string& because) {
    for (const Access access : {Access::kRead, Access::kWrite}) {
      try {
        const Store store(path, access, 50);
        store.series();
        store.worst_r();
        store.check_integrity();
        ADD_FAILURE() << path << " was taken for a history";
      } catch (const FileError& e) {
        EXPECT_NE(std::string(e.what()).find(path), std::string::npos) << e.what();
        EXPECT_NE(std::string(e.what()).find(because), std::string::npos) << e.what();
      }
    }
  }
  void sql(const std::string& path, const std::string& text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, &error), SQLITE_OK)
        << (error ? error : "");
    sqlite3_free(error);
    sqlite3_close(db);
  }
  std::string made() {
    Store(path_, Access::kWrite).record(bench_input(0, {bench_row("exp", 100)}));
    return path_;
  }

  fs::path root_;
  std::string path_;
};

TEST_F(StoreTest, WhatIsRecordedIsRead) {
  Store store(path_, Access::kWrite);
  for (const int n : {2, 0, 1})
    EXPECT_TRUE(store.record(bench_input(n, {bench_row("exp", 100 + n), bench_row("log", 50)})));
  EXPECT_EQ(store.runs(), 3u);
  const std::vector<Series> all = store.series();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].key.op, "exp");
  ASSERT_EQ(all[0].samples.size(), 3u);
  for (int n = 0; n < 3; ++n) {
    const Sample& s = all[0].samples[std::size_t(n)];
    EXPECT_EQ(s.started_utc, night(n)) << "oldest first";
    EXPECT_EQ(s.row.median_us, 100 + n);
    EXPECT_EQ(s.row.samples, 11);
    EXPECT_EQ(s.commit, "abc");
  }
  store.check_integrity();
}

TEST_F(StoreTest, TheSameRunTwiceIsOneRun) {
  Store store(path_, Access::kWrite);
  const RunInput run = bench_input(0, {bench_row("exp", 100)});
  EXPECT_TRUE(store.record(run));
  EXPECT_FALSE(store.record(run));
  EXPECT_EQ(store.runs(), 1u);
  EXPECT_EQ(store.series()[0].samples.size(), 1u);
  RunInput other = run;
  other.content = "changed after the fact";
  other.rows[0] = bench_row("exp", 50);
  EXPECT_THROW(store.record(other), FileError);
  EXPECT_EQ(store.series()[0].samples[0].row.median_us, 100);
}

// Every part of the key starts another series by itself.
TEST_F(StoreTest, ANewKeyIsANewSeries) {
  Store store(path_, Access::kWrite);
  std::string records::BenchRow::*const parts[] = {
      &records::BenchRow::case_name,    &records::BenchRow::op,
      &records::BenchRow::dtype,        &records::BenchRow::sizes,
      &records::BenchRow::compute_mode, &records::BenchRow::implementation,
      &records::BenchRow::gpu,          &records::BenchRow::driver,
      &records::BenchRow::cuda,         &records::BenchRow::harness};
  int n = 0;
  store.record(bench_input(n++, {bench_row("exp", 100)}));
  for (auto part : parts) {
    records::BenchRow row = bench_row("exp", 100);
    row.*part = "another";
    store.record(bench_input(n++, {row}));
  }
  records::BenchRow row = bench_row("exp", 100);
  row.temperature = "hot";
  store.record(bench_input(n++, {row}));
  row.direction = "backward";
  store.record(bench_input(n++, {row}));
  const auto all = store.series();
  EXPECT_EQ(all.size(), std::size(parts) + 3);
  for (const Series& s : all) EXPECT_EQ(s.samples.size(), 1u);
}

TEST_F(StoreTest, WorstROfAVerifyRun) {
  Store store(path_, Access::kWrite);
  RunInput run = bench_input(0, {});
  const auto add = [&](double r, records::Verdict verdict, const char* name) {
    records::Record record;
    record.op = "exp";
    record.check = "forward";
    record.dtype = "float32";
    record.case_name = name;
    record.r = r;
    record.verdict = verdict;
    run.records.push_back(record);
  };
  add(0.25, records::Verdict::kPass, "a");
  add(0.5, records::Verdict::kPass, "b");
  add(-1, records::Verdict::kNotRun, "c");
  store.record(run);
  run = bench_input(1, {});
  add(0.5, records::Verdict::kPass, "a");
  add(std::nan(""), records::Verdict::kFail, "b");
  add(7, records::Verdict::kFail, "c");
  store.record(run);
  const auto all = store.worst_r();
  ASSERT_EQ(all.size(), 1u);
  ASSERT_EQ(all[0].points.size(), 2u);
  EXPECT_EQ(all[0].points[0].r, 0.5);
  EXPECT_EQ(all[0].points[0].case_name, "b");
  EXPECT_EQ(all[0].points[0].passed, 2);
  EXPECT_EQ(all[0].points[0].not_run, 1);
  EXPECT_TRUE(std::isnan(all[0].points[1].r)) << "NaN is worse than 7";
  EXPECT_EQ(all[0].points[1].failed, 2);
}

TEST_F(StoreTest, ForeignAndDamagedFilesAreRefused) {
  const std::string text = (root_ / "text.db").string();
  std::ofstream(text) << std::string(5000, 'x');
  expect_refused(text, "is not a SQLite database");
  const std::string foreign = (root_ / "foreign.db").string();
  sql(foreign, "CREATE TABLE run (id INTEGER); INSERT INTO run VALUES (1)");
  expect_refused(foreign, "something else");
  expect_refused(root_.string(), "is not a file");
  EXPECT_THROW(Store((root_ / "absent.db").string(), Access::kRead), FileError);
  EXPECT_FALSE(fs::exists(root_ / "absent.db"));
  EXPECT_THROW(Store((root_ / "no/folder.db").string(), Access::kWrite), FileError);
}

TEST_F(StoreTest, ATamperedSchemaIsRefused) {
  sql(made(), "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM sample; END");
  expect_refused(path_, "holds more than a history");
  sql(path_, "DROP TRIGGER t; ALTER TABLE run ADD COLUMN more TEXT");
  expect_refused(path_, "is not what it should be");
}

TEST_F(StoreTest, ANewerSchemaIsRefused) {
  sql(made(), "INSERT INTO schema_version VALUES (99, 'later')");
  expect_refused(path_, "has schema 99");
}

TEST_F(StoreTest, ALineThatIsNoRowIsRefused) {
  sql(made(), "UPDATE sample SET line = '{\"schema\": \"other/1\"}'");
  expect_refused(path_, "other/1");
}

TEST_F(StoreTest, ALockedFileIsAnErrorInTime) {
  made();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  try {
    Store(path_, Access::kWrite, 50).record(bench_input(1, {bench_row("exp", 1)}));
    ADD_FAILURE() << "recorded into a locked file";
  } catch (const FileError& e) {
    EXPECT_NE(std::string(e.what()).find("locked"), std::string::npos) << e.what();
  }
  EXPECT_EQ(Store(path_, Access::kRead).runs(), 1u) << "readers do not wait for a writer";
  sqlite3_close(db);
  EXPECT_TRUE(Store(path_, Access::kWrite, 50).record(bench_input(1, {bench_row("exp", 1)})));
}

// Flipped bytes and cut tails: an error, or the very same history; never a crash, never another
// one.
TEST_F(StoreTest, DamageIsAnErrorAndNoCrash) {
  {
    Store store(path_, Access::kWrite);
    for (int n = 0; n < 20; ++n)
      store.record(bench_input(n, {bench_row("exp", 100 + n), bench_row("log", 50)}));
  }
  std::ifstream in(path_, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  ASSERT_GT(whole.size(), 10000u);
  std::mt19937_64 random(5);
  int refused = 0;
  const std::string copy = (root_ / "copy.db").string();
  for (int trial = 0; trial < 150; ++trial) {
    std::string bytes = whole;
    if (trial % 3 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      for (int i = 0; i < 16; ++i) bytes[random() % bytes.size()] ^= char(1 + random() % 255);
    }
    std::ofstream(copy, std::ios::binary | std::ios::trunc) << bytes;
    try {
      const Store store(copy, Access::kRead);
      store.check_integrity();
      store.series();
      store.worst_r();
    } catch (const FileError&) {
      ++refused;
    }
    for (const char* tail : {"", "-wal", "-shm"}) fs::remove(copy + tail);
  }
  EXPECT_GT(refused, 100);
}

// A child records run after run and is killed at a random moment, again and again on one file.
TEST_F(StoreTest, KilledAtAnyMomentItStaysWhole) {
  constexpr int kRuns = 400, kRows = 6, kKills = 40;
  const auto input = [](int n) {
    std::vector<records::BenchRow> rows;
    for (int i = 0; i < kRows; ++i) rows.push_back(bench_row("op" + std::to_string(i), 100 + n));
    RunInput run = bench_input(0, std::move(rows));
    run.manifest.command = "flame bench --seed " + std::to_string(n);
    run.content = "run " + std::to_string(n);
    return run;
  };
  std::mt19937_64 random(11);
  std::size_t least = 0;
  int killed_early = 0;
  for (int kill_number = 0; kill_number < kKills; ++kill_number) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        for (int n = 0; n < kRuns; ++n) Store(path_, Access::kWrite).record(input(n));
      } catch (...) {
        _exit(1);
      }
      _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    killed_early += WIFSIGNALED(status);

    const Store store(path_, Access::kWrite);  // also makes what the child had not begun to make
    store.check_integrity();
    const std::size_t runs = store.runs();
    EXPECT_GE(runs, least) << "a recorded run is gone";
    least = runs;
    std::size_t samples = 0;
    for (const Series& s : store.series()) samples += s.samples.size();
    EXPECT_EQ(samples, runs * kRows) << "a run is there in part";
  }
  EXPECT_GT(killed_early, kKills / 2);
  EXPECT_GT(least, 0u);
  Store store(path_, Access::kWrite);
  for (int n = 0; n < int(least) + 5; ++n) store.record(input(n));
  EXPECT_EQ(store.runs(), least + 5);
}

TEST_F(StoreTest, FoldersAreRead) {
  const fs::path folder = root_ / "run";
  fs::create_directories(folder);
  EXPECT_THROW(read_input((root_ / "absent").string()), FileError);
  EXPECT_THROW(read_input(folder.string()), FileError);
  std::ofstream(folder / "run.json") << records::to_json(manifest(night(0)));
  EXPECT_THROW(read_input(folder.string()), FileError) << "a manifest alone is no run";
  std::ofstream(folder / "bench.jsonl") << records::to_line(bench_row("exp", 100)) << '\n';
  const RunInput first = read_input(folder.string());
  EXPECT_EQ(first.rows.size(), 1u);
  EXPECT_EQ(first.content.size(), 32u);
  EXPECT_EQ(read_input(folder.string()).content, first.content);
  records::RunManifest running = manifest(night(0));
  running.state = records::kRunning;
  std::ofstream(folder / "run.json") << records::to_json(running);
  EXPECT_THROW(read_input(folder.string()), FileError) << "nobody has ended it";
  std::ofstream(folder / "run.json") << records::to_json(manifest(night(0)));
  std::ofstream(folder / "bench.jsonl", std::ios::app)
      << records::to_line(bench_row("log", 100)) << '\n';
  EXPECT_NE(read_input(folder.string()).content, first.content);
  std::ofstream(folder / "bench.jsonl", std::ios::app)
      << records::to_line(bench_row("log", 90)) << '\n';
  try {
    read_input(folder.string());
    ADD_FAILURE() << "two rows of one key";
  } catch (const FileError& e) {
    EXPECT_NE(std::string(e.what()).find("bench.jsonl:3: measures what line 2"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace flame::history
