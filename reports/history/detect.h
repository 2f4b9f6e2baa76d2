// One series of nights, judged: is tonight what the nights before were?
#pragma once
#include <span>
#include <string>
#include <vector>

#include "reports/history/statistics.h"

namespace flame::history {

enum class Verdict : unsigned char { kSame, kFaster, kSlower, kAmbiguous, kNoData };
const char* to_string(Verdict v);  // "SAME", "FASTER", "SLOWER", "AMBIGUOUS", "NO-DATA"
// How sure: one night is a suspicion, nights in a row confirm, a change point dates it.
enum class Stage : unsigned char { kNone, kSuspect, kConfirmed, kChangePoint };
const char* to_string(Stage s);  // "none", "suspect", "confirmed", "change_point"

struct DetectRule {
  std::size_t window = 30;    // nights of the baseline at most
  std::size_t least = 10;     // nights of the baseline at least; fewer: NO-DATA
  double suspect_sigmas = 4;  // one night beyond both is suspect
  double least_shift = 0.02;
  // Confirmed: this many nights in a row beyond confirm_sigmas (of the same sign) and least_shift.
  // In a row, not "2 of 3 beyond suspect_sigmas": with one slow night in twenty, two of three are
  // slow by chance in one month of eight, and four sigmas miss a quarter of the steps of 5 %.
  std::size_t confirm_nights = 3;
  double confirm_sigmas = 2;
  double unstable = 0.02;   // a robust sigma above this share cannot show a 5 % change: AMBIGUOUS
  std::size_t recent = 30;  // a change point counts for tonight's verdict while this young
  ChangeRule change{};
};

struct Judgement {
  Verdict verdict = Verdict::kNoData;
  Stage stage = Stage::kNone;
  std::size_t nights = 0;  // values given
  double baseline = -1;    // median of the nights before
  double sigma = -1;       // their robust sigma, as a share of the baseline
  double shift = 0;        // of the newest against the baseline, or across the change point
  double p = 1;            // of tonight's test; for Benjamini-Hochberg
  std::vector<ChangePoint> changes;
  std::string why;
};

// `times`: one positive value a night, oldest first, the newest is the one judged. Larger is
// slower.
Judgement judge_series(std::span<const double> times, const DetectRule& rule = {});

// Suspicions that a false discovery rate over all of the night's series does not keep lose their
// stage; they stay AMBIGUOUS. Returns how many.
std::size_t correct_for_many(std::vector<Judgement>& night, double rate = 0.05);

// A rise of r inside the bound: newest / median of the nights before, where that is at least
// `factor`. 0 where there is none, or fewer than three nights before it. Below `ignore` of the
// bound nothing drifts: rounding of a luckier input.
double drift_of_r(std::span<const double> worst_r, double factor = 4, double ignore = 0.01);

}  // namespace flame::history
