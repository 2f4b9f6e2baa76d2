// Pages out of one run's records: report.html (self-contained, no network), report.md, and two
// fragments for a README. A sentence on a page is there because a record is.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "reports/summary.h"

namespace flame::reports {

using Time = std::chrono::sys_seconds;

struct Pages {
  std::string html, markdown;
  std::string summary_markdown;  // one table: op, checks, worst r, fakes
  std::string status_svg;        // a badge
};

// `now` is what the data's age is counted from.
Pages make_pages(const Run& run, Time now);
// report.html, report.md, summary.md and status.svg into `folder`. Throws FileError.
void write_pages(const Run& run, const std::string& folder);

// "PASS: 412 of 412 planned checks passed, ... on NVIDIA H200 (GPU, witnessed by CUPTI)".
std::string verdict_line(const Run& run, const Summary& summary);
// The same without the word.
std::string verdict_sentence(const Run& run, const Summary& summary);
// What the run may claim of a device, in one sentence.
std::string device_sentence(const Run& run, const Summary& summary);
// "3 hours" between a run's start and `now`; "unknown time" when the manifest's is unreadable.
std::string data_age(const std::string& started_utc, Time now);

// One line of the summary table.
struct OpLine {
  std::string op, passed, failed, not_run, forward, gradient, killed;
};
std::vector<OpLine> op_lines(const Summary& summary);

}  // namespace flame::reports
