// The data that the performance page's templates are filled with, by section.
#pragma once
#include "reports/performance_page.h"
#include "reports/view_parts.h"

namespace flame::reports {

// A verdict and its reason for every row that was compared, else for those that the history judged.
using Verdicts = std::map<const BenchRow*, std::pair<history::Verdict, std::string>>;
Verdicts verdicts_of(const PerformanceInput& input);

View performance_view(const PerformanceInput& input, const BenchItems& items, Time now,
                      Format format);

void add_rows(View& view, const BenchItems& items, const Verdicts& verdicts, Format format);
void add_op_summary(View& view, const BenchItems& items, Format format);
// The measured roofs, for the tiles.
void add_roofs(View& view, const BenchItems& items, Format format);
// The figures to reach, and what holds back those that are not.
void add_targets(View& view, const PerformanceInput& input, Format format);
void add_noise(View& view, const BenchRun& run, const BenchItems& items, Format format);
void add_history(View& view, const PerformanceInput& input, Format format);
void add_jit(View& view, const std::vector<records::KernelRecord>& kernels, Format format);
void add_host(View& view, const BenchItems& items, Format format);

}  // namespace flame::reports
