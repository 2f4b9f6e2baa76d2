// The record's schema: what is written is read back, and nothing else is accepted.
#include "reports/record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"

namespace flame::records {
namespace {

Record sample() {
  Record r;
  r.op = "softmax";
  r.case_name = "softmax(float32; (3, 4); dim=-1)";
  r.dtype = "float32";
  r.layout = "contiguous";
  r.check = "forward";
  r.verdict = Verdict::kPass;
  r.r = 0.25;
  r.where = "output[1, 2]";
  r.compared = 12;
  r.kernels = {"softmax_forward<float>"};
  r.witness = "cupti";
  r.device_kind = "gpu";
  r.seed = 0xffffffffffffffffu;
  r.ms = 1.5;
  r.reproduce = "flame verify --op softmax --case 'x'";
  return r;
}

Kill sample_kill() {
  Kill k;
  k.fake = "zeros";
  k.op = "exp";
  k.check = "forward";
  k.verdict = Verdict::kPass;
  k.caught_by = "forward,influence";
  k.allclose = "caught";
  k.ggml_nmse = "missed";
  k.jax_scaled = "n/a";
  k.sum_loss = "missed";
  k.device_kind = "gpu";
  return k;
}

RunManifest sample_manifest() {
  RunManifest m;
  m.device_kind = "gpu";
  m.device_name = "NVIDIA H200";
  m.commit = "0123456";
  m.seed = 7;
  m.planned = 2;
  m.ops = {{"softmax", "compute", true, {"float32"}, {"softmax_forward<*>"}}};
  m.checks = {"forward"};
  m.exported_kernels = {"softmax_forward<float>"};
  m.environment = {{"FLAME_SYNC", "1"}};
  return m;
}

// A copy of a line's JSON with one change.
template <class Change>
std::string edited(const std::string& line, Change change) {
  nlohmann::json json = nlohmann::json::parse(line);
  change(json);
  return json.dump();
}

std::string error_of(const std::string& line) {
  try {
    parse_record(line);
  } catch (const FileError& e) {
    return e.what();
  }
  return "";
}

TEST(Record, ReadsBackWhatItWrote) {
  const Record want = sample();
  const Record got = parse_record(to_line(want));
  EXPECT_EQ(to_line(got), to_line(want));
  EXPECT_EQ(got.seed, want.seed);
  EXPECT_EQ(got.kernels, want.kernels);
  EXPECT_EQ(to_line(want).find('\n'), std::string::npos);
}

TEST(Record, KeepsNonFiniteNumbers) {
  Record r = sample();
  r.verdict = Verdict::kFail;
  r.reason = "not a number";
  r.r = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(parse_record(to_line(r)).r));
  r.r = std::numeric_limits<double>::infinity();
  EXPECT_EQ(parse_record(to_line(r)).r, r.r);
}

TEST(Record, SurvivesBrokenUtf8AndControlCharacters) {
  Record r = sample();
  r.where = "\xff\n\"\\";
  const Record got = parse_record(to_line(r));
  EXPECT_EQ(got.where, "\xef\xbf\xbd\n\"\\");
}

TEST(Record, RefusesAnotherSchema) {
  EXPECT_NE(
      error_of(edited(to_line(sample()), [](auto& j) { j["schema"] = "other/2"; })).find("other/2"),
      std::string::npos);
  EXPECT_NE(error_of(edited(to_line(sample()), [](auto& j) { j.erase("schema"); })), "");
}

TEST(Record, RefusesEveryMissingField) {
  const nlohmann::json whole = nlohmann::json::parse(to_line(sample()));
  for (const auto& [key, value] : whole.items()) {
    const std::string name = key;
    const std::string error = error_of(edited(to_line(sample()), [&](auto& j) { j.erase(name); }));
    EXPECT_NE(error.find(name), std::string::npos) << name << ": " << error;
  }
}

TEST(Record, RefusesEveryFieldOfAnotherType) {
  const nlohmann::json whole = nlohmann::json::parse(to_line(sample()));
  for (const auto& [key, value] : whole.items()) {
    const std::string name = key;
    const auto change = [&](auto& j) { j[name] = nlohmann::json::object(); };
    EXPECT_NE(error_of(edited(to_line(sample()), change)), "") << name;
  }
}

TEST(Record, RefusesUnknownAndRepeatedFields) {
  EXPECT_NE(error_of(edited(to_line(sample()), [](auto& j) { j["extra"] = 1; })).find("extra"),
            std::string::npos);
  std::string line = to_line(sample());
  line.insert(1, "\"op\":\"exp\",");
  EXPECT_NE(error_of(line).find("twice"), std::string::npos);
}

TEST(Record, RefusesWhatContradictsItself) {
  Record r = sample();
  r.r = 1.5;
  EXPECT_NE(error_of(to_line(r)).find("passes with r"), std::string::npos);
  r.r = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(error_of(to_line(r)).find("passes with r"), std::string::npos);
  r = sample();
  r.verdict = Verdict::kNotRun;
  EXPECT_NE(error_of(to_line(r)).find("without a reason"), std::string::npos);
  r = sample();
  r.compared = -1;
  EXPECT_NE(error_of(to_line(r)).find("compared"), std::string::npos);
}

TEST(Record, RefusesWhatIsNoJson) {
  for (const char* text : {"", "{", "[]", "null", "\"x\"", "{\"schema\":}", "{}{}", "\xff"}) {
    EXPECT_NE(error_of(text), "") << text;
  }
  EXPECT_NE(error_of(std::string(100000, '[')), "");
}

TEST(Kill, ReadsBackWhatItWrote) {
  EXPECT_EQ(to_line(parse_kill(to_line(sample_kill()))), to_line(sample_kill()));
}

TEST(Kill, RefusesWhatContradictsItself) {
  Kill k = sample_kill();
  k.caught_by.clear();
  EXPECT_THROW(parse_kill(to_line(k)), FileError);
  k = sample_kill();
  k.allclose = "maybe";
  EXPECT_THROW(parse_kill(to_line(k)), FileError);
  EXPECT_THROW(parse_kill(to_line(sample())), FileError);
}

TEST(Manifest, ReadsBackWhatItWrote) {
  const std::string text = to_json(sample_manifest());
  EXPECT_EQ(to_json(parse_manifest(text)), text);
}

TEST(Manifest, RefusesAnotherDeviceKind) {
  RunManifest m = sample_manifest();
  m.device_kind = "cpu";
  EXPECT_THROW(parse_manifest(to_json(m)), FileError);
}

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const char* name, const std::string& text) {
    std::ofstream(root_ / name, std::ios::binary) << text;
  }
  std::string error() {
    try {
      read_run(root_.string());
    } catch (const FileError& e) {
      return e.what();
    }
    return "";
  }
  std::filesystem::path root_;
};

