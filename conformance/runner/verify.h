// The suite as one call: plan every check of every case of every op, run it, hand out records.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/core/dtype.h"
#include "reports/record.h"

namespace flame::conformance {

enum class Level : std::uint8_t { kQuick, kFull };
const char* to_string(Level level);  // "quick", "full"

struct Progress {
  std::int64_t done = 0, planned = 0;
  std::int64_t passed = 0, failed = 0, not_run = 0;
  std::string current;  // "softmax rows_1024 float16 backward"
};

struct VerifyOptions {
  std::string device = "sim";  // "sim", "cuda" or "cuda:1"; never another one silently
  Level level = Level::kQuick;
  std::uint64_t seed = 0;
  // Globs ('*' and '?'); the four together name a set of plan items.
  std::string op = "*", case_name = "*", check = "*", layout = "*";
  std::optional<DType> dtype = std::nullopt;
  // This process takes the plan items whose number leaves the remainder i when divided by n.
  int shard_index = 0, shard_count = 1;
  // Worker processes; 0: one per core on the simulator, at most four on a GPU. A worker that dies
  // fails the item it was on, and the others go on.
  int jobs = 0;
  bool in_process = false;  // no worker processes: for debuggers and tests
  // Called once, when the device is known and before the first record: the manifest with what is
  // planned.
  std::function<void(const records::RunManifest&)> on_start = {};
  // Called in this process, `record` and `kill` in plan order, `progress` whenever one ends.
  std::function<void(const records::Record&)> on_record = {};
  std::function<void(const records::Kill&)> on_kill = {};
  std::function<void(const Progress&)> on_progress = {};
};

struct Summary {
  records::RunManifest manifest;  // all but commit, dirty and command, which the caller knows
  std::int64_t planned = 0, passed = 0, failed = 0, not_run = 0;
  double seconds = 0;
  // 0: something passed and nothing failed; 1: something failed; 4: nothing passed.
  int exit_code() const;
};

// One item of the plan gives exactly one record.
struct PlanItem {
  std::string op, case_name, check, layout;
  DType dtype = DType::kFloat32;
  // "softmax rows_1024 float16 backward contiguous"
  std::string to_string() const;
};
// In the order in which records come. Throws UnknownOpError when no op matches options.op,
// ValueError when the filters together match nothing.
std::vector<PlanItem> plan(const VerifyOptions& options);

// Runs the plan. Throws NoDeviceError (exit code 3) when options.device is not there, ValueError
// for options that make no sense. What checks find is in the records, never an exception.
Summary verify(const VerifyOptions& options);

// Every fake against every op that it can wear (options.op filters ops, options.check is a glob on
// fakes' ids). passed: killed; failed: survived; not_run: the op cannot wear it, with the reason.
Summary kill_matrix(const VerifyOptions& options);

// forward and backward of every op under `n_seeds` seeds starting at options.seed, over rotating
// cases and dtypes. One record per op: the worst r of all seeds, `compared` summed; a fail names
// the first seed that raised an alarm.
Summary false_alarms(const VerifyOptions& options, std::int64_t n_seeds);

// The ids of the fourteen checks, in the order of the report, with one line each.
struct CheckInfo {
  std::string id, description;
};
std::vector<CheckInfo> check_list();

// The ids of the fakes, what each does wrong, and the check that must catch it.
struct FakeInfo {
  std::string id, description, caught_by;
};
std::vector<FakeInfo> fake_list();

// A folder of one run: run.json, records.jsonl, kills.jsonl. Lines are flushed one by one, so that
// a run that was interrupted leaves what it found. Throws FileError when it cannot be written.
class RunFolder {
 public:
  explicit RunFolder(const std::string& folder);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;
  void write(const records::Record& record);
  void write(const records::Kill& kill);
  void write(const records::RunManifest& manifest);

 private:
  struct Files;
  Files* files_;
};

}  // namespace flame::conformance
