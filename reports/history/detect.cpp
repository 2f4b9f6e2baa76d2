#include "reports/history/detect.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lib/core/error.h"

namespace flame::history {
namespace {

std::string percent(double share) {
  std::ostringstream out;
  out.precision(3);
  out << 100 * share << " %";
  return out.str();
}

// One-sided p of `sigmas` in the tail of a Student t whose spread was estimated from n values.
double tail(double sigmas, std::size_t n) { return student_p(sigmas, double(n - 1)) / 2; }

Judgement beyond(Judgement j, bool slower, Stage stage) {
  j.stage = stage;
  // One night alone proves nothing either way.
  j.verdict = stage == Stage::kSuspect ? Verdict::kAmbiguous
              : slower                 ? Verdict::kSlower
                                       : Verdict::kFaster;
  return j;
}

}  // namespace

const char* to_string(Verdict v) {
  constexpr std::array kNames{"SAME", "FASTER", "SLOWER", "AMBIGUOUS", "NO-DATA"};
  return kNames[std::size_t(v)];
}

const char* to_string(Stage s) {
  constexpr std::array kNames{"none", "suspect", "confirmed", "change_point"};
  return kNames[std::size_t(s)];
}

Judgement judge_series(std::span<const double> times, const DetectRule& rule) {
  Judgement j;
  j.nights = times.size();
  for (const double t : times)
    check<ValueError>(t > 0 && std::isfinite(t), "judge_series: a time of ", t);
  // The nights under test are no part of what they are tested against.
  if (times.size() < rule.least + rule.confirm_nights) {
    j.why = str_cat(times.size(), " nights, ", rule.least + rule.confirm_nights, " are needed");
    return j;
  }
  const std::span<const double> latest = times.last(rule.confirm_nights);
  std::span<const double> before = times.first(times.size() - rule.confirm_nights);
  before = before.last(std::min(before.size(), rule.window));
  j.baseline = median(before);
  j.sigma = robust_sigma(before) / j.baseline;
  j.shift = times.back() / j.baseline - 1;
  const double sigma = std::max(j.sigma, 1e-12);

  double least = std::abs(j.shift);
  bool one_side = true;
  for (const double t : latest) {
    const double shift = t / j.baseline - 1;
    one_side = one_side && (shift > 0) == (j.shift > 0);
    least = std::min(least, std::abs(shift));
  }
  j.changes = change_points(times, rule.change);
  if (one_side && least > std::max(rule.confirm_sigmas * sigma, rule.least_shift)) {
    j.p = 2 * std::pow(tail(least / sigma, before.size()), double(rule.confirm_nights));
    const double tonight = median(latest) / j.baseline - 1;
    j.shift = tonight;
    j.why = str_cat(rule.confirm_nights, " nights in a row, ", percent(tonight), " off");
    return beyond(j, tonight > 0, Stage::kConfirmed);
  }
  if (!j.changes.empty() && times.size() - j.changes.back().index <= rule.recent) {
    const ChangePoint& c = j.changes.back();
    j.p = c.p;
    j.shift = c.shift();
    j.why = str_cat("the level changed ", times.size() - c.index, " nights ago by ",
                    percent(c.shift()));
    return beyond(j, c.shift() > 0, Stage::kChangePoint);
  }
  j.p = 2 * tail(std::abs(j.shift) / sigma, before.size());
  if (std::abs(j.shift) > std::max(rule.suspect_sigmas * sigma, rule.least_shift)) {
    j.why = str_cat("tonight alone is ", percent(j.shift), " off");
    return beyond(j, j.shift > 0, Stage::kSuspect);
  }
  if (j.sigma > rule.unstable) {
    j.verdict = Verdict::kAmbiguous;
    j.why = str_cat("unstable: nights scatter by ", percent(j.sigma));
    return j;
  }
  j.verdict = Verdict::kSame;
  return j;
}

std::size_t correct_for_many(std::vector<Judgement>& night, double rate) {
  std::vector<double> p;
  std::vector<Judgement*> judged;
  for (Judgement& j : night) {
    if (j.verdict == Verdict::kNoData) continue;
    p.push_back(j.p);
    judged.push_back(&j);
  }
  const std::vector<bool> kept = benjamini_hochberg(p, rate);
  std::size_t lost = 0;
  for (std::size_t i = 0; i < judged.size(); ++i) {
    if (kept[i] || judged[i]->stage == Stage::kNone) continue;
    judged[i]->stage = Stage::kNone;
    judged[i]->verdict = Verdict::kAmbiguous;
    judged[i]->why += str_cat(", which is no surprise among ", p.size(), " series");
    ++lost;
  }
  return lost;
}

double drift_of_r(std::span<const double> worst_r, double factor, double ignore) {
  if (worst_r.size() < 4 || !(worst_r.back() >= ignore)) return 0;
  const double before = median(worst_r.first(worst_r.size() - 1));
  if (!(before > 0)) return 0;
  return worst_r.back() / before >= factor ? worst_r.back() / before : 0;
}

}  // namespace flame::history
