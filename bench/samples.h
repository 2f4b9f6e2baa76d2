// What a set of timings says, and when there are enough of them.
#pragma once
#include <functional>
#include <vector>

namespace flame::bench {

// Order statistics in the unit of the samples. Medians and quartiles, never means: one sample that
// something else disturbed must not move the figure.
struct Summary {
  int count = 0;
  double median = 0, q1 = 0, q3 = 0, min = 0, max = 0;
  // The relative half width of the median's 95 % interval, 1.57 * (q3 - q1) / sqrt(n) / median
  // (McGill, Tukey & Larsen 1978): how well the median is known, not how wide the samples lie.
  double spread = 0;
};
// Quantiles by linear interpolation between order statistics (Hyndman & Fan 1996, type 7, NumPy's).
// Throws ValueError on no samples, and on one that is not a positive finite number.
Summary summarise(std::vector<double> samples);

// At least `least` samples; then until the median is known to `spread`, or `seconds` of wall time
// or `most` samples are spent.
struct StopRule {
  int least = 10, most = 400;
  double spread = 0.005;
  double seconds = 2;
  bool enough(const std::vector<double>& samples, double elapsed_seconds) const;
};

// The median over rounds of theirs / ours, with the smallest and the largest.
struct Ratio {
  int rounds = 0;
  double median = 0, min = 0, max = 0;
};
Ratio ratio_of(const std::vector<double>& ours, const std::vector<double>& theirs);

}  // namespace flame::bench
