// flame compare: two bench runs side by side.
#include "reports/history/compare.h"

#include <iostream>
#include <memory>

#include "reports/history/history_json.h"
#include "tools/cli/command.h"
#include "tools/cli/terminal.h"
#include "tools/cli/verdicts.h"

namespace flame::cli {
namespace {

using history::Compared;
using history::Verdict;

struct Options {
  std::string a, b, again;
  bool json = false;
};

std::string median_of(const records::BenchRow& row) {
  if (row.samples == 0) return "-";
  return figure(row.median_us) + " +-" +
         figure(100 * (row.q3_us - row.q1_us) / 2 / row.median_us, 2) + "%";
}

void print(const history::Comparison& comparison) {
  Table table({"op", "case", "direction", "dtype", "by", "A us", "B us", "shift", "p", "A/A floor",
               "verdict", "why"});
  for (const Compared& c : comparison.rows) {
    const records::BenchRow& row = c.a.op.empty() ? c.b : c.a;
    const bool both = c.a.samples > 0 && c.b.samples > 0;
    table.add({row.op, row.case_name, row.direction + " " + row.temperature, row.dtype,
               row.implementation, median_of(c.a), median_of(c.b), both ? percent(c.shift) : "-",
               both ? figure(c.p, 2) : "-", both ? percent(c.floor) : "-", painted(c.verdict),
               c.why});
  }
  table.print(std::cout);
  std::cout << '\n';
  for (const Verdict v : kVerdicts)
    if (comparison.count(v) > 0) std::cout << painted(v) << " " << comparison.count(v) << "  ";
  std::cout << '\n';
}

int exit_code(const history::Comparison& comparison) {
  bool slower = false, unclear = false, judged = false;
  for (const Compared& c : comparison.rows) {
    const records::BenchRow& row = c.a.op.empty() ? c.b : c.a;
    // A slower peer or probe is no regression of ours; it is in the table.
    if (row.implementation != "flame" || row.op == records::kRoofOp) continue;
    slower |= c.verdict == Verdict::kSlower;
    unclear |= c.verdict == Verdict::kAmbiguous;
    judged |= c.verdict == Verdict::kSame || c.verdict == Verdict::kFaster;
  }
  if (slower) return kFailure;
  return unclear || !judged ? kInconclusive : kPass;
}

int compare(const Options& options) {
  const records::BenchRun a = records::read_bench(options.a), b = records::read_bench(options.b);
  records::BenchRun again;
  if (!options.again.empty()) again = records::read_bench(options.again);
  const history::Comparison comparison =
      history::compare_runs(a, b, options.again.empty() ? nullptr : &again);
  if (options.json) {
    std::cout << history::to_json(comparison) << '\n';
  } else {
    print(comparison);
  }
  return exit_code(comparison);
}

}  // namespace

Command add_compare(CLI::App& root) {
  CLI::App* app = root.add_subcommand("compare", "Two bench runs side by side");
  auto options = std::make_shared<Options>();
  app->add_option("A", options->a, "Folder of the run compared with")->required();
  app->add_option("B", options->b, "Folder of the run judged")->required();
  app->add_option("--again", options->again,
                  "Another run of A's code: its shift against A is the least that counts");
  app->add_flag("--json", options->json, "For programs");
  return {app, [options] { return compare(*options); }};
}

}  // namespace flame::cli
