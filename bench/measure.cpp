#include "bench/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "lib/core/error.h"

namespace flame::bench {
namespace {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// What takes this long is sampled once a stop, so that slow work does not eat the run.
constexpr double kSlowMs = 20;

double median_of(std::vector<double> v) { return summarise(std::move(v)).median; }

// Who takes so many times as long as ours, and long, is told to be so and asked no more: its
// samples would cost the others theirs.
constexpr double kHopeless = 100;

// One stop at one contender; gives what it took, empty when it was left out.
std::vector<double> visit(Contender& contender, Series& series, bool ours, Temperature temperature,
                          int count) {
  if (!series.problem.empty()) return {};
  try {
    return contender.time(temperature, count);
  } catch (const Error& e) {
    if (ours) throw;
    series.problem = e.what();
    series.samples.clear();
    series.rounds.clear();
    return {};
  }
}

// The first run of something may load code: only where the second is as slow, it is.
void leave_the_hopeless(Contender& contender, Series& series, double ours, double first,
                        Temperature temperature) {
  const auto hopeless = [&](double ms) { return ms > kSlowMs && ms > kHopeless * ours; };
  if (!hopeless(first)) return;
  const auto second = visit(contender, series, false, temperature, 1);
  if (second.empty() || !hopeless(second[0])) return;
  series.problem = str_cat("one run takes ", std::round(second[0]), " ms, ",
                           std::round(second[0] / ours), " times FLAME's: not timed further");
}

// A sample of everybody takes `once` seconds: so many a visit fit into the rule's seconds.
int visits_that_fit(const Interleaving& how, double once) {
  const double most = how.rule.seconds / (2 * how.least_rounds * std::max(once, 1e-9));
  return int(std::clamp(most, 1.0, double(how.visit)));
}

}  // namespace

std::vector<double> LocalContender::time(Temperature temperature, int count) {
  std::vector<double> out;
  for (int i = 0; i < count; ++i) out.push_back(timer_.time(work_, temperature));
  return out;
}

std::vector<Series> interleave(const std::vector<Contender*>& contenders, Temperature temperature,
                               const Interleaving& how) {
  const auto clock = how.seconds ? how.seconds : steady_seconds;
  const std::size_t n = contenders.size();
  std::vector<Series> all(n);
  int stops = how.visit;
  double ours = 0;
  for (std::size_t i = 0; i < n; ++i) {
    all[i].name = contenders[i]->name();
    const auto first = visit(*contenders[i], all[i], i == 0, temperature, 1);
    if (first.empty()) continue;
    if (first[0] > kSlowMs) stops = 1;
    if (i == 0) ours = first[0];
    if (i > 0) leave_the_hopeless(*contenders[i], all[i], ours, first[0], temperature);
  }
  const double begin = clock();
  const auto done = [&](int rounds) {
    const double elapsed = clock() - begin;
    if (n > 1 && rounds < how.least_rounds) return false;
    return std::all_of(all.begin(), all.end(), [&](const Series& s) {
      return !s.problem.empty() || how.rule.enough(s.samples, elapsed);
    });
  };
  for (int round = 0; !done(round); ++round) {
    std::vector<std::vector<double>> taken(n);
    for (const bool back : {false, true})
      for (std::size_t k = 0; k < n; ++k) {
        const std::size_t i = back ? n - 1 - k : k;
        const auto times = visit(*contenders[i], all[i], i == 0, temperature, stops);
        taken[i].insert(taken[i].end(), times.begin(), times.end());
      }
    if (n > 1 && round == 0)
      stops = std::min(stops, visits_that_fit(how, (clock() - begin) / (2 * stops)));
    for (std::size_t i = 0; i < n; ++i) {
      if (!all[i].problem.empty()) continue;
      all[i].samples.insert(all[i].samples.end(), taken[i].begin(), taken[i].end());
      all[i].rounds.push_back(median_of(std::move(taken[i])));
    }
  }
  for (Series& s : all)
    if (s.problem.empty()) s.summary = summarise(s.samples);
  return all;
}

}  // namespace flame::bench
