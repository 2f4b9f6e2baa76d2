#include "lib/blas/fastest.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

namespace flame::blas {
namespace {

constexpr double kBudget = 200;  // milliseconds of the first look
constexpr double kGain = 1.003;  // what a later candidate must win by
// Of the fastest so far: not looked at twice; and looked at again and again, so many at most.
constexpr double kHopeless = 1.15, kNear = 1.12, kNearer = 1.02;
constexpr std::size_t kMostNear = 16, kMostNearer = 5;

struct Timed {
  int candidate = 0;
  std::vector<double> ms;
  double median() const {
    if (ms.empty()) return std::numeric_limits<double>::infinity();
    std::vector<double> sorted = ms;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle;
  }
};

// Those within a factor of the fastest, fastest first, `most` of them.
void keep_near(std::vector<Timed>& ran, double factor, std::size_t most) {
  std::stable_sort(ran.begin(), ran.end(),
                   [](const Timed& a, const Timed& b) { return a.median() < b.median(); });
  const double limit = factor * ran.front().median();
  std::erase_if(ran, [&](const Timed& t) { return t.median() > limit; });
  if (ran.size() > most) ran.resize(most);
}

void time_in_turn(std::vector<Timed>& ran, int rounds, const TimeCandidate& time) {
  for (int round = 0; round < rounds; ++round) {
    for (Timed& t : ran)
      if (const double ms = time(t.candidate); ms > 0) t.ms.push_back(ms);
    std::reverse(ran.begin(), ran.end());  // A B C, C B A
  }
}

// Each candidate once, or twice where that may matter.
struct FirstLook {
  explicit FirstLook(const TimeCandidate& t) : time(t) {}

  bool is_over() const { return spent >= kBudget && !ran.empty(); }
  void at(int candidate) {
    if (time(candidate) <= 0) return;  // the first run loads code: it does not count
    double ms = time(candidate);
    if (ms <= 0) return;
    spent += 2 * ms;
    if (ms < kHopeless * least) {
      const double again = time(candidate);
      if (again > 0) ms = std::min(ms, again);
      spent += ms;
    }
    least = std::min(least, ms);
    ran.push_back({candidate, {ms}});
  }
  std::vector<int> ranked() const {
    std::vector<const Timed*> order;
    for (const Timed& t : ran) order.push_back(&t);
    std::stable_sort(order.begin(), order.end(),
                     [](const Timed* a, const Timed* b) { return a->ms[0] < b->ms[0]; });
    std::vector<int> out;
    for (const Timed* t : order) out.push_back(t->candidate);
    return out;
  }

  const TimeCandidate& time;
  std::vector<Timed> ran;
  double spent = 0, least = std::numeric_limits<double>::infinity();
};

// As many as take so many milliseconds for each, within bounds.
int rounds_for(double ms, double each, int least, int most) {
  return std::clamp(static_cast<int>(ms / each), least, most);
}

}  // namespace

int fastest(int candidates, const TimeCandidate& time, const MoreCandidates& more) {
  FirstLook look(time);
  for (int from = 0; from < candidates;) {
    for (int i = from; i < candidates && !look.is_over(); ++i) look.at(i);
    from = candidates;
    if (more && !look.is_over() && !look.ran.empty()) candidates = more(look.ranked());
  }
  std::vector<Timed>& ran = look.ran;
  if (ran.empty()) return -1;
  keep_near(ran, kNear, kMostNear);
  const double best = ran.front().ms[0];
  for (Timed& t : ran) t.ms.clear();
  if (ran.size() > 1) {
    time_in_turn(ran, rounds_for(1, best, 1, 6), time);
    keep_near(ran, kNearer, kMostNearer);
    time_in_turn(ran, rounds_for(4, best, 2, 24), time);
  }
  std::sort(ran.begin(), ran.end(),
            [](const Timed& a, const Timed& b) { return a.candidate < b.candidate; });
  const Timed* chosen = &ran.front();
  for (const Timed& t : ran)
    if (t.median() * kGain < chosen->median()) chosen = &t;
  return chosen->candidate;
}

}  // namespace flame::blas
