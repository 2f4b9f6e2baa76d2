// flame verify: the suite from the command line.
#include "conformance/runner/verify.h"

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "lib/core/error.h"
#include "lib/driver/driver.h"
#include "reports/report.h"
#include "tools/cli/command.h"
#include "tools/cli/environment.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

using conformance::VerifyOptions;
using Json = nlohmann::ordered_json;

struct Asked {
  VerifyOptions options;
  std::string device, dtype, level = "quick", shard = "0/1", out;
  std::int64_t false_alarms = 0;
  bool fakes = false, only_fakes = false, json = false;
};

// "2/8" into shard 2 of 8.
void read_shard(const std::string& text, VerifyOptions& options) {
  std::size_t slash = text.find('/'), used = 0;
  try {
    options.shard_index = std::stoi(text, &used);
    check<ValueError>(used == slash, "");
    options.shard_count = std::stoi(text.substr(slash + 1), &used);
    check<ValueError>(used == text.size() - slash - 1, "");
  } catch (const std::exception&) {
    throw ValueError(str_cat("verify: --shard ", text, " is not i/n"));
  }
  check<ValueError>(options.shard_index >= 0 && options.shard_index < options.shard_count,
                    "verify: --shard ", text, ": i must be in [0, n)");
}

VerifyOptions complete(const Asked& asked) {
  VerifyOptions options = asked.options;
  options.device = choose_device(asked.device);
  check<ValueError>(asked.level == "quick" || asked.level == "full", "verify: --level ",
                    asked.level, " is neither quick nor full");
  options.level = asked.level == "full" ? conformance::Level::kFull : conformance::Level::kQuick;
  if (!asked.dtype.empty()) {
    options.dtype = parse_dtype(asked.dtype);
    check<ValueError>(options.dtype.has_value(), "verify: --dtype ", asked.dtype,
                      " is not a dtype");
  }
  read_shard(asked.shard, options);
  return options;
}

// Keeps what the suite hands out, in memory and in the folder when there is one.
class Sink {
 public:
  Sink(const std::string& out, bool only_fakes) : only_fakes_(only_fakes) {
    if (!out.empty()) folder_.emplace(out);
  }
  void listen(VerifyOptions& options) {
    // From here on whoever stops the run leaves a folder that says that it is incomplete.
    options.on_start = [this, checks = true](const records::RunManifest& m) mutable {
      if (!folder_ || !std::exchange(checks, false)) return;
      records::RunManifest running = m;
      running.state = records::kRunning;
      if (only_fakes_) running.planned = 0;
      complete_manifest(running);
      folder_->write(running);
    };
    options.on_record = [this](const records::Record& r) {
      if (folder_) folder_->write(r);
      run.records.push_back(r);
    };
    options.on_kill = [this](const records::Kill& k) {
      if (folder_) folder_->write(k);
      run.kills.push_back(k);
    };
    options.on_progress = [this](const conformance::Progress& p) {
      progress_.show(p.done, p.planned, p.failed, p.current);
    };
  }
  void finish() {
    progress_.finish();
    if (folder_) folder_->write(run.manifest);
  }

  records::Run run;

 private:
  bool only_fakes_;
  std::optional<conformance::RunFolder> folder_;
  Progress progress_;
};

void print_failures(const reports::Summary& summary) {
  constexpr std::size_t kMost = 20;
  if (summary.failures.empty() && summary.survivors.empty()) return;
  std::cout << '\n';
  for (std::size_t i = 0; i < std::min(kMost, summary.failures.size()); ++i) {
    const records::Record& r = *summary.failures[i];
    std::cout << paint("failed", Colour::kRed) << "  " << r.op << " " << r.check << " " << r.dtype
              << ": " << r.reason << "\n  " << r.reproduce << '\n';
  }
  if (summary.failures.size() > kMost)
    std::cout << "... and " << summary.failures.size() - kMost << " more failures\n";
  for (std::size_t i = 0; i < std::min(kMost, summary.survivors.size()); ++i) {
    const records::Kill& k = *summary.survivors[i];
    std::cout << paint("survived", Colour::kRed) << "  fake " << k.fake << " on " << k.op << ": "
              << k.reason << '\n';
  }
  if (summary.survivors.size() > kMost)
    std::cout << "... and " << summary.survivors.size() - kMost << " more survivors\n";
}

void print_text(const records::Run& run, const reports::Summary& summary) {
  Table table({"op", "passed", "failed", "not run", "worst r", "of the bound at"});
  for (const std::string& op : summary.ops) {
    const auto found = summary.by_op.find(op);
    if (found == summary.by_op.end()) continue;
    const reports::Tally& t = found->second;
    table.add({op, std::to_string(t.passed),
               t.failed ? paint(std::to_string(t.failed), Colour::kRed) : "0",
               std::to_string(t.not_run), reports::format_r(t.worst_r()),
               t.worst ? str_cat(t.worst->check, " ", t.worst->dtype, " ", t.worst->where) : ""});
  }
  if (!table.empty()) table.print(std::cout);
  if (!run.kills.empty()) {
    std::cout << '\n';
    Table fakes({"fake", "killed", "survived", "cannot be worn"});
    for (const std::string& fake : summary.fakes) {
      const reports::KillTally& t = summary.kills_by_fake.at(fake);
      fakes.add({fake, std::to_string(t.killed),
                 t.survived ? paint(std::to_string(t.survived), Colour::kRed) : "0",
                 std::to_string(t.not_worn)});
    }
    fakes.print(std::cout);
  }
  print_failures(summary);
  std::cout << '\n' << reports::verdict_line(run, summary) << '\n';
}

