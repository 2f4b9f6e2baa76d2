#include "reports/history/statistics.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>

#include "lib/core/error.h"

namespace flame::history {
namespace {

double mean(std::span<const double> v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / double(v.size());
}

double variance(std::span<const double> v, double centre) {
  double sum = 0;
  for (const double x : v) sum += (x - centre) * (x - centre);
  return sum / double(v.size() - 1);
}

// P(U <= u) when every order is as likely: counts of orders by U, built up one value at a time.
double exact_below(std::size_t u, std::size_t n, std::size_t m) {
  // ways[j][k]: orders of i values of one side and j of the other with U = k.
  std::vector<std::vector<double>> ways(m + 1, std::vector<double>(n * m + 1, 0));
  for (auto& row : ways) row[0] = 1;
  for (std::size_t i = 1; i <= n; ++i) {
    // The largest of all is of the first side (adds j to U) or of the second (adds nothing).
    for (std::size_t j = 0; j <= m; ++j) {
      std::vector<double> next(n * m + 1, 0);
      for (std::size_t k = 0; k <= n * m; ++k)
        next[k] = (k >= j ? ways[j][k - j] : 0) + (j > 0 ? ways[j - 1][k] : 0);
      ways[j] = std::move(next);
    }
  }
  const auto& counts = ways[m];
  const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
  return std::accumulate(counts.begin(), counts.begin() + std::ptrdiff_t(u) + 1, 0.0) / all;
}

// Pulls every value to within 3 sigma of the level around it, so that a lone outlier weighs no more
// than noise does and a step keeps its side.
std::vector<double> pulled_in(std::span<const double> values) {
  constexpr std::size_t kHalf = 2;  // a level of five: a step of three nights is already a level
  std::vector<double> level(values.size()), rest(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t from = std::min(i - std::min(i, kHalf), values.size() - 1);
    level[i] = median(values.subspan(from, std::min(i + kHalf + 1, values.size()) - from));
    rest[i] = values[i] - level[i];
  }
  const double reach = 3 * robust_sigma(rest);
  std::vector<double> out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    out[i] = std::clamp(values[i], level[i] - reach, level[i] + reach);
  return out;
}

// The split of values[from, to) with the largest energy distance between its sides; `to` when there
// is no room for one.
std::size_t best_split(std::span<const double> v, std::size_t from, std::size_t to,
                       std::size_t least) {
  const std::size_t n = to - from;
  if (n < 2 * least) return to;
  // Sums of |x - y| within the left side, within the right side and across, moved one value at a
  // time.
  double left = 0, right = 0, across = 0;
  for (std::size_t i = from; i < to; ++i)
    for (std::size_t j = i + 1; j < to; ++j) right += std::abs(v[i] - v[j]);
  std::size_t best = to;
  double best_q = 0;
  for (std::size_t k = 0; k + least < n; ++k) {
    double to_left = 0, to_right = 0;
    for (std::size_t j = from; j < from + k; ++j) to_left += std::abs(v[from + k] - v[j]);
    for (std::size_t j = from + k + 1; j < to; ++j) to_right += std::abs(v[from + k] - v[j]);
    left += to_left;
    right -= to_right;
    across += to_right - to_left;
    const double a = double(k + 1), b = double(n - k - 1);
    if (k + 1 < least) continue;
    const double q = a * b / (a + b) *
                     (2 * across / (a * b) - 2 * left / (a * (a - 1)) - 2 * right / (b * (b - 1)));
    if (q > best_q) {
      best_q = q;
      best = from + k + 1;
    }
  }
  return best;
}

void split(std::span<const double> v, std::size_t from, std::size_t to, const ChangeRule& rule,
           std::vector<std::size_t>& found) {
  const std::size_t at = best_split(v, from, to, rule.segment);
  if (at == to) return;
  // Weak candidates pass here: what hides a change may itself be one (Hunter's first pass).
  if (welch(v.subspan(from, at - from), v.subspan(at, to - at)).p > 10 * rule.p) return;
  found.push_back(at);
  split(v, from, at, rule, found);
  split(v, at, to, rule, found);
}

}  // namespace

double median(std::span<const double> values) {
  check<ValueError>(!values.empty(), "median: of no values");
  std::vector<double> v(values.begin(), values.end());
  for (const double x : v) check<ValueError>(std::isfinite(x), "median: of ", x);
  const auto middle = v.begin() + std::ptrdiff_t(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  if (v.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(v.begin(), middle)) / 2;
}

double robust_sigma(std::span<const double> values) {
  const double centre = median(values);
  std::vector<double> distance;
  for (const double x : values) distance.push_back(std::abs(x - centre));
  const double n = double(values.size());
  return 1.4826 * median(distance) * (n > 1 ? n / (n - 0.8) : 1);
}

TestResult mann_whitney(std::span<const double> a, std::span<const double> b) {
  check<ValueError>(!a.empty() && !b.empty(), "mann_whitney: ", a.size(), " and ", b.size(),
                    " values");
  double u = 0;
  for (const double x : a)
    for (const double y : b) u += x > y ? 1 : x == y ? 0.5 : 0;
  std::vector<double> all(a.begin(), a.end());
  all.insert(all.end(), b.begin(), b.end());
  std::sort(all.begin(), all.end());
  double ties = 0;
  for (std::size_t i = 0, j = 0; i < all.size(); i = j) {
    while (j < all.size() && all[j] == all[i]) ++j;
    const double t = double(j - i);
    ties += t * t * t - t;
  }
  const double n = double(a.size()), m = double(b.size());
  if (ties == 0 && n * m <= 400) {
    const double smaller = std::min(u, n * m - u);
    return {u, std::min(1.0, 2 * exact_below(std::size_t(smaller), a.size(), b.size()))};
  }
  const double sigma = std::sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))));
  if (!(sigma > 0)) return {u, 1};  // all equal
  const double z = (std::abs(u - n * m / 2) - 0.5) / sigma;
  return {u, std::min(1.0, std::erfc(z / std::sqrt(2.0)))};
}

