// The statistics of the history: robust, deterministic, free of any clock or device.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace flame::history {

// Throws ValueError on no values and on one that is not finite.
double median(std::span<const double> values);
// An estimate of the standard deviation that outliers cannot move: 1.4826 * the median distance
// from the median, with the small-sample factor n / (n - 0.8) (Croux & Rousseeuw 1992).
double robust_sigma(std::span<const double> values);

struct TestResult {
  double statistic = 0;
  double p = 1;  // two-sided
};
// Mann-Whitney U of a against b. Exact when nothing is tied and a.size() * b.size() <= 400, else
// normal with the corrections for ties and for continuity (SciPy's "asymptotic"). The statistic is
// U of `a`: how many pairs have the value of `a` above. Throws ValueError when a side is empty.
TestResult mann_whitney(std::span<const double> a, std::span<const double> b);
// Welch's t: unequal variances, Welch-Satterthwaite degrees of freedom. Throws ValueError when a
// side has fewer than two values. Two sides without any spread: p is 1 when equal, else 0.
TestResult welch(std::span<const double> a, std::span<const double> b);
// Two-sided p of Student's t.
double student_p(double t, double degrees);

// Which of the p values are significant with a false discovery rate of `rate` (Benjamini & Hochberg
// 1995).
std::vector<bool> benjamini_hochberg(std::span<const double> p, double rate);

struct ChangePoint {
  std::size_t index = 0;         // of the first value after the change
  double before = 0, after = 0;  // medians of the neighbouring segments
  double p = 1;
  double shift() const { return after / before - 1; }
};
struct ChangeRule {
  std::size_t window = 50;  // values looked at together
  std::size_t segment = 8;  // values a segment has at least
  double p = 0.001;         // after the correction for choosing the best of a window's splits
  double shift = 0.01;
};
// Where the level of a positive series changed: candidates are the splits with the largest energy
// distance (E-divisive: Matteson & James 2014) within windows, tested by Welch's t instead of by
// permutations, so that the answer is the same every night; then the weakest is taken away and its
// neighbours tested again until all that are left are significant. Values are first pulled in to
// within 3 sigma of the window's rolling level: one slow night is no level.
std::vector<ChangePoint> change_points(std::span<const double> values, const ChangeRule& rule = {});

}  // namespace flame::history
