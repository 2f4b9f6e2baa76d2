// The performance page of a bench run: performance.html (self-contained, no network),
// performance.md, a table and a figure for a README. Every figure is a record's, or the ratio of
// two records of the same run.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "reports/bench_items.h"
#include "reports/history/compare.h"
#include "reports/history/regress.h"
#include "reports/kernel_record.h"
#include "reports/report.h"

namespace flame::reports {

struct PerformanceInput {
  BenchRun run;
  std::optional<history::Comparison> comparison;  // of an earlier run (A) with this one (B)
  std::string compared_with;                      // what A is: a folder's name, a commit
  std::optional<history::NightReport> night;      // of a history
  std::vector<history::Series> series;            // all of that history
  history::Thresholds thresholds;                 // its targets are shown; empty: none
  std::vector<records::KernelRecord> kernels;     // empty: none were recorded
};

struct PerformancePages {
  std::string html, markdown;
  std::string summary_markdown;  // a line an op
  std::string chart_svg;         // the overview, a file of its own
};

// `now` is what the data's age is counted from.
PerformancePages make_performance_pages(const PerformanceInput& input, Time now);
// performance.html, performance.md, performance_summary.md and performance.svg into `folder`.
// Throws FileError.
void write_performance_pages(const PerformanceInput& input, const std::string& folder);

// "388 measurements of 24 ops on NVIDIA H200, beside PyTorch and cuBLASLt in the same run".
std::string performance_sentence(const PerformanceInput& input, const BenchItems& items);

}  // namespace flame::reports