double student_p(double t, double degrees) {
  if (std::isinf(t)) return 0;
  const boost::math::students_t_distribution<double> student(degrees);
  return 2 * boost::math::cdf(boost::math::complement(student, std::abs(t)));
}

TestResult welch(std::span<const double> a, std::span<const double> b) {
  check<ValueError>(a.size() > 1 && b.size() > 1, "welch: ", a.size(), " and ", b.size(),
                    " values");
  const double ma = mean(a), mb = mean(b);
  const double va = variance(a, ma) / double(a.size()), vb = variance(b, mb) / double(b.size());
  if (!(va + vb > 0)) return {0, ma == mb ? 1.0 : 0.0};
  const double t = (ma - mb) / std::sqrt(va + vb);
  const double degrees =
      (va + vb) * (va + vb) / (va * va / double(a.size() - 1) + vb * vb / double(b.size() - 1));
  return {t, student_p(t, degrees)};
}

std::vector<bool> benjamini_hochberg(std::span<const double> p, double rate) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t(0));
  std::sort(order.begin(), order.end(), [&](auto i, auto j) { return p[i] < p[j]; });
  std::size_t last = 0;
  for (std::size_t i = 0; i < order.size(); ++i)
    if (p[order[i]] <= rate * double(i + 1) / double(order.size())) last = i + 1;
  std::vector<bool> significant(p.size(), false);
  for (std::size_t i = 0; i < last; ++i) significant[order[i]] = true;
  return significant;
}

std::vector<ChangePoint> change_points(std::span<const double> values, const ChangeRule& rule) {
  const std::size_t n = values.size();
  std::vector<std::size_t> at;
  if (n < 2 * rule.segment) return {};
  const std::vector<double> v = pulled_in(values);
  // Windows end at the newest value and overlap by half, so that the newest change is always seen
  // against a full window.
  for (std::size_t to = n;;) {
    const std::size_t from = to - std::min(to, rule.window);
    split(v, from, to, rule, at);
    if (from == 0) break;
    to -= rule.window / 2;
  }
  std::sort(at.begin(), at.end());
  std::vector<ChangePoint> found;
  for (;;) {
    at.erase(std::unique(at.begin(), at.end()), at.end());
    found.clear();
    std::size_t weakest = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      // At most a window on either side: an old level says little of the newest.
      const std::size_t begin =
          std::max(i > 0 ? at[i - 1] : 0, at[i] - std::min(at[i], rule.window));
      const std::size_t end = std::min(i + 1 < at.size() ? at[i + 1] : n, at[i] + rule.window);
      const std::span<const double> all(v);
      ChangePoint c{at[i], 0, 0, 1};
      c.before = median(all.subspan(begin, at[i] - begin));
      c.after = median(all.subspan(at[i], end - at[i]));
      if (at[i] - begin >= rule.segment && end - at[i] >= rule.segment &&
          std::abs(c.shift()) >= rule.shift)
        // The split was chosen as the best of those that its window offers.
        c.p = std::min(1.0,
                       welch(all.subspan(begin, at[i] - begin), all.subspan(at[i], end - at[i])).p *
                           double(std::min(rule.window, n)));
      found.push_back(c);
      if (c.p > found[weakest].p) weakest = i;
    }
    if (found.empty() || found[weakest].p <= rule.p) return found;
    at.erase(at.begin() + std::ptrdiff_t(weakest));
  }
}

}  // namespace flame::history
