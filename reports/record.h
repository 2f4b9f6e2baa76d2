// The record: one JSON line per check, from which every page is computed. docs/records.md is its
// schema. Knows nothing of CUDA or of ops.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace flame::records {

inline constexpr const char* kSchema = "flame-record/1";
inline constexpr const char* kRunning = "running";  // RunManifest::state

enum class Verdict : unsigned char { kPass, kFail, kNotRun };
const char* to_string(Verdict v);

// One check of one case.
struct Record {
  std::string op, case_name, dtype, layout, check;
  Verdict verdict = Verdict::kNotRun;
  std::string reason;                // why it failed or was not run
  double r = -1;                     // worst |got - want| / bound; -1 where the check has none
  std::string where;                 // of the worst r: "grad.input[1, 7]"
  std::int64_t compared = 0;         // elements
  std::vector<std::string> kernels;  // witnessed
  std::string witness;               // "cupti" or "ledger"
  std::string device_kind;           // "gpu" or "simulated"
  std::uint64_t seed = 0;
  double ms = 0;
  std::string reproduce;  // one command line
};

// One fake against one op.
struct Kill {
  std::string fake, op, check;         // check: the one that must catch it
  Verdict verdict = Verdict::kNotRun;  // pass: killed by that check; fail: survived
  std::string caught_by;               // every check that fired, comma separated
  std::string reason;
  // What other judges say of the same output: "caught", "missed", or "n/a".
  std::string allclose, ggml_nmse, jax_scaled, sum_loss;
  std::string device_kind;
  std::uint64_t seed = 0;
};

// What was run, on what, with what: run.json beside records.jsonl and kills.jsonl.
struct OpInfo {
  std::string name, kind;
  bool differentiable = false;
  std::vector<std::string> dtypes, kernels;
};
struct RunManifest {
  std::string device_kind, device_name, arch, driver_version, cuda_version, witness;
  std::string flame_version, commit, compiler, build_type, level, command, started_utc;
  bool dirty = false;
  std::uint64_t seed = 0;
  double seconds = 0;
  std::int64_t planned = 0;  // checks that the plan holds: what is missing counts against it
  // "running" from the first line on until the run has ended; then empty. A run that was killed
  // leaves what it found, and its pages say that it is incomplete.
  std::string state;
  std::vector<OpInfo> ops;
  std::vector<std::string> checks;
  std::vector<std::string> exported_kernels;
  std::vector<std::pair<std::string, std::string>> environment;  // FLAME_* variables that were set
};

// Non-finite numbers are written as the strings "nan", "inf", "-inf".
std::string to_line(const Record& record);
std::string to_line(const Kill& kill);
std::string to_json(const RunManifest& run);  // indented
// Throw FileError naming the line on anything malformed or of another schema.
Record parse_record(const std::string& line);
Kill parse_kill(const std::string& line);
RunManifest parse_manifest(const std::string& text);

// A folder of one run: run.json, records.jsonl, kills.jsonl (optional).
struct Run {
  RunManifest manifest;
  std::vector<Record> records;
  std::vector<Kill> kills;
};
Run read_run(const std::string& folder);  // throws FileError

}  // namespace flame::records
