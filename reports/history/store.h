// The history: every recorded run in one SQLite file. A run is in it whole or not at all, whatever
// happens to the program that records it.
#pragma once
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reports/bench_record.h"
#include "reports/record.h"

namespace flame::history {

// What must be equal for two measurements to be of one series. Anything that changes starts
// another: a driver's gain must not look like ours.
struct SeriesKey {
  std::string case_name, op, direction, dtype, sizes, compute_mode, temperature, implementation;
  std::string gpu, driver, cuda, harness;
  auto operator<=>(const SeriesKey&) const = default;
};
SeriesKey key_of(const records::BenchRow& row);

struct Sample {
  std::string started_utc;  // of its run
  std::string commit;
  records::BenchRow row;  // without times_us: the history keeps order statistics
  std::string night() const { return started_utc.substr(0, 10); }
};
struct Series {
  SeriesKey key;
  std::vector<Sample> samples;  // oldest first
};

// The worst r of one check of one op in one dtype, run after run.
struct RPoint {
  std::string started_utc, commit, case_name;
  double r = -1;
  std::int64_t passed = 0, failed = 0, not_run = 0;
};
struct RSeries {
  std::string op, check, dtype, device_kind, device_name;
  std::vector<RPoint> points;  // oldest first
};

// A run as its folder holds it.
struct RunInput {
  records::RunManifest manifest;
  std::vector<records::BenchRow> rows;
  std::vector<records::Record> records;
  std::string content;  // hash of the files' bytes: what makes a run the same run
};
// Reads run.json with bench.jsonl, records.jsonl or both. Throws FileError.
RunInput read_input(const std::string& folder);

enum class Access : unsigned char { kRead, kWrite };

class Store {
 public:
  // kWrite makes the file when it is absent. Throws FileError where `path` is no SQLite file, not
  // FLAME's history, damaged, of a newer schema, or stays locked for longer than `wait_ms`.
  explicit Store(const std::string& path, Access access, int wait_ms = 5000);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // One transaction. False when this very run is there already. Throws FileError when another run
  // of the same start, commit, device and command is there with other contents.
  bool record(const RunInput& run);

  std::size_t runs() const;
  std::vector<Series> series() const;    // in the order of their keys
  std::vector<RSeries> worst_r() const;  // in the order of op, check, dtype
  // Throws FileError unless every page of the file and every reference in it is sound.
  void check_integrity() const;

 private:
  struct Database;
  std::unique_ptr<Database> db_;
};

}  // namespace flame::history
