#include "bench/run.h"

#include <chrono>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <sstream>

#include "bench/peers/cub.h"
#include "bench/peers/cublaslt.h"
#include "bench/peers/cudnn.h"
#include "bench/peers/process.h"

#include "conformance/runner/session.h"
#include "conformance/sim/sim.h"
#include "lib/core/error.h"
#include "lib/tensor/runtime.h"

#if __has_include("tools/cli/build_info.h")
#include "tools/cli/build_info.h"  // generated
#else
#define FLAME_COMMIT "unknown"
#define FLAME_DIRTY false
#endif

namespace flame::bench {
namespace {

// Of a run with a budget: what peers may spend on compiling.
constexpr double kCompilersShare = 0.4;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Without a witness: watching kernels costs time on every launch.
std::shared_ptr<driver::Driver> open(const std::string& name) {
  if (name == "sim") {
    sim::Options options;
    options.protect = false;
    options.ledger_capacity = 0;
    return sim::open(options);
  }
  if (name == "cuda") return driver::open_cuda(0);
  check<ValueError>(name.starts_with("cuda:") && name.size() > 5 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos,
                    "--device ", name, " is none of sim, cuda, cuda:<index>");
  return driver::open_cuda(std::stoi(name.substr(5)));
}

// A peer's command by its name; else the words of a command line.
std::vector<std::string> command_of(const std::string& peer) {
  if (peer != "pytorch") {
    std::istringstream words(peer);
    return {std::istream_iterator<std::string>(words), {}};
  }
  // Beside the program, where it was carried to; else where it was built from.
  const auto self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (const auto& script : {self / "pytorch.py", std::filesystem::path("bench/peers/pytorch.py")})
    if (std::filesystem::exists(script)) return {"python3", script.string()};
  throw FileError("bench: pytorch.py is neither beside flame_bench nor in bench/peers");
}

std::vector<Temperature> temperatures(const std::string& text) {
  if (text == "both") return {Temperature::kCold, Temperature::kHot};
  if (text == "cold") return {Temperature::kCold};
  check<ValueError>(text == "hot", "--temperature ", text, " is none of cold, hot, both");
  return {Temperature::kHot};
}

std::unique_ptr<Session> open_session(const RunOptions& o,
                                      const std::shared_ptr<driver::Driver>& driver) {
  const Device device(driver);
  SessionOptions options{.rule = o.rule, .seconds = o.seconds};
  options.temperatures = temperatures(o.temperature);
  options.planted_slowness = o.planted_slowness;
  if (o.device == "sim") options = for_simulator(options);
  return std::make_unique<Session>(device, options);
}

}  // namespace

void list(const RunOptions& options, std::ostream& out) {
  const std::vector<Item> items = plan(options.plan);
  if (options.json) {
    out << to_json(items) << '\n';
    return;
  }
  for (const Item& item : items) out << item.name() << "  " << item.sizes() << '\n';
}

Runner::Runner(const RunOptions& options, std::ostream& out)
    : options_(options),
      out_(out),
      items_(plan(options.plan)),
      driver_(open(options.device)),
      session_(open_session(options, driver_)),
      table_(out, session_->simulated()),
      began_(now()) {
  if (!options.out.empty()) folder_.emplace(options.out);
  open_peers();
}

void Runner::open_peers() {
  if (options_.in_process_peers)
    for (auto open : {open_cublaslt, open_cub, open_cudnn})
      if (auto source = open(session_->device())) session_->add_peers(std::move(source));
  for (const std::string& peer : options_.peers) {
    ProcessOptions o{.command = command_of(peer),
                     .ways = options_.ways,
                     .timeout_seconds = options_.peer_timeout,
                     .compile_seconds = options_.seconds * kCompilersShare};
    auto source = std::make_unique<ExternalPeers>(o);
    peers_.push_back(source->describe());
    out_ << "peer: " << peers_.back() << '\n';
    session_->add_peers(std::move(source));
  }
}

void Runner::take(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    table_.line(row);
    if (folder_)
      folder_->write(
          to_record(row, session_->device().info(), session_->roofs(), session_->datasheet()));
    if (!row.impossible.empty())
      failures_.push_back(str_cat(row.op, "/", row.case_name, "/", row.compute_mode, "/",
                                  row.direction, " ", row.temperature, " by ", row.implementation,
                                  ": ", row.impossible));
  }
}

