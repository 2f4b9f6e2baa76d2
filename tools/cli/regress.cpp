// flame regress: the newest night of a history, judged.
#include "reports/history/regress.h"

#include <iostream>
#include <memory>

#include "lib/core/error.h"
#include "reports/history/history_json.h"
#include "reports/history/tonight.h"
#include "tools/cli/command.h"
#include "tools/cli/terminal.h"
#include "tools/cli/verdicts.h"

namespace flame::cli {
namespace {

using history::SeriesVerdict;
using history::Verdict;

struct Options {
  std::string database, thresholds, fail_on = "confirmed", base, head, again;
  bool json = false, all = false, suggest = false;
};

std::vector<std::string> line_of(const SeriesVerdict& v) {
  const history::SeriesKey& k = v.key;
  const bool judged = v.judgement.verdict != Verdict::kNoData;
  return {k.op,
          k.case_name,
          k.direction + " " + k.temperature,
          k.dtype,
          k.implementation,
          std::to_string(v.judgement.nights),
          v.newest_us > 0 ? figure(v.newest_us) : "-",
          judged ? percent(v.judgement.shift) : "-",
          judged ? figure(100 * v.judgement.sigma, 2) + "%" : "-",
          painted(v.judgement.verdict),
          history::to_string(v.judgement.stage),
          v.judgement.why};
}

void print(const history::NightReport& report, bool all) {
  Table table({"op", "case", "direction", "dtype", "by", "nights", "us", "shift", "noise",
               "verdict", "stage", "why"});
  for (const auto* list : {&report.probes, &report.series})
    for (const SeriesVerdict& v : *list)
      if (all || v.judgement.verdict != Verdict::kSame) table.add(line_of(v));
  if (!table.empty()) {
    table.print(std::cout);
    std::cout << '\n';
  }
  for (const history::MissedFloor& m : report.missed)
    std::cout << paint("floor", Colour::kRed) << ": " << m.row << ": " << m.why << " (" << m.because
              << ")\n";
  for (const history::MissedFloor& m : report.missed_targets)
    std::cout << paint("target", Colour::kYellow) << ": " << m.row << ": " << m.why << '\n';
  if (report.targets_reached + report.missed_targets.size() > 0)
    std::cout << "targets: " << report.targets_reached << " reached, "
              << report.missed_targets.size() << " missed\n";
  for (const std::string& floor : report.idle_floors)
    std::cout << paint("floor", Colour::kYellow) << ": nothing of the night is held to: " << floor
              << '\n';
  for (const history::Drift& d : report.drifts)
    std::cout << paint("drift", Colour::kYellow) << ": r of " << d.op << " " << d.check << " "
              << d.dtype << " is " << figure(d.r, 2) << ", " << figure(d.factor, 2)
              << " times what it was\n";
  if (report.machine_moved()) std::cout << paint("the machine moved", Colour::kYellow) << '\n';
  std::cout << "night of " << report.night << ": ";
  for (const Verdict v : kVerdicts)
    if (report.count(v) > 0) std::cout << painted(v) << " " << report.count(v) << "  ";
  std::cout << '\n';
  if (report.ended > 0)
    std::cerr << report.ended << " series ended with another driver, CUDA, GPU or harness\n";
}

int regress(const Options& options) {
  check<ValueError>(options.base.empty() == options.head.empty(),
                    "regress: --base and --head go together");
  const history::Store store(options.database, history::Access::kRead);
  const history::Thresholds thresholds = options.thresholds.empty()
                                             ? history::Thresholds{}
                                             : history::read_thresholds(options.thresholds);
  if (options.suggest) {
    check<ValueError>(!options.thresholds.empty(), "regress: --suggest-floors needs --thresholds");
    std::cout << history::suggest_floors(store.series(), thresholds);
    return kPass;
  }
  history::NightReport report = history::judge_night(store.series(), store.worst_r(), thresholds);
  if (!options.base.empty()) {
    records::BenchRun again;
    if (!options.again.empty()) again = records::read_bench(options.again);
    history::confirm_by(report, history::compare_runs(records::read_bench(options.base),
                                                      records::read_bench(options.head),
                                                      options.again.empty() ? nullptr : &again));
  }
  if (options.json) {
    std::cout << history::to_json(report) << '\n';
  } else {
    print(report, options.all);
  }
  const auto fail_on =
      options.fail_on == "suspect" ? history::FailOn::kSuspect : history::FailOn::kConfirmed;
  switch (history::outcome_of(report, fail_on)) {
    case history::Outcome::kPass:
      return kPass;
    case history::Outcome::kFail:
      return kFailure;
    case history::Outcome::kInconclusive:
      return kInconclusive;
  }
  return kInternal;
}

}  // namespace

Command add_regress(CLI::App& root) {
  CLI::App* app = root.add_subcommand("regress", "The newest night of a history, judged");
  auto options = std::make_shared<Options>();
  app->add_option("database", options->database, "What flame record keeps")->required();
  app->add_option("--thresholds", options->thresholds, "TOML file of absolute floors and targets");
  app->add_option("--fail-on", options->fail_on, "What exits with 1")
      ->check(CLI::IsMember({"confirmed", "suspect"}))
      ->capture_default_str();
  app->add_option("--base", options->base, "Run of the code before, in turn with --head");
  app->add_option("--head", options->head, "Run of the code now: settles suspicions at once");
  app->add_option("--again", options->again, "Another run of --base: the measured A/A floor");
  app->add_flag("--all", options->all, "Series that are the SAME, too");
  app->add_flag(
      "--suggest-floors", options->suggest,
      "Only print the thresholds' floors with what the newest night showed, less a tenth");
  app->add_flag("--json", options->json, "For programs");
  return {app, [options] { return regress(*options); }};
}

}  // namespace flame::cli
