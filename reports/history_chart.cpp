#include "reports/history_chart.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "lib/core/error.h"
#include "reports/performance_charts.h"

namespace flame::reports {
namespace {

using history::NightPoint;

// "driver 570.1 → 580.1", of what is not the same.
std::string change_of(const TrackPart& a, const TrackPart& b) {
  std::string out;
  const auto add = [&](const char* what, const std::string& from, const std::string& to) {
    if (from != to) out += str_cat(out.empty() ? "" : ", ", what, " ", from, " → ", to);
  };
  add("driver", a.driver, b.driver);
  add("CUDA", a.cuda, b.cuda);
  add("harness", a.harness, b.harness);
  return out;
}

// What two series share that are one to a reader.
auto work_of(const history::SeriesKey& k) {
  return std::tie(k.op, k.case_name, k.direction, k.dtype, k.sizes, k.compute_mode, k.temperature,
                  k.implementation, k.gpu);
}

// A step of 1, 2 or 5 times a power of ten, so that about `most` of them make up `range`.
double step_of(double range, int most) {
  const double least = range / most, power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= least) return factor * power;
  return 10 * power;
}

// Nights from left to right, microseconds upwards.
struct Frame {
  double left, right, top, bottom, low, high;
  std::size_t nights;
  double x(std::size_t night) const {
    return nights < 2 ? (left + right) / 2
                      : left + (right - left) * double(night) / double(nights - 1);
  }
  double y(double us) const { return bottom - (bottom - top) * (us - low) / (high - low); }
};

Frame frame_of(const Track& track, double left, double right, double top, double bottom) {
  double low = -1, high = -1;
  for (const TrackPart& part : track.parts)
    for (const NightPoint& p : part.points) {
      low = low < 0 ? p.us : std::min(low, p.us);
      high = std::max(high, p.us);
    }
  // At least a band of 4 %: noise must not look like a mountain.
  const double middle = (low + high) / 2, half = std::max((high - low) / 2 * 1.1, 0.02 * middle);
  return {left, right, top, bottom, middle - half, middle + half, track.nights()};
}

std::string line_through(const Frame& f, const std::vector<NightPoint>& points, std::size_t first) {
  std::string d;
  for (std::size_t i = 0; i < points.size(); ++i)
    d += str_cat(i == 0 ? "M" : "L", px(f.x(first + i)), " ", px(f.y(points[i].us)));
  return d;
}

void draw_parts(Svg& svg, const Frame& f, const Track& track) {
  std::size_t first = 0;
  for (std::size_t p = 0; p < track.parts.size(); ++p) {
    const TrackPart& part = track.parts[p];
    const bool last = p + 1 == track.parts.size();
    if (p > 0) {
      const double x = (f.x(first - 1) + f.x(first)) / 2;
      const std::string what = change_of(track.parts[p - 1], part);
      svg.open(what);
      svg.line(x, f.top, x, f.bottom, "break");
      svg.text(x, f.top - 6, what, "note",
               x < f.left + 90    ? "start"
               : x > f.right - 90 ? "end"
                                  : "middle");
      svg.close();
    }
    svg.path(line_through(f, part.points, first), last ? "trace" : "trace old");
    std::string dots;
    for (std::size_t i = 0; i < part.points.size(); ++i)
      dots += str_cat("M", px(f.x(first + i)), " ", px(f.y(part.points[i].us)), "h0");
    svg.path(dots, last ? "dots" : "dots old");
    first += part.points.size();
  }
}

void draw_changes(Svg& svg, const Frame& f, const Track& track) {
  const history::SeriesVerdict& v = *track.verdict;
  const std::vector<NightPoint>& points = track.parts.back().points;
  const std::size_t first = track.nights() - points.size();
  double y = f.top + 10;
  for (const history::ChangePoint& c : v.judgement.changes) {
    const NightPoint &before = v.points[c.index - 1], &after = v.points[c.index];
    const auto at = std::find_if(points.begin(), points.end(),
                                 [&](const NightPoint& p) { return p.night == after.night; });
    if (at == points.end()) continue;
    const double x = f.x(first + std::size_t(at - points.begin()));
    const std::string size = str_cat(c.shift() > 0 ? "+" : "", fixed(100 * c.shift(), 1), " %");
    svg.open(
        str_cat(size, " on ", after.night, "\nbetween ", before.commit, " and ", after.commit));
    svg.line(x, f.top, x, f.bottom, c.shift() > 0 ? "change worse" : "change better");
    const bool left = x > (f.left + f.right) / 2;
    svg.text(left ? x - 4 : x + 4, y, str_cat(size, "  ", before.commit, " → ", after.commit),
             "note", left ? "end" : "start");
    svg.close();
    y += 13;
  }
}

// Round numbers upwards, and the nights' dates as far apart as they can be read.
void draw_axes(Svg& svg, const Frame& f, const Track& track) {
  constexpr int kTicks = 5;
  constexpr std::size_t kDates = 7;
  const double step = step_of(f.high - f.low, kTicks);
  const int digits = std::max(0, -int(std::floor(std::log10(step))));
  const double last = std::floor(f.high / step);
  for (double i = std::ceil(f.low / step); i <= last; ++i) {
    svg.line(f.left, f.y(i * step), f.right, f.y(i * step), "grid");
    svg.text(f.left - 6, f.y(i * step) + 4,
             str_cat(fixed(i * step, digits), i == last ? " µs" : ""), "tick", "end");
  }
  const std::size_t apart = std::max<std::size_t>(1, (f.nights + kDates - 2) / (kDates - 1));
  std::size_t night = 0;
  for (const TrackPart& part : track.parts)
    for (const NightPoint& p : part.points) {
      const bool end = night + 1 == f.nights;
      if (end || (night % apart == 0 && f.nights - 1 - night >= apart / 2 + 1))
        svg.text(f.x(night), f.bottom + 16, p.night, "tick",
                 night == 0 && !end ? "start"
                 : end && night > 0 ? "end"
                                    : "middle");
      ++night;
    }
}

}  // namespace