void Runner::begin() {
  if (session_->simulated())
    out_ << "On the simulated device: times are the simulator's, and say nothing of any GPU.\n";
  if (!session_->monitor_problem().empty())
    std::cerr << "clock and power are not watched: " << session_->monitor_problem() << '\n';
  if (options_.planted_slowness > 0)
    out_ << "CANARY: FLAME is slowed down by " << options_.planted_slowness * 100 << " %.\n";
  write_manifest(records::kRunning);
  table_.header();
  take(session_->begin());
  for (const std::string& problem : session_->roofs().problems)
    out_ << "no roof: " << problem << '\n';
  say_if_late();
}

// Ahead, so that nobody waits for a minute that takes three.
void Runner::say_if_late() {
  if (options_.seconds <= 0 || session_->simulated()) return;
  const double least = now() - began_ +
                       least_seconds(items_.size(), temperatures(options_.temperature).size(),
                                     peers_.size(), session_->seconds_a_sample(), options_.rule);
  if (least > options_.seconds)
    out_ << "the time budget of " << int(options_.seconds)
         << " s will not be kept: " << options_.rule.least << " samples of every figure take about "
         << int(least) << " s\n";
}

double Runner::run(std::size_t i) {
  const Item& item = items_[i];
  problem_.clear();
  try {
    const std::vector<Row> rows = session_->run(item, items_.size() - done_);
    take(rows);
    standing_.take(rows);
    ++done_;
    return rows[0].series.summary.median;
  } catch (const Error& e) {
    ++done_;
    problem_ = e.what();
    failures_.push_back(str_cat(item.name(), ": ", problem_));
    Row row{.op = std::string(item.op->name), .case_name = item.bench_case.name};
    row.dtype = name(item.dtype);
    row.compute_mode = item.compute_mode();
    row.direction = to_string(item.direction);
    row.temperature = "cold";
    row.sizes = item.sizes();
    row.implementation = "flame";
    row.problem = problem_;
    take({row});
    return 0;
  }
}

// At the start, so that who stops the run leaves a folder that says so, and at the end.
void Runner::write_manifest(const char* state) {
  if (!folder_) return;
  if (manifest_.started_utc.empty()) {
    conformance::Rig rig(driver_, nullptr);
    manifest_ = conformance::describe({}, rig);
    manifest_.commit = FLAME_COMMIT;
    manifest_.dirty = FLAME_DIRTY;
    manifest_.level = options_.planted_slowness > 0 ? "canary" : "bench";
    manifest_.command = options_.command;
    manifest_.planned = std::int64_t(items_.size());
    for (const std::string& peer : peers_) manifest_.environment.emplace_back("peer", peer);
  }
  manifest_.state = state;
  manifest_.seconds = now() - began_;
  folder_->write(manifest_);
}

bool Runner::finish() {
  write_manifest("");
  if (!session_->simulated()) standing_.print(out_);
  for (const std::string& failure : failures_) out_ << "FAILED " << failure << '\n';
  const Spent& spent = session_->spent();
  out_ << done_ << " of " << items_.size() << " timed, " << failures_.size() << " failed, "
       << int(now() - began_) << " s (timing " << int(spent.timing) << ", preparing "
       << int(spent.preparing) << ", judging " << int(spent.judging) << ")\n";
  if (!options_.out.empty()) std::cerr << "records: " << options_.out << '\n';
  return failures_.empty();
}

}  // namespace flame::bench
