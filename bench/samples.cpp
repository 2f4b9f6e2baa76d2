#include "bench/samples.h"

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"

namespace flame::bench {
namespace {

double quantile(const std::vector<double>& sorted, double p) {
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

Summary summarise(std::vector<double> samples) {
  check<ValueError>(!samples.empty(), "bench: no samples");
  for (const double s : samples)
    check<ValueError>(std::isfinite(s) && s > 0, "bench: a sample of ", s, " ms is no time");
  std::sort(samples.begin(), samples.end());
  Summary out{.count = static_cast<int>(samples.size()),
              .median = quantile(samples, 0.5),
              .q1 = quantile(samples, 0.25),
              .q3 = quantile(samples, 0.75),
              .min = samples.front(),
              .max = samples.back()};
  out.spread = 1.57 * (out.q3 - out.q1) / std::sqrt(double(out.count)) / out.median;
  return out;
}

bool StopRule::enough(const std::vector<double>& samples, double elapsed_seconds) const {
  const int n = static_cast<int>(samples.size());
  if (n < least) return false;
  return n >= most || elapsed_seconds >= seconds || summarise(samples).spread <= spread;
}

Ratio ratio_of(const std::vector<double>& ours, const std::vector<double>& theirs) {
  check<ValueError>(ours.size() == theirs.size(), "bench: ", ours.size(), " rounds of ours, ",
                    theirs.size(), " of the peer's");
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(theirs[i] / ours[i]);
  const Summary s = summarise(ratios);
  return {s.count, s.median, s.min, s.max};
}

}  // namespace flame::bench
