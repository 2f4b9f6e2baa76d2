#include <algorithm>
#include <cmath>
#include <map>

#include "lib/core/error.h"
#include "reports/performance_charts.h"

namespace flame::reports {
namespace {

constexpr double kWidth = 1000, kHeight = 520, kLeft = 56, kRight = 975, kTop = 46, kBottom = 480;
constexpr std::size_t kColours = 7;  // of charts.css; families beyond share the grey

bool shown(const BenchRow& row) {
  return row.flops > 0 && row.bytes > 0 && row.direction != "forward_backward";
}

// The nearest of 1, 2, 5 times a power of ten outside of v.
double outside(double v, bool below) {
  const double decade = std::pow(10, std::floor(std::log10(v)));
  double out = below ? decade : 10 * decade;
  for (const double step : {2.0, 5.0}) {
    if (below && step * decade <= v) out = step * decade;
    if (!below && step * decade >= v) out = std::min(out, step * decade);
  }
  return out;
}

struct Frame {
  LogScale x, y;
};

Frame frame_of(const BenchItems& items) {
  double x0 = 0.5, x1 = 2, y0 = 0.5, y1 = 2;
  for (const BenchItem& item : items.items) {
    const BenchRow& row = *item.flame;
    if (!shown(row)) continue;
    x0 = std::min(x0, row.flops / row.bytes);
    x1 = std::max(x1, row.flops / row.bytes);
    y0 = std::min(y0, row.tflops());
    y1 = std::max(y1, row.tflops());
  }
  for (const Roof& roof : items.roofs)
    if (roof.arithmetic()) y1 = std::max(y1, roof.value());
  // No device is beyond these; a record that is must not stretch the others to a dot.
  constexpr double kLeast = 1e-6, kMost = 1e6;
  return {{outside(std::max(x0 * 0.9, kLeast), true), outside(std::min(x1 * 1.1, kMost), false),
           kLeft, kRight},
          {outside(std::max(y0 * 0.9, kLeast), true), outside(std::min(y1 * 1.1, kMost), false),
           kBottom, kTop}};
}

std::string power_of_ten(double v) {
  return v >= 1 && v < 1e5   ? fixed(v, 0)
         : v < 1 && v > 1e-4 ? fixed(v, int(std::lround(-std::log10(v))))
                             : str_cat("1e", std::lround(std::log10(v)));
}

void draw_axes(Svg& svg, const Frame& f) {
  const auto first = [](double v) { return std::pow(10, std::ceil(std::log10(v) - 1e-9)); };
  for (double v = first(f.x.a()); v <= f.x.b() * 1.01; v *= 10) {
    svg.line(f.x(v), kTop, f.x(v), kBottom, "grid");
    svg.text(f.x(v), kBottom + 16, power_of_ten(v), "tick", "middle");
  }
  for (double v = first(f.y.a()); v <= f.y.b() * 1.01; v *= 10) {
    svg.line(kLeft, f.y(v), kRight, f.y(v), "grid");
    svg.text(kLeft - 6, f.y(v) + 4, power_of_ten(v), "tick", "end");
  }
  svg.text(kRight, kBottom + 33, "operations per byte", "soft", "end");
  svg.text(4, kTop - 12, "TFLOP/s", "soft");
}

struct Label {
  double x, y;
  std::string text;
};

// A memory roof rises until the highest arithmetic roof; an arithmetic roof begins where the
// fastest memory can feed it. Gives their labels, which are drawn over the marks.
std::vector<Label> draw_roofs(Svg& svg, const Frame& f, const BenchItems& items) {
  double most_rate = 0, most_bytes = 0;
  for (const Roof& r : items.roofs) {
    double& most = r.arithmetic() ? most_rate : most_bytes;
    most = std::max(most, r.value());
  }
  if (most_rate == 0) most_rate = f.y.b();
  double label_at = 0.18;
  std::vector<Label> labels;
  for (const Roof& r : items.roofs) {
    const std::string what =
        str_cat(roof_title(r.name), " ", fixed(r.value(), r.arithmetic() ? 1 : 0),
                r.arithmetic() ? " TFLOP/s" : " GB/s");
    svg.open(hover_of(items, *r.row));
    if (r.arithmetic()) {
      const double from = most_bytes > 0 ? r.value() / most_bytes * 1e3 : f.x.a();
      svg.line(f.x(from), f.y(r.value()), kRight, f.y(r.value()), "roof");
      labels.push_back({kRight - 4, f.y(r.value()) - 5, what});
    } else {
      const double per_byte = r.value() * 1e-3;  // TFLOP/s at one operation a byte
      const double x0 = std::max(f.x.a(), f.y.a() / per_byte);
      const double x1 = std::min(f.x.b(), most_rate / per_byte);
      svg.line(f.x(x0), f.y(x0 * per_byte), f.x(x1), f.y(x1 * per_byte), "roof");
      const double at = x0 * std::pow(x1 / x0, label_at);
      labels.push_back({f.x(at) - 8, f.y(at * per_byte) - 4, what});
      label_at += 0.12;
    }
    svg.close();
  }
  return labels;
}

// Families in the order of how many points they have: the first ones get a colour.
std::map<std::string, std::string> colours_of(const BenchItems& items,
                                              std::vector<std::string>& order) {
  std::map<std::string, int> points;
  for (const BenchItem& item : items.items)
    if (shown(*item.flame)) {
      const auto family = items.families.find(item.flame->op);
      ++points[family == items.families.end() ? item.flame->op : family->second];
    }
  for (const auto& [family, n] : points) order.push_back(family);
  std::stable_sort(order.begin(), order.end(), [&](const std::string& a, const std::string& b) {
    return points[a] > points[b];
  });
  std::map<std::string, std::string> out;
  for (std::size_t i = 0; i < order.size(); ++i)
    out[order[i]] = i < kColours ? str_cat("f", i) : "other";
  return out;
}

void draw_legend(Svg& svg, const std::vector<std::string>& order,
                 const std::map<std::string, std::string>& colours) {
  double x = kLeft + 14;
  const auto entry = [&](Mark mark, const std::string& css, const std::string& name) {
    draw_mark(svg, mark, x, 14, 4.2, css);
    svg.text(x + 9, 18, name, "soft");
    x += 30 + 7.4 * double(name.size());
  };
  for (std::size_t i = 0; i < std::min(order.size(), kColours); ++i)
    entry(Mark::kCircle, colours.at(order[i]), order[i]);
  if (order.size() > kColours) entry(Mark::kCircle, "other", "other");
  x += 14;
  entry(Mark::kCircle, "ink", "float32");
  entry(Mark::kSquare, "ink", "bfloat16");
  entry(Mark::kDiamond, "ink", "tf32");
  entry(Mark::kCircle, "ink hollow", "backward");
}

}  // namespace

int rows_without_flops(const BenchItems& items) {
  int out = 0;
  for (const BenchItem& item : items.items)
    out += !shown(*item.flame) && item.flame->direction != "forward_backward";
  return out;
}

Svg roofline_chart(const BenchItems& items) {
  Svg svg(kWidth, kHeight, "Roofline: operations per byte against operations per second");
  const Frame f = frame_of(items);
  std::vector<std::string> order;
  const auto colours = colours_of(items, order);
  draw_axes(svg, f);
  const std::vector<Label> labels = draw_roofs(svg, f, items);
  for (const BenchItem& item : items.items) {
    const BenchRow& row = *item.flame;
    if (!shown(row)) continue;
    const auto family = items.families.find(row.op);
    const std::string& colour =
        colours.at(family == items.families.end() ? row.op : family->second);
    const Mark mark = row.compute_mode == "tf32"                          ? Mark::kDiamond
                      : row.dtype == "bfloat16" || row.dtype == "float16" ? Mark::kSquare
                                                                          : Mark::kCircle;
    svg.open(hover_of(items, row));
    draw_mark(svg, mark, f.x(row.flops / row.bytes), f.y(row.tflops()), 4,
              row.direction == "backward" ? colour + " hollow" : colour);
    svg.close();
  }
  for (const Label& l : labels) svg.text(l.x, l.y, l.text, "rooflabel", "end");
  draw_legend(svg, order, colours);
  return svg;
}

}  // namespace flame::reports
