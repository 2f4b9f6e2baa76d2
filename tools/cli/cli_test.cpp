// The program as a user meets it: exit codes, what goes to stdout and what to stderr.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "lib/blas/choices.h"

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Result {
  int code = -1;
  std::string out, err;
};

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class Cli : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            (std::string("flame_cli_") +
             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
    setenv("FLAME_CACHE_DIR", (root_ / "cache").c_str(), 1);
  }
  void TearDown() override { fs::remove_all(root_); }

  // Without a shell: what is given is what the program gets.
  pid_t start(std::vector<std::string> args) {
    const fs::path out = root_ / "stdout", err = root_ / "stderr";
    args.insert(args.begin(), "flame");
    const pid_t child = fork();
    if (child == 0) {
      const auto into = [](const fs::path& path, int fd) {
        dup2(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), fd);
      };
      into(out, STDOUT_FILENO);
      into(err, STDERR_FILENO);
      std::vector<char*> argv;
      for (std::string& a : args) argv.push_back(a.data());
      argv.push_back(nullptr);
      execv(FLAME_PROGRAM, argv.data());
      _exit(127);
    }
    return child;
  }
  Result flame(std::vector<std::string> args) {
    int status = 0;
    waitpid(start(std::move(args)), &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(root_ / "stdout"),
            read_text(root_ / "stderr")};
  }
  bool has_gpu() { return flame({"doctor", "--quiet"}).code == 0; }

  fs::path root_;
};

TEST_F(Cli, UsageErrorsAreTwoAndSilentOnStdout) {
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {},
           {"frobnicate"},
           {"info", "--frobnicate"},
           {"verify", "--seed", "many"},
           {"verify", "--device", "sim", "--level", "medium"},
           {"verify", "--device", "sim", "--dtype", "float12"},
           {"verify", "--device", "sim", "--shard", "3/3"},
           {"verify", "--device", "sim", "--shard", "x"},
           {"verify", "--device", "abacus"},
           {"verify", "--device", "sim", "--op", "frobnicate"},
           {"verify", "--device", "sim", "--op", "exp", "--case", "frobnicate"},
           {"ops", "frobnicate"},
           {"report"},
           {"report", "/nonexistent"},
           {"replay"},
           {"kernels"},
           {"kernels", "frobnicate"}}) {
    const Result r = flame(args);
    std::string line;
    for (const std::string& a : args) line += a + " ";
    EXPECT_EQ(r.code, 2) << line << r.err;
    EXPECT_FALSE(r.err.empty()) << line;
    EXPECT_TRUE(r.out.empty()) << line << r.out;
  }
}

TEST_F(Cli, ErrorsNameWhatWasGiven) {
  EXPECT_NE(flame({"verify", "--device", "sim", "--op", "softmix"}).err.find("softmix"),
            std::string::npos);
  EXPECT_NE(flame({"report", "/nonexistent"}).err.find("/nonexistent"), std::string::npos);
}

TEST_F(Cli, HelpAndVersionPass) {
  for (const char* flag : {"--help", "--version"}) {
    const Result r = flame({flag});
    EXPECT_EQ(r.code, 0);
    EXPECT_FALSE(r.out.empty());
  }
  for (const char* command : {"info", "doctor", "ops", "verify", "replay", "report", "kernels"})
    EXPECT_EQ(flame({command, "--help"}).code, 0) << command;
  const Result bench = flame({"bench", "--help"});
  EXPECT_EQ(bench.code, 0);
  EXPECT_NE(bench.out.find("--time-budget"), std::string::npos) << bench.out;
}

TEST_F(Cli, InfoIsJson) {
  const Result r = flame({"info", "--json"});
  EXPECT_EQ(r.code, 0) << r.err;
  const Json info = Json::parse(r.out);
  EXPECT_GT(info["ops"], 30);
  EXPECT_GT(info["exported_kernels"], 0);
  EXPECT_EQ(info["cache"]["folder"], (root_ / "cache").string());
  EXPECT_TRUE(info["environment"].is_array());
}

