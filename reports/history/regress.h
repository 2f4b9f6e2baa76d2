// The night, judged: every series, the probes, the floors and the drift of r.
#pragma once
#include <string>
#include <vector>

#include "reports/history/compare.h"
#include "reports/history/detect.h"
#include "reports/history/store.h"
#include "reports/history/thresholds.h"

namespace flame::history {

// One night of a series.
struct NightPoint {
  std::string night, commit;  // of the night's last run
  double us = -1;             // median over the night's runs
  double judged = -1;         // what the detector saw: us, or us / the probe's us
};

// The median of each night's runs, oldest first; `judged` is `us`.
std::vector<NightPoint> nights_of(const Series& series);

struct SeriesVerdict {
  SeriesKey key;
  Judgement judgement;             // judgement.changes count in `points`
  std::vector<NightPoint> points;  // oldest first
  double newest_us = -1;
  // The probe of this series moved on this night, so the ratio to it was judged, not the time.
  bool machine_moved = false;
  // Only flame's own series fail a night; a peer's are shown.
  bool ours() const { return key.implementation == "flame" && key.op != records::kRoofOp; }
};
struct MissedFloor {
  std::string floor, row, why, because;
};
struct Drift {
  std::string op, check, dtype, device_name;
  double r = 0, factor = 0;
};

struct NightReport {
  std::string night;  // the newest in the history
  std::vector<SeriesVerdict> series, probes;
  std::size_t ended = 0;  // series whose driver, CUDA, GPU or harness is not the newest run's
  std::vector<MissedFloor> missed, missed_targets;
  std::size_t targets_reached = 0;
  std::vector<std::string> idle_floors;  // that no row of the night is held to
  std::vector<Drift> drifts;
  bool machine_moved() const;
  std::size_t count(Verdict v) const;  // among flame's own series
};

// One value a night: the median of a night's runs. Throws ValueError without any bench run.
NightReport judge_night(const std::vector<Series>& series, const std::vector<RSeries>& worst_r,
                        const Thresholds& thresholds, const DetectRule& rule = {});

// Suspicions settled at once by base (A) and head (B) run in turn on one device: confirmed where
// the comparison says the same, SAME where it says SAME, still AMBIGUOUS else.
void confirm_by(NightReport& report, const Comparison& comparison);

enum class FailOn : unsigned char { kConfirmed, kSuspect };
enum class Outcome : unsigned char { kPass, kFail, kInconclusive };
// Fails on a confirmed slowdown and on a missed floor (and on a suspicion when asked);
// inconclusive when anything is AMBIGUOUS, when a floor holds nothing, or when nothing was judged.
Outcome outcome_of(const NightReport& report, FailOn fail_on);

}  // namespace flame::history
