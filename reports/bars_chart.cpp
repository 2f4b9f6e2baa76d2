#include <algorithm>
#include <cmath>

#include "lib/core/error.h"
#include "reports/performance_charts.h"

namespace flame::reports {
namespace {

constexpr double kWidth = 1000, kGutter = 378, kBarRight = 752, kTop = 24, kBar = 13, kGap = 7;

struct Line {
  const BenchItem* item;
  const Peer* peer;
  bool first;  // of its item: carries the name
};

std::vector<Line> lines_of(const BenchItems& items, const std::string& op) {
  std::vector<Line> out;
  for (const BenchItem& item : items.items) {
    if (item.flame->op != op) continue;
    bool first = true;
    for (const Peer& peer : item.peers) {
      if (!peer.best || peer.best->ratio < 0) continue;
      out.push_back({&item, &peer, first});
      first = false;
    }
  }
  return out;
}

// Where a scale may begin and end; all of them that lie inside are its ticks.
constexpr double kTicks[] = {1.0 / 64, 1.0 / 32, 1.0 / 16, 0.125, 0.25, 0.5, 0.8, 1,
                             1.25,     2,        4,        8,     16,   32,  64};

LogScale bar_scale(double least, double most) {
  double a = kTicks[0], b = 1.25;
  for (const double tick : kTicks)
    if (tick <= std::min(least, 0.8)) a = tick;
  for (const double tick : kTicks)
    if (b < most) b = std::max(b, tick);
  return {a, b, kGutter, kBarRight};
}

std::string words_of(const BenchItem& item, const Peer& peer) {
  std::string out = str_cat(ratio_text(peer.best->ratio), " ", peer_title(peer.name));
  if (!way_of(*peer.best).empty()) out += str_cat(" ", way_of(*peer.best));
  if (peer.other_work) out += other_work_words(item);
  if (peer.less_exact) out += " ≠ less exact";
  return out;
}

}  // namespace

std::string peer_bars(const BenchItems& items, const std::string& op) {
  const std::vector<Line> lines = lines_of(items, op);
  if (lines.empty()) return "";
  double least = 1, most = 1;
  for (const Line& l : lines) {
    if (l.peer->other_work) continue;
    least = std::min(least, l.peer->best->ratio_min);
    most = std::max(most, l.peer->best->ratio_max);
  }
  const LogScale x = bar_scale(least, most);
  double height = kTop;
  for (const Line& l : lines) height += kBar + (l.first ? kGap : 1);
  Svg svg(kWidth, height + 8, str_cat("Every case of ", op, " against its peers"));
  for (const double v : kTicks) {
    if (v < x.a() || v > x.b()) continue;
    svg.line(x(v), kTop, x(v), height + 4, v == 1 ? "roof" : "grid");
    svg.text(x(v), kTop - 6, fixed(v, v < 0.2 ? 3 : v < 2 && v != 1 ? 2 : 0), "tick", "middle");
  }
  double y = kTop;
  for (const Line& l : lines) {
    y += l.first ? kGap : 1;
    const BenchRow& row = *l.peer->best;
    if (l.first)
      svg.text(kGutter - 10, y + kBar - 2.5,
               str_cat(row.case_name, " ", short_direction(row.direction), " ", type_of(row)),
               "name", "end");
    svg.open(hover_of(items, row));
    const double from = std::min(x(1), x(row.ratio)), to = std::max(x(1), x(row.ratio));
    svg.rect(from, y, std::max(to - from, 1.0), kBar, str_cat("first ", l.peer->standing()), 1);
    svg.line(x(row.ratio_min), y + kBar / 2, x(row.ratio_max), y + kBar / 2, "range");
    svg.text(kBarRight + 8, y + kBar - 2.5, words_of(*l.item, *l.peer), "note");
    svg.close();
    y += kBar;
  }
  return svg.inline_text();
}

std::string monitor_strip(const BenchRun& run, Monitor what) {
  constexpr double kStrip = 500, kHigh = 64;
  const auto value = [&](const BenchRow& row) {
    return what == Monitor::kClock ? row.sm_clock_mhz : row.power_w;
  };
  double least = 0, most = -1;
  for (const BenchRow& row : run.rows) {
    if (value(row) <= 0) continue;
    least = most < 0 ? value(row) : std::min(least, value(row));
    most = std::max(most, value(row));
  }
  if (most < 0) return "";
  const double low = most > least ? least : least * 0.99;
  const char* unit = what == Monitor::kClock ? "MHz" : "W";
  const char* name = what == Monitor::kClock ? "SM clock over the run" : "power over the run";
  Svg svg(kStrip + 62, kHigh + 30, name);
  svg.text(0, 12, name, "soft");
  const auto y = [&](double v) { return 22 + (most - v) / (most - low) * kHigh; };
  svg.line(0, y(most), kStrip, y(most), "grid");
  svg.line(0, y(low), kStrip, y(low), "grid");
  svg.text(kStrip + 6, y(most) + 4, str_cat(fixed(most, 0), " ", unit), "tick");
  svg.text(kStrip + 6, y(low) + 4, str_cat(fixed(low, 0), " ", unit), "tick");
  std::string calm, throttled;
  for (std::size_t i = 0; i < run.rows.size(); ++i) {
    const BenchRow& row = run.rows[i];
    if (value(row) <= 0) continue;
    const double x = kStrip * (double(i) + 0.5) / double(run.rows.size());
    // A line of no length with round ends is a dot, and a tenth of a circle's text.
    (row.throttle.empty() ? calm : throttled) += str_cat("M", px(x), " ", px(y(value(row))), "h0");
  }
  if (!calm.empty()) svg.path(calm, "dots");
  if (!throttled.empty()) svg.path(throttled, "dots throttled");
  return svg.inline_text();
}

}  // namespace flame::reports
