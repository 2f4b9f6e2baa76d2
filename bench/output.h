// A run's folder (run.json, bench.jsonl), and the same as an aligned table for people.
#pragma once
#include <fstream>
#include <iosfwd>
#include <string>
#include <vector>

#include "bench/session.h"
#include "reports/bench_record.h"

namespace flame::bench {

// Raised when the way of measuring changes: figures of another harness are another series.
inline constexpr const char* kHarness = "1";

records::BenchRow to_record(const Row& row, const driver::Info& info, const Roofs& roofs,
                            const Datasheet* datasheet);

// Lines are flushed one by one, so that a run that was interrupted leaves what it found. Throws
// FileError when it cannot be written.
class BenchFolder {
 public:
  explicit BenchFolder(const std::string& folder);
  void write(const records::BenchRow& row);
  void write(const records::RunManifest& manifest);

 private:
  std::string folder_;
  std::ofstream rows_;
};

// One line a row. Of a simulated device only the simulator's own time is shown: it is no figure of
// performance.
class Table {
 public:
  Table(std::ostream& out, bool simulated) : out_(out), simulated_(simulated) {}
  void header();
  void line(const Row& row);

 private:
  std::ostream& out_;
  bool simulated_;
};

// One JSON object an item, or an array of them, each with the smaller item that it is judged on
// under "judged" (null where nothing is): what another program needs to time the same things. See
// peers/pytorch.py.
std::string to_json(const Item& item);
std::string to_json(const std::vector<Item>& items);

}  // namespace flame::bench
