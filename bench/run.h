// A whole run: the plan, the session, the folder and the table.
#pragma once
#include <fstream>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/output.h"
#include "bench/session.h"
#include "bench/standing.h"

namespace flame::bench {

struct RunOptions {
  std::string device = "cuda";  // or "cuda:1", "sim": never another one than asked for
  PlanOptions plan;
  StopRule rule;
  std::string temperature = "both";
  double seconds = 0;
  double planted_slowness = 0;  // the run then says that it is a canary
  // Programs that time the same items, each a command ("pytorch": bench/peers/pytorch.py), and the
  // globs, comma separated, of the ways that take part.
  std::vector<std::string> peers;
  std::string ways = "*";
  double peer_timeout = 300;
  bool in_process_peers = true;
  std::string out, command;
  bool list = false, json = false;
};

// What would be timed, one name a line, or as JSON.
void list(const RunOptions& options, std::ostream& out);

class Runner {
 public:
  // Opens the device. Throws NoDeviceError, ValueError, UnknownOpError, FileError.
  Runner(const RunOptions& options, std::ostream& out);

  const std::vector<Item>& items() const { return items_; }
  // The probes. Once, first.
  void begin();
  // Measures item `i`, writes and prints its rows; gives FLAME's median of the first temperature in
  // ms. An op that throws is a row without figures and fails the run: `problem()` says why, and the
  // time is 0.
  double run(std::size_t i);
  const std::string& problem() const { return problem_; }
  // Writes run.json and says what failed. False when anything did.
  bool finish();

 private:
  void open_peers();
  void say_if_late();
  void write_manifest(const char* state);
  void take(const std::vector<Row>& rows);

  RunOptions options_;
  std::ostream& out_;
  std::vector<Item> items_;
  std::shared_ptr<driver::Driver> driver_;
  std::unique_ptr<Session> session_;
  std::optional<BenchFolder> folder_;
  records::RunManifest manifest_;
  Standing standing_;
  Table table_;
  std::size_t done_ = 0;
  std::string problem_;
  std::vector<std::string> failures_, peers_;
  double began_;
};

}  // namespace flame::bench