void print_json(const records::Run& run, const reports::Summary& summary, int code) {
  Json failures = Json::array(), survivors = Json::array(), ops = Json::array();
  for (const auto* r : summary.failures) failures.push_back(Json::parse(records::to_line(*r)));
  for (const auto* k : summary.survivors) survivors.push_back(Json::parse(records::to_line(*k)));
  for (const auto& [op, t] : summary.by_op) {
    ops.push_back({{"op", op},
                   {"passed", t.passed},
                   {"failed", t.failed},
                   {"not_run", t.not_run},
                   {"worst_r", reports::format_r(t.worst_r())}});
  }
  const Json out{{"schema", "flame-verify/1"},
                 {"exit_code", code},
                 {"device_kind", run.manifest.device_kind},
                 {"device_name", run.manifest.device_name},
                 {"planned", summary.planned},
                 {"passed", summary.all.passed},
                 {"failed", summary.all.failed},
                 {"not_run", summary.all.not_run},
                 {"missing", summary.missing},
                 {"fakes_killed", summary.kills.killed},
                 {"fakes_survived", summary.kills.survived},
                 {"seconds", run.manifest.seconds},
                 {"ops", ops},
                 {"failures", failures},
                 {"survivors", survivors}};
  std::cout << out.dump(2) << '\n';
}

// The worse of two exit codes: a failure outweighs having proved nothing.
int worst_code(int a, int b) {
  if (a == kFailure || b == kFailure) return kFailure;
  return std::max(a, b);
}

int verify(const Asked& asked) {
  VerifyOptions options = complete(asked);
  Sink sink(asked.out, asked.only_fakes);
  sink.listen(options);
  std::optional<int> code;
  const auto took = [&](const conformance::Summary& s) {
    const std::int64_t planned = code ? sink.run.manifest.planned : s.planned;
    const double seconds = code ? sink.run.manifest.seconds : 0;
    sink.run.manifest = s.manifest;
    sink.run.manifest.planned = planned;  // of the checks, not of the fakes
    sink.run.manifest.seconds = seconds + s.seconds;
    code = code ? worst_code(*code, s.exit_code()) : s.exit_code();
  };
  if (asked.false_alarms > 0) {
    took(conformance::false_alarms(options, asked.false_alarms));
  } else if (!asked.only_fakes) {
    took(conformance::verify(options));
  }
  if (asked.fakes || asked.only_fakes) {
    // Filters that name single cases of the library mean nothing to fakes.
    VerifyOptions fakes = options;
    if (!asked.only_fakes) fakes.case_name = fakes.check = fakes.layout = "*";
    took(conformance::kill_matrix(fakes));
    if (asked.only_fakes) sink.run.manifest.planned = 0;
  }
  complete_manifest(sink.run.manifest);
  sink.finish();
  const reports::Summary summary = reports::summarise(sink.run);
  if (asked.json) {
    print_json(sink.run, summary, *code);
  } else {
    print_text(sink.run, summary);
  }
  if (!asked.out.empty())
    std::cerr << "records: " << asked.out << "  (pages: flame report " << asked.out << ")\n";
  return *code;
}

}  // namespace

Command add_verify(CLI::App& root) {
  CLI::App* app = root.add_subcommand("verify", "Prove the ops: forward, backward, and the rest");
  auto asked = std::make_shared<Asked>();
  VerifyOptions& o = asked->options;
  app->add_option("--op", o.op, "Ops that match this glob: sum, '@(sum|amax)', *");
  app->add_option("--case", o.case_name, "Cases that match this glob");
  app->add_option("--check", o.check, "Checks that match this glob");
  app->add_option("--layout", o.layout, "Memory layouts that match this glob");
  app->add_option("--dtype", asked->dtype, "Only this dtype (float16)");
  app->add_option("--device", asked->device, "cuda, cuda:N or sim; default: cuda");
  app->add_option("--level", asked->level, "quick or full");
  app->add_option("--seed", o.seed, "Of the inputs");
  app->add_option("--shard", asked->shard, "i/n: the i-th of n parts, i from 0");
  app->add_option("--jobs", o.jobs, "Worker processes; 0: as fits the device");
  app->add_flag("--in-process", o.in_process,
                "No worker processes: for debuggers and compute-sanitizer");
  app->add_flag("--fakes", asked->fakes, "Also the kill matrix: broken ops that must be caught");
  app->add_flag("--only-fakes", asked->only_fakes, "The kill matrix alone");
  app->add_option("--false-alarms", asked->false_alarms,
                  "Instead: forward and backward of every op under this many seeds");
  app->add_option("--out", asked->out, "Folder for the records");
  app->add_flag("--json", asked->json, "One JSON object on stdout");
  return {app, [asked] { return verify(*asked); }};
}

}  // namespace flame::cli