TEST_F(Folder, IsReadWhole) {
  write("run.json", to_json(sample_manifest()));
  write("records.jsonl", to_line(sample()) + "\n" + to_line(sample()) + "\n");
  write("kills.jsonl", to_line(sample_kill()) + "\n");
  const records::Run run = read_run(root_.string());
  EXPECT_EQ(run.records.size(), 2u);
  EXPECT_EQ(run.kills.size(), 1u);
}

TEST_F(Folder, ErrorsNameTheFileAndTheLine) {
  EXPECT_NE(error().find("run.json"), std::string::npos);
  write("run.json", "{");
  EXPECT_NE(error().find("run.json"), std::string::npos);
  write("run.json", to_json(sample_manifest()));
  EXPECT_NE(error().find("records.jsonl"), std::string::npos);
  // A line that a killed process left half written.
  const std::string line = to_line(sample());
  write("records.jsonl", line + "\n" + line.substr(0, line.size() / 2));
  EXPECT_NE(error().find("records.jsonl:2"), std::string::npos);
}

TEST_F(Folder, ARunThatNobodyEndedIsReadUpToItsLastWholeLine) {
  RunManifest running = sample_manifest();
  running.state = kRunning;
  write("run.json", to_json(running));
  EXPECT_TRUE(read_run(root_.string()).records.empty());
  const std::string line = to_line(sample());
  write("records.jsonl", line + "\n" + line.substr(0, line.size() / 2));
  EXPECT_EQ(read_run(root_.string()).records.size(), 1u);
  running.state = "sleeping";
  write("run.json", to_json(running));
  EXPECT_NE(error().find("sleeping"), std::string::npos);
}

TEST_F(Folder, NeverTakesASimulatedRecordForAGpuRun) {
  write("run.json", to_json(sample_manifest()));
  Record r = sample();
  r.device_kind = "simulated";
  write("records.jsonl", to_line(r) + "\n");
  EXPECT_NE(error().find("device_kind"), std::string::npos);
  r = sample();
  r.witness = "ledger";
  write("records.jsonl", to_line(r) + "\n");
  EXPECT_NE(error().find("witness"), std::string::npos);
}

TEST(ReadRun, NamesAMissingFolder) {
  try {
    read_run("/nonexistent/run");
    FAIL();
  } catch (const FileError& e) {
    EXPECT_NE(std::string(e.what()).find("/nonexistent/run"), std::string::npos);
  }
}

}  // namespace
}  // namespace flame::records