std::size_t Track::nights() const {
  std::size_t out = 0;
  for (const TrackPart& part : parts) out += part.points.size();
  return out;
}

std::vector<Track> tracks_of(const history::NightReport& report,
                             const std::vector<history::Series>& all) {
  std::vector<Track> out;
  for (const auto* list : {&report.series, &report.probes})
    for (const history::SeriesVerdict& v : *list) {
      Track track{&v, {}};
      TrackPart newest;
      for (const history::Series& s : all) {
        if (work_of(s.key) != work_of(v.key)) continue;
        TrackPart part{s.key.driver, s.key.cuda, s.key.harness, history::nights_of(s)};
        if (s.key == v.key) {
          newest = std::move(part);
        } else if (!part.points.empty()) {
          track.parts.push_back(std::move(part));
        }
      }
      std::stable_sort(track.parts.begin(), track.parts.end(),
                       [](const TrackPart& a, const TrackPart& b) {
                         return a.points.back().night < b.points.back().night;
                       });
      if (newest.points.empty()) continue;
      track.parts.push_back(std::move(newest));
      out.push_back(std::move(track));
    }
  return out;
}

std::string sparkline(const Track& track) {
  constexpr double kWide = 180, kHigh = 20;
  Svg svg(kWide, kHigh, "time, night after night");
  const Frame f = frame_of(track, 3, kWide - 4, 3, kHigh - 3);
  std::size_t first = 0;
  for (const TrackPart& part : track.parts) {
    svg.path(line_through(f, part.points, first),
             &part == &track.parts.back() ? "trace" : "trace old");
    first += part.points.size();
  }
  svg.circle(f.x(first - 1), f.y(track.parts.back().points.back().us), 2.4, "ink");
  return svg.inline_text();
}

std::string track_chart(const Track& track) {
  constexpr double kWide = 1000, kHigh = 230;
  Svg svg(kWide, kHigh, "time, night after night");
  const Frame f = frame_of(track, 70, kWide - 14, 22, kHigh - 24);
  draw_axes(svg, f, track);
  draw_parts(svg, f, track);
  draw_changes(svg, f, track);
  const NightPoint& newest = track.parts.back().points.back();
  svg.open(str_cat(newest.night, " ", newest.commit, "\n", fixed(newest.us, 2), " µs"));
  svg.circle(f.x(f.nights - 1), f.y(newest.us), 4, "ink");
  svg.close();
  return svg.inline_text();
}

}  // namespace flame::reports
