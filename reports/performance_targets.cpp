// The figures to reach: how many rows reach each, which ones do not, and what holds those back.
#include <algorithm>

#include "lib/core/error.h"
#include "reports/history/tonight.h"
#include "reports/performance_charts.h"
#include "reports/performance_view.h"

namespace flame::reports {
namespace {

using history::Floor;
using Held = history::Tonight::Held;

// A row below the target is one of these.
std::vector<const Held*> missed_of(const Floor& floor, const std::vector<Held>& held) {
  std::vector<const Held*> out;
  for (const Held& h : held)
    if (!floor.missed_by(*h.row, h.ratio).empty()) out.push_back(&h);
  return out;
}

// "sum, mean, amax" of "@(sum|mean|amax)".
std::string spoken(std::string pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.compare(i, 2, "@(") == 0)
      ++i;
    else if (pattern[i] == '|')
      out += ", ";
    else if (pattern[i] != ')')
      out += pattern[i];
  }
  return out;
}

std::string spoken_peer(const std::string& pattern) {
  std::string out = spoken(pattern);
  std::erase(out, '*');
  return out;
}

std::string limit_text(const Floor& f) {
  const std::pair<double, const char*> shares[] = {{f.min_share_copy, "copy"},
                                                   {f.min_share_read, "read"},
                                                   {f.min_share_gemm_bf16, "bf16 GEMM"},
                                                   {f.min_share_gemm_f32, "f32 GEMM"}};
  for (const auto& [limit, what] : shares)
    if (limit > 0) return str_cat(percent_text(limit), " of ", what);
  if (f.min_gbps > 0) return fixed(f.min_gbps, 0) + " GB/s";
  if (f.min_tflops > 0) return fixed(f.min_tflops, 0) + " TFLOP/s";
  if (f.max_us > 0) return str_cat("at most ", fixed(f.max_us, 1), " us");
  const bool mean = f.min_mean_ratio > 0;
  return str_cat(ratio_text(mean ? f.min_mean_ratio : f.min_ratio), " ", spoken_peer(f.peer),
                 mean ? " in the mean" : "");
}

// What of the row the limit is about.
double figure_of(const Floor& f, const Held& held) {
  const records::BenchRow& row = *held.row;
  if (f.min_share_copy > 0) return row.share_copy;
  if (f.min_share_read > 0) return row.share_read;
  if (f.min_share_gemm_bf16 > 0) return row.share_gemm_bf16;
  if (f.min_share_gemm_f32 > 0) return row.share_gemm_f32;
  if (f.min_gbps > 0) return row.gbps();
  if (f.min_tflops > 0) return row.tflops();
  if (f.max_us > 0) return row.median_us;
  return held.ratio;
}

std::string figure_text(const Floor& f, double figure, int digits = 0) {
  if (f.min_share_copy > 0 || f.min_share_read > 0 || f.min_share_gemm_bf16 > 0 ||
      f.min_share_gemm_f32 > 0)
    return percent_text(figure, digits);
  if (f.wants_peer()) return ratio_text(figure);
  return fixed(figure, 1);
}

std::string what_of(const Floor& f) {
  std::string out = f.op.empty() ? "everything" : spoken(f.op);
  for (const std::string* part : {&f.case_name, &f.direction, &f.dtype, &f.compute_mode})
    if (!part->empty()) out.append(" ").append(spoken(*part));
  if (f.least_bytes > 0) out += str_cat(", ", fixed(f.least_bytes / (1 << 20), 0), " MiB and more");
  return out;
}

