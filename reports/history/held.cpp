#include "reports/history/held.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"

namespace flame::history {
namespace {

// The time of the fastest of them over ours; -1 where none was measured.
double fastest_ratio(const Floor& floor, const records::BenchRow& row, const Peers& peers) {
  double least = -1;
  const auto found = peers.find(without_implementation(key_of(row)));
  if (found == peers.end()) return least;
  for (const records::BenchRow* peer : found->second)
    if (fnmatch(floor.peer.c_str(), peer->implementation.c_str(), FNM_EXTMATCH) == 0 &&
        peer->view == row.view && peer->ratio > 0 && (least < 0 || peer->ratio < least))
      least = peer->ratio;
  return least;
}

}  // namespace

SeriesKey without_implementation(SeriesKey key) {
  key.implementation.clear();
  return key;
}

std::size_t Held::reached() const {
  const auto missed = std::size_t(
      std::count_if(rows.begin(), rows.end(), [](const HeldRow& r) { return !r.missed.empty(); }));
  return rows.size() - std::min(rows.size(), missed + (mean_missed.empty() ? 0 : 1));
}

Held hold(const Floor& floor, const std::vector<const records::BenchRow*>& ours,
          const Peers& peers) {
  Held held;
  double logs = 0;
  for (const records::BenchRow* row : ours) {
    if (!floor.matches(*row)) continue;
    const double ratio = floor.wants_peer() ? fastest_ratio(floor, *row, peers) : -1;
    if (floor.wants_peer() && row->samples > 0 && ratio < 0) continue;  // nobody to compare with
    logs += ratio > 0 ? std::log(ratio) : 0;
    held.rows.push_back({row, ratio, floor.missed_by(*row, ratio)});
  }
  if (held.rows.empty() || floor.min_mean_ratio <= 0) return held;
  held.mean_ratio = std::exp(logs / double(held.rows.size()));
  if (!(held.mean_ratio >= floor.min_mean_ratio))
    held.mean_missed =
        str_cat("the fastest of ", floor.peer, " takes ", held.mean_ratio,
                " times as long in the geometric mean, at least ", floor.min_mean_ratio);
  return held;
}

std::vector<const records::BenchRow*> rows_of_flame(const records::BenchRun& run) {
  std::vector<const records::BenchRow*> out;
  for (const records::BenchRow& row : run.rows)
    if (row.implementation == "flame" && row.op != records::kRoofOp) out.push_back(&row);
  return out;
}

Peers peers_of(const records::BenchRun& run) {
  Peers out;
  for (const records::BenchRow& row : run.rows)
    if (row.implementation != "flame" && row.op != records::kRoofOp)
      out[without_implementation(key_of(row))].push_back(&row);
  return out;
}

}  // namespace flame::history
