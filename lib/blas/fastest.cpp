#include "lib/blas/fastest.h"

#include <algorithm>
#include <vector>

namespace flame::blas {
namespace {

constexpr double kBudget = 120;  // milliseconds of the first look
constexpr double kNear = 1.10;   // of the fastest: looked at again
constexpr double kGain = 1.004;  // what a later candidate must win by
constexpr int kAgain = 6, kRounds = 3;
constexpr double kEnough = 0.3;  // milliseconds that one timing of the second look takes

struct Timed {
  int candidate;
  double ms;
};

}  // namespace

int fastest(int candidates, const TimeCandidate& time) {
  std::vector<Timed> ran;
  double spent = 0, best = 0;
  for (int i = 0; i < candidates && (spent < kBudget || ran.empty()); ++i) {
    const double ms = time(i, 1);
    if (ms <= 0) continue;
    spent += 2 * ms;
    best = ran.empty() ? ms : std::min(best, ms);
    ran.push_back({i, ms});
  }
  if (ran.empty()) return -1;
  std::erase_if(ran, [&](const Timed& t) { return t.ms > kNear * best; });
  if (ran.size() == 1) return ran.front().candidate;
  std::stable_sort(ran.begin(), ran.end(),
                   [](const Timed& a, const Timed& b) { return a.ms < b.ms; });
  ran.resize(std::min<std::size_t>(ran.size(), kAgain));
  const int runs = std::clamp(static_cast<int>(kEnough / best), 1, 20);
  const int rounds = best > kEnough * 4 ? 1 : kRounds;  // a long run has little noise
  for (int round = 0; round < rounds; ++round)
    for (Timed& t : ran)
      if (const double ms = time(t.candidate, runs); ms > 0)
        t.ms = round == 0 ? ms : std::min(t.ms, ms);
  std::sort(ran.begin(), ran.end(),
            [](const Timed& a, const Timed& b) { return a.candidate < b.candidate; });
  Timed chosen = ran.front();
  for (const Timed& t : ran)
    if (t.ms * kGain < chosen.ms) chosen = t;
  return chosen.candidate;
}

}  // namespace flame::blas