View missed_view(const Floor& floor, const Held& held, const history::Thresholds& thresholds,
                 Format format) {
  const history::Explanation* why = thresholds.explanation_of(*held.row);
  const bool measured = held.row->samples > 0;
  View out;
  out["what"] = plain(str_cat(held.row->op, " ", held.row->case_name, " ",
                              short_direction(held.row->direction), " ", type_of(*held.row),
                              held.row->temperature == "cold" ? "" : " " + held.row->temperature),
                      format);
  out["figure"] =
      measured ? figure_text(floor, figure_of(floor, held), 1) : std::string("not measured");
  out["why"] = plain(why        ? why->because
                     : measured ? std::string("not explained")
                                : held.row->reason,
                     format);
  out["unexplained"] = flag(why == nullptr);
  return out;
}

// What one target came to.
struct Reached {
  std::vector<Held> held;
  std::vector<const Held*> missed;
  bool mean_missed = false;
  std::size_t misses() const { return missed.size() + (mean_missed ? 1 : 0); }
};

View target_view(const Floor& floor, const Reached& target, const history::Thresholds& thresholds,
                 Format format) {
  View out, list = make_list();
  double least = -1, most = -1;
  for (const Held& row : target.held) {
    if (row.row->samples == 0) continue;
    const double figure = figure_of(floor, row);
    least = least < 0 ? figure : std::min(least, figure);
    most = std::max(most, figure);
  }
  std::vector<const Held*> worst_first = target.missed;
  std::stable_sort(worst_first.begin(), worst_first.end(), [&](const Held* a, const Held* b) {
    return figure_of(floor, *a) < figure_of(floor, *b);
  });
  for (const Held* row : worst_first) list << missed_view(floor, *row, thresholds, format);
  out["what"] = plain(what_of(floor), format);
  out["limit"] = plain(limit_text(floor), format);
  const bool mean = floor.min_mean_ratio > 0;
  out["reached"] =
      mean ? (target.mean_missed ? "missed" : "reached")
           : str_cat(target.held.size() - target.missed.size(), " of ", target.held.size());
  out["shown"] = mean ? ratio_text(mean_ratio(target.held))
                      : str_cat(figure_text(floor, least), " to ", figure_text(floor, most));
  out["because"] = plain(floor.because, format);
  out["missed"] = std::move(list);
  out["has_missed"] = flag(!target.missed.empty());
  out["met"] = flag(target.misses() == 0);
  return out;
}

std::string sentence_of(std::size_t reached, std::size_t missed, std::size_t unexplained) {
  std::string out = str_cat(reached, " of ", reached + missed, " figures reach what is aimed at");
  if (missed == 0) return out + ".";
  out += str_cat(", ", missed, missed == 1 ? " does not, " : " do not, ");
  if (unexplained == 0) return out + "each with what holds it back.";
  if (unexplained < missed) out += str_cat(unexplained, " of them ");
  return out + "without an explanation.";
}

}  // namespace

void add_targets(View& view, const PerformanceInput& input, Format format) {
  history::Tonight rows;
  for (const BenchRow& row : input.run.rows)
    if (row.op != records::kRoofOp && row.op != kProbeOp) rows.add(row);
  View list = make_list();
  std::size_t reached = 0, missed = 0, unexplained = 0;
  for (const Floor& floor : input.thresholds.floors) {
    if (!floor.target) continue;
    Reached target;
    target.held = rows.held_by(floor);
    if (target.held.empty()) continue;
    target.missed = missed_of(floor, target.held);
    target.mean_missed =
        floor.min_mean_ratio > 0 && !(mean_ratio(target.held) >= floor.min_mean_ratio);
    list << target_view(floor, target, input.thresholds, format);
    // A mean is one figure.
    const std::size_t figures = floor.min_mean_ratio > 0 ? 1 : target.held.size();
    missed += target.misses();
    reached += figures - std::min(figures, target.misses());
    for (const Held* row : target.missed)
      unexplained += input.thresholds.explanation_of(*row->row) == nullptr;
  }
  view["targets"] = std::move(list);
  view["has_targets"] = flag(reached + missed > 0);
  view["target_sentence"] = sentence_of(reached, missed, unexplained);
}

}  // namespace flame::reports