// Every FLAME_ name that a source asks the environment for is in the table, and the other way
// round.
TEST_F(Cli, TheTableOfVariablesIsComplete) {
  std::set<std::string> read;
  const std::regex call(
      R"re((?:getenv|variable|integer|choice|folder_from)[^"\n]{0,40}"(FLAME_[A-Z0-9_]+)")re");
  for (const char* part : {"lib", "conformance", "bench"}) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(FLAME_SOURCE_DIR) / part)) {
      if (entry.path().extension() != ".cpp" && entry.path().extension() != ".h") continue;
      if (entry.path().string().find("/tests/") != std::string::npos) continue;
      const std::string text = read_text(entry.path());
      for (std::sregex_iterator it(text.begin(), text.end(), call), end; it != end; ++it)
        read.insert((*it)[1]);
    }
  }
  std::set<std::string> listed;
  const Json info = Json::parse(flame({"info", "--json"}).out);
  for (const Json& v : info["environment"]) listed.insert(v["name"].get<std::string>());
  EXPECT_EQ(listed, read);
}

TEST_F(Cli, AnUnknownVariableGivesOneWarning) {
  setenv("FLAME_FROBNICATE", "1", 1);
  const Result r = flame({"ops", "exp"});
  unsetenv("FLAME_FROBNICATE");
  EXPECT_EQ(r.code, 0);
  EXPECT_NE(r.err.find("FLAME_FROBNICATE"), std::string::npos);
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1);
  EXPECT_TRUE(flame({"ops", "exp"}).err.empty());
}

TEST_F(Cli, ABadValueOfAVariableIsUsage) {
  setenv("FLAME_SEED", "many", 1);
  const Result r = flame({"verify", "--device", "sim", "--op", "exp", "--jobs", "1"});
  unsetenv("FLAME_SEED");
  EXPECT_EQ(r.code, 2) << r.err;
  EXPECT_NE(r.err.find("FLAME_SEED"), std::string::npos);
}

TEST_F(Cli, OpsAreListed) {
  const Json ops = Json::parse(flame({"ops", "--json"}).out);
  std::set<std::string> names;
  for (const Json& op : ops) names.insert(op["name"].get<std::string>());
  for (const char* op : {"add", "matmul", "softmax", "conv2d", "gather", "reshape"})
    EXPECT_TRUE(names.contains(op)) << op;
  EXPECT_EQ(Json::parse(flame({"ops", "--json", "soft*"}).out).size(), 1u);
  EXPECT_NE(flame({"ops"}).out.find("layer_norm"), std::string::npos);
}

TEST_F(Cli, NoColourWhereNobodyLooks) {
  for (const Result& r : {flame({"ops"}), flame({"doctor"}), flame({"info"})})
    EXPECT_EQ((r.out + r.err).find('\x1b'), std::string::npos);
}

TEST_F(Cli, DoctorSaysWhatIsMissing) {
  const Result r = flame({"doctor", "--json"});
  bool missing = false;
  for (const Json& f : Json::parse(r.out)) {
    missing |= f["health"] == "missing";
    EXPECT_TRUE(f["health"] == "ok" || !f["fix"].get<std::string>().empty());
  }
  EXPECT_EQ(r.code, missing ? 3 : 0);
  const Result quiet = flame({"doctor", "--quiet"});
  EXPECT_EQ(quiet.code, r.code);
  EXPECT_EQ(quiet.out + quiet.err, "");
}

TEST_F(Cli, WithoutAGpuNothingFallsBack) {
  if (has_gpu()) GTEST_SKIP() << "there is a GPU";
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"verify", "--op", "exp"}, {"verify", "--op", "exp", "--device", "cuda"}}) {
    const Result r = flame(args);
    EXPECT_EQ(r.code, 3) << r.err;
    EXPECT_TRUE(r.out.empty());
  }
  EXPECT_NE(flame({"verify"}).err.find("--device sim"), std::string::npos);
}

