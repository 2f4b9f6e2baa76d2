// flame report: pages out of the records of one run.
#include "reports/report.h"

#include <iostream>
#include <memory>

#include "tools/cli/command.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

int report(const std::string& folder) {
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
      return kInconclusive;
    case reports::State::kPass:
    case reports::State::kHoles:
      return kPass;
  }
  return kInternal;
}

}  // namespace

Command add_report(CLI::App& root) {
  CLI::App* app = root.add_subcommand("report", "Pages out of the records of one run");
  auto folder = std::make_shared<std::string>();
  app->add_option("folder", *folder, "Folder with run.json and records.jsonl")->required();
  return {app, [folder] { return report(*folder); }};
}

}  // namespace flame::cli
