// flame report: pages out of the records of one run.
#include "reports/report.h"

#include <filesystem>
#include <iostream>
#include <memory>

#include "lib/core/error.h"
#include "reports/performance_page.h"
#include "tools/cli/command.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

struct Options {
  std::string folder, against, history, thresholds;
};

int report_checks(const std::string& folder) {
  const records::Run run = records::read_run(folder);
  const reports::Summary summary = reports::summarise(run);
  reports::write_pages(run, folder);
  const Colour colour = summary.state == reports::State::kPass   ? Colour::kGreen
                        : summary.state == reports::State::kFail ? Colour::kRed
                                                                 : Colour::kYellow;
  std::cout << paint(reports::verdict_line(run, summary), colour) << "\n\n";
  Table table(
      {"op", "passed", "failed", "not run", "worst r forward", "worst r gradient", "fakes killed"});
  for (const reports::OpLine& line : reports::op_lines(summary))
    table.add({line.op, line.passed, line.failed, line.not_run, line.forward, line.gradient,
               line.killed});
  table.print(std::cout);
  std::cerr << "wrote " << folder << "/report.html, report.md, summary.md, status.svg\n";
  switch (summary.state) {
    case reports::State::kFail:
      return kFailure;
    case reports::State::kEmpty:
    case reports::State::kIncomplete:
      return kInconclusive;
    case reports::State::kPass:
    case reports::State::kHoles:
      return kPass;
  }
  return kInternal;
}

int report_performance(const Options& options) {
  reports::PerformanceInput input{records::read_bench(options.folder), {}, options.against};
  if (!options.against.empty())
    input.comparison = history::compare_runs(records::read_bench(options.against), input.run);
  if (!options.thresholds.empty()) input.thresholds = history::read_thresholds(options.thresholds);
  if (!options.history.empty()) {
    const history::Store store(options.history, history::Access::kRead);
    input.series = store.series();
    input.night = history::judge_night(input.series, store.worst_r(), input.thresholds);
  }
  if (records::has_kernels(options.folder)) input.kernels = records::read_kernels(options.folder);
  const reports::BenchItems items = reports::collect_items(input.run);
  reports::write_performance_pages(input, options.folder);
  std::cout << reports::performance_sentence(input, items) << '\n';
  std::cerr << "wrote " << options.folder
            << "/performance.html, performance.md, performance_summary.md, performance.svg\n";
  return items.items.empty() ? kInconclusive : kPass;
}

int report(const Options& options) {
  const bool timed = records::has_bench(options.folder);
  const bool checked =
      std::filesystem::exists(std::filesystem::path(options.folder) / "records.jsonl");
  check<ValueError>(
      timed || (options.against.empty() && options.history.empty() && options.thresholds.empty()),
      "report: ", options.folder,
      " holds no bench.jsonl, which --against, --history and --thresholds need");
  // A folder without either is an error of the first.
  const int code = checked || !timed ? report_checks(options.folder) : kPass;
  if (!timed) return code;
  const int second = report_performance(options);
  return code == kPass ? second : code;
}

}  // namespace

Command add_report(CLI::App& root) {
  CLI::App* app = root.add_subcommand("report", "Pages out of the records of one run");
  auto options = std::make_shared<Options>();
  app->add_option("folder", options->folder, "Folder with run.json and records.jsonl, bench.jsonl")
      ->required();
  app->add_option("--against", options->against,
                  "Folder of an earlier bench run: a verdict for every figure");
  app->add_option(
      "--history", options->history,
      "What flame record keeps: a chart for every series, verdicts of its newest night");
  app->add_option("--thresholds", options->thresholds,
                  "TOML file of floors and targets: what is reached, and why not");
  return {app, [options] { return report(*options); }};
}

}  // namespace flame::cli
