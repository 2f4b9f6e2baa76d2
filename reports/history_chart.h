// What a series did, night after night.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "reports/history/regress.h"
#include "reports/svg.h"

namespace flame::reports {

// Nights in one software: another driver, CUDA or harness starts another series, which the chart
// shows as a break.
struct TrackPart {
  std::string driver, cuda, harness;
  std::vector<history::NightPoint> points;
};
struct Track {
  const history::SeriesVerdict* verdict = nullptr;  // of the last part
  std::vector<TrackPart> parts;                     // oldest first; the last is the verdict's
  std::size_t nights() const;
};

// One for each series of the report and each of its probes, in the report's order. `all`: every
// series of the history, for what was measured before a break. Points into `report`.
std::vector<Track> tracks_of(const history::NightReport& report,
                             const std::vector<history::Series>& all);

// A line as high as text; the newest night marked.
std::string sparkline(const Track& track);
// The large one: every night, change points with their commits, breaks with what changed.
std::string track_chart(const Track& track);

}  // namespace flame::reports
