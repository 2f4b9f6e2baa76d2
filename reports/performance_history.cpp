// The history's section: the night's verdicts, and a chart a series.
#include <algorithm>
#include <array>

#include "lib/core/error.h"
#include "reports/history_chart.h"
#include "reports/performance_charts.h"
#include "reports/performance_view.h"
#include "reports/summary.h"

namespace flame::reports {
namespace {

using history::Verdict;

constexpr std::array kAttention{Verdict::kSlower, Verdict::kAmbiguous, Verdict::kFaster,
                                Verdict::kSame, Verdict::kNoData};

bool quiet(const Track& t) {
  const Verdict v = t.verdict->judgement.verdict;
  return v == Verdict::kSame || v == Verdict::kNoData;
}

bool is_probe(const history::SeriesKey& k) {
  return k.op == records::kRoofOp || k.implementation == records::kRawLaunch;
}

int urgency(const Track& t) {
  const auto* found = std::find(kAttention.begin(), kAttention.end(), t.verdict->judgement.verdict);
  return (t.verdict->ours() ? 0 : 10) + int(found - kAttention.begin());
}

std::string night_sentence(const history::NightReport& night) {
  std::string out = str_cat("The night of ", night.night, ":");
  for (const Verdict v : kAttention)
    if (night.count(v) > 0) out += str_cat(" ", history::to_string(v), " ", night.count(v), ",");
  if (out.ends_with(',')) out.pop_back();
  if (out.ends_with(':')) out += " nothing of FLAME's was measured";
  out += ".";
  if (night.machine_moved())
    out += " The machine moved: what its probe explains is judged by the ratio to it.";
  if (night.ended > 0)
    out += str_cat(" ", night.ended, " series ended with another driver, CUDA, GPU or harness.");
  return out;
}

View track_view(const Track& track, Format format) {
  const history::SeriesVerdict& v = *track.verdict;
  const history::SeriesKey& k = v.key;
  View out;
  out["what"] = plain(str_cat(k.op, " ", k.case_name, " ", short_direction(k.direction), " ",
                              k.compute_mode == "tf32" ? k.compute_mode : k.dtype,
                              k.temperature == "cold" ? "" : " " + k.temperature,
                              k.implementation == "flame" ? "" : " by " + k.implementation),
                      format);
  out["nights"] = format_count(std::int64_t(track.nights()));
  out["newest"] = v.newest_us > 0 ? fixed(v.newest_us, 1) : "-";
  const bool shifted = v.judgement.verdict != Verdict::kNoData;
  out["shift"] =
      shifted ? str_cat(v.judgement.shift > 0 ? "+" : "", fixed(100 * v.judgement.shift, 1), " %")
              : "-";
  out["verdict"] = history::to_string(v.judgement.verdict);
  std::string stage = history::to_string(v.judgement.stage);
  std::replace(stage.begin(), stage.end(), '_', ' ');
  out["stage"] = v.judgement.stage == history::Stage::kNone ? "" : stage;
  out["why"] = plain(v.judgement.why, format);
  View changes = make_list();
  for (const history::ChangePoint& c : v.judgement.changes) {
    View change;
    change["size"] = str_cat(c.shift() > 0 ? "+" : "", fixed(100 * c.shift(), 1), " %");
    change["night"] = plain(v.points[c.index].night, format);
    change["before"] = plain(v.points[c.index - 1].commit, format);
    change["after"] = plain(v.points[c.index].commit, format);
    changes << change;
  }
  out["changes"] = std::move(changes);
  if (format == Format::kHtml) {
    out["spark"] = sparkline(track);
    out["chart"] = track_chart(track);
  }
  return out;
}

void add_events(View& view, const history::NightReport& night, Format format) {
  View events = make_list();
  const auto add = [&](const std::string& text) { events << View(plain(text, format)); };
  for (const history::MissedFloor& m : night.missed)
    add(str_cat("Floor missed by ", m.row, ": ", m.why));
  for (const std::string& floor : night.idle_floors)
    add(str_cat("Nothing of the night is held to the floor ", floor));
  for (const history::Drift& d : night.drifts)
    add(str_cat("r of ", d.op, " ", d.check, " ", d.dtype, " is ", format_r(d.r), ", ",
                fixed(d.factor, 1), " times what it was"));
  view["events"] = std::move(events);
}

}  // namespace

void add_history(View& view, const PerformanceInput& input, Format format) {
  view["has_history"] = flag(input.night.has_value());
  if (!input.night) return;
  std::vector<Track> tracks = tracks_of(*input.night, input.series);
  // Peers have their place beside FLAME, not here.
  std::erase_if(tracks,
                [](const Track& t) { return !t.verdict->ours() && !is_probe(t.verdict->key); });
  std::stable_sort(tracks.begin(), tracks.end(),
                   [](const Track& a, const Track& b) { return urgency(a) < urgency(b); });
  View list = make_list(), quiet_ones = make_list();
  std::size_t single = 0, quiets = 0;
  for (const Track& track : tracks) {
    if (track.nights() < 2) {
      ++single;
    } else if (quiet(track)) {
      quiet_ones << track_view(track, format);
      ++quiets;
    } else {
      list << track_view(track, format);
    }
  }
  view["tracks"] = std::move(list);
  view["quiet_tracks"] = std::move(quiet_ones);
  view["has_tracks"] = flag(tracks.size() > single + quiets);
  view["quiet_count"] = quiets > 0 ? View(format_count(std::int64_t(quiets))) : flag(false);
  view["track"] = View(kainjow::mustache::partial([] { return template_text("track.html"); }));
  view["night_sentence"] = plain(night_sentence(*input.night), format);
  view["single"] = single > 0 ? View(str_cat(format_count(std::int64_t(single)),
                                             " series have a single night, and no chart yet."))
                              : flag(false);
  add_events(view, *input.night, format);
}

}  // namespace flame::reports