TEST_F(Cli, VerifyWritesRecordsAndReportReadsThem) {
  const std::string out = (root_ / "run").string();
  const Result r = flame({"verify", "--device", "sim", "--op", "relu", "--dtype", "float32",
                          "--check", "*ward", "--out", out, "--json"});
  ASSERT_EQ(r.code, 0) << r.out << r.err;
  const Json summary = Json::parse(r.out);
  EXPECT_GT(summary["passed"], 0);
  EXPECT_EQ(summary["failed"], 0);
  EXPECT_EQ(summary["missing"], 0);
  EXPECT_EQ(summary["device_kind"], "simulated");
  const Result report = flame({"report", out});
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_NE(report.out.find("relu"), std::string::npos);
  EXPECT_NE(report.out.find("on simulated device"), std::string::npos);
  for (const char* page : {"report.html", "report.md", "summary.md", "status.svg"})
    EXPECT_TRUE(fs::exists(fs::path(out) / page)) << page;
}

TEST_F(Cli, AVerifyThatWasKilledIsReportedAsIncomplete) {
  const fs::path out = root_ / "run";
  const pid_t child = start({"verify", "--device", "sim", "--level", "full", "--jobs", "1",
                             "--dtype", "float32", "--out", out.string()});
  for (int i = 0; i < 500 && read_text(out / "records.jsonl").empty(); ++i) usleep(20000);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it had ended before";
  const Result r = flame({"report", out.string()});
  EXPECT_EQ(r.code, 4) << r.err;
  EXPECT_NE(r.out.find("INCOMPLETE: "), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("without a record"), std::string::npos) << r.out;
}

TEST_F(Cli, ReportRefusesADamagedRun) {
  const std::string out = (root_ / "run").string();
  ASSERT_EQ(flame({"verify", "--device", "sim", "--op", "relu", "--dtype", "float32", "--check",
                   "forward", "--out", out})
                .code,
            0);
  std::ofstream(fs::path(out) / "records.jsonl", std::ios::app) << "{\"schema\":\"other/1\"}\n";
  const Result r = flame({"report", out});
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(r.err.find("records.jsonl:"), std::string::npos) << r.err;
}

TEST_F(Cli, ReplayRefusesBadFiles) {
  const std::string absent = (root_ / "absent.safetensors").string();
  EXPECT_EQ(flame({"replay", "--device", "sim", absent}).code, 2);
  const fs::path broken = root_ / "broken.safetensors";
  std::ofstream(broken) << "not a safetensors file";
  const Result r = flame({"replay", "--device", "sim", "--json", broken.string()});
  EXPECT_EQ(r.code, 2);
  EXPECT_EQ(Json::parse(r.out)["refused"].size(), 1u);
}

TEST_F(Cli, KernelsListsAndClearsTunedProducts) {
  const std::string key = flame::jit::content_key({"a product"});
  flame::blas::Choices(root_ / "cache")
      .keep(key, {"a product", "a device", {66, 20}}, [](const auto&) { return true; });
  std::ofstream(root_ / "cache" / "00.flamec") << "damaged";
  const Json list = Json::parse(flame({"kernels", "list", "--json"}).out);
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["readable"], false);
  EXPECT_EQ(list[1]["product"], "a product");
  EXPECT_EQ(list[1]["algorithm"], "66.20.0.0.0.0.0.0.0");
  EXPECT_NE(flame({"kernels", "list"}).out.find("a device"), std::string::npos);
  const Result clear = flame({"kernels", "clear"});
  EXPECT_EQ(clear.out.rfind("2 files removed", 0), 0u) << clear.out;
  EXPECT_EQ(Json::parse(flame({"kernels", "list", "--json"}).out).size(), 0u);
}

TEST_F(Cli, KernelsOfAnEmptyCache) {
  const Result list = flame({"kernels", "list", "--json"});
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_EQ(Json::parse(list.out).size(), 0u);
  EXPECT_EQ(flame({"kernels", "clear"}).code, 0);
}

}  // namespace
