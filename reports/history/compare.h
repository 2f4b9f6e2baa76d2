// Two bench runs side by side.
#pragma once
#include <string>
#include <vector>

#include "reports/bench_record.h"
#include "reports/history/detect.h"

namespace flame::history {

struct CompareRule {
  double p = 0.01;  // of the U test
  double least_shift = 0.02;
  double discovery_rate = 0.05;  // over all rows (Benjamini & Hochberg)
};

struct Compared {
  records::BenchRow a, b;  // samples 0 and everything empty where the run lacks it
  // Median of b / median of a - 1: above 0 is slower. Of a host's time, where the driver's bare
  // launch moved between the two runs: the same of the ratios to it.
  double shift = 0;
  double p = 1;
  double floor = 0;  // the shift that two runs of the same code had
  Verdict verdict = Verdict::kNoData;
  std::string why;
};
struct Comparison {
  std::vector<Compared> rows;  // a's order, then what only b has
  std::size_t count(Verdict v) const;
};

// The shift between the odd and the even samples of one row: the same code, run in turn. 0 with
// fewer than four samples.
double aa_floor(const std::vector<double>& times_us);

// Rows are paired by what they measure, in whatever software; on another GPU or by another harness
// nothing is paired (NO-DATA). SLOWER and FASTER need all of: p below the rule's, a shift above
// least_shift, above the floor, and significance among all rows. SAME needs a shift
// within least_shift, and medians and floor good enough to have seen a larger one. The rest is
// AMBIGUOUS. `again`: another run of a's code; where given, its shift against a is part of the
// floor.
Comparison compare_runs(const records::BenchRun& a, const records::BenchRun& b,
                        const records::BenchRun* again = nullptr, const CompareRule& rule = {});

}  // namespace flame::history
