#include <algorithm>
#include <cmath>

#include "lib/core/error.h"
#include "reports/performance_charts.h"

namespace flame::reports {
namespace {

constexpr double kWidth = 1000, kTop = 58, kRow = 22, kGutter = 92;
constexpr double kShareLeft = kGutter + 8, kShareRight = 520, kRatioLeft = 560, kRatioRight = 940;
constexpr double kMostShare = 1.1;

double share_x(double share) {
  return kShareLeft + (kShareRight - kShareLeft) * std::clamp(share, 0.0, kMostShare) / kMostShare;
}

// Powers of two around everything that is shown, 1 inside.
LogScale ratio_scale(const BenchItems& items) {
  double least = 0.5, most = 2;
  for (const BenchItem& item : items.items)
    if (const Peer* peer = item.fastest()) {
      least = std::min(least, peer->best->ratio);
      most = std::max(most, peer->best->ratio);
    }
  return {std::exp2(std::floor(std::log2(std::max(least, 1.0 / 16)))),
          std::exp2(std::ceil(std::log2(std::min(most, 32.0)))), kRatioLeft, kRatioRight};
}

void draw_heads(Svg& svg, const LogScale& ratio, bool peers, double bottom) {
  svg.text(0, 16, "Share of what the device itself reached", "title");
  svg.text(0, 32, "one mark a case; cold data", "soft");
  for (int tenth = 0; tenth <= 10; tenth += 2) {
    const double x = share_x(tenth / 10.0);
    svg.line(x, kTop - 4, x, bottom, tenth == 10 ? "roof" : "grid");
    svg.text(x, kTop - 9, str_cat(tenth * 10, tenth == 10 ? " %" : ""), "tick", "middle");
  }
  if (!peers) return;
  svg.text(kRatioLeft, 16, "Times as fast as the fastest peer", "title");
  svg.text(kRatioLeft, 32, "geometric mean and range over the cases; pale: forward + backward",
           "soft");
  svg.text(kWidth, kTop - 9, "forward", "tick", "end");
  for (double v = ratio.a(); v <= ratio.b() * 1.001; v *= 2) {
    svg.line(ratio(v), kTop - 4, ratio(v), bottom, v == 1 ? "roof" : "grid");
    svg.text(ratio(v), kTop - 9, fixed(v, v < 0.2 ? 3 : v < 1 ? 2 : 0), "tick", "middle");
  }
}

void draw_legend(Svg& svg, double x) {
  const auto entry = [&](Mark mark, const char* css, const char* name) {
    draw_mark(svg, mark, x, 28, 3.6, css);
    svg.text(x + 8, 32, name, "soft");
    x += 22 + 7 * double(std::string_view(name).size());
  };
  entry(Mark::kCircle, "wide", "float32");
  entry(Mark::kSquare, "half", "bfloat16");
  entry(Mark::kCircle, "wide hollow", "backward");
}

void draw_shares(Svg& svg, const BenchItems& items, const std::string& op, double y) {
  for (const BenchItem& item : items.items) {
    const BenchRow& row = *item.flame;
    if (row.op != op || row.direction == "forward_backward") continue;
    const Share share = items.share_of(row);
    if (share.value < 0) continue;
    const bool half = row.dtype == "bfloat16" || row.dtype == "float16";
    svg.open(hover_of(items, row));
    draw_mark(svg, half ? Mark::kSquare : Mark::kCircle, share_x(share.value),
              y + kRow / 2 + (row.direction == "backward" ? 3.5 : -3.5), 3.2,
              str_cat(half ? "half" : "wide", row.direction == "backward" ? " hollow" : ""));
    svg.close();
  }
}

void draw_ratio(Svg& svg, const LogScale& x, const Ratios& r, double y, const std::string& name,
                const char* css) {
  if (r.count == 0) return;
  svg.open(str_cat(name, ": ", ratio_text(r.mean), " over ", r.count, " cases, from ",
                   ratio_text(r.least), " to ", ratio_text(r.most)));
  const double from = std::min(x(1), x(r.mean)), to = std::max(x(1), x(r.mean));
  svg.rect(from, y, std::max(to - from, 1.0), 6, str_cat(css, r.mean < 1 ? " slower" : " faster"),
           1);
  svg.line(x(r.least), y + 3, x(r.most), y + 3, "range");
  svg.close();
}

}  // namespace

Svg overview_chart(const BenchItems& items, const std::string& device) {
  const double bottom = kTop + kRow * double(items.ops.size());
  Svg svg(kWidth, bottom + 12,
          str_cat("Share of the measured roof and speed against peers on ", device, ", op by op"));
  const LogScale scale = ratio_scale(items);
  draw_heads(svg, scale, !items.peers.empty(), bottom);
  draw_legend(svg, 220);
  double y = kTop;
  for (const std::string& op : items.ops) {
    if (y > kTop) svg.line(0, y, kWidth, y, "rule");
    svg.text(kGutter, y + kRow / 2 + 4, op, "name", "end");
    draw_shares(svg, items, op, y);
    const Ratios forward = ratios_of(items, op, "forward");
    const Ratios both = ratios_of(items, op, "forward_backward");
    draw_ratio(svg, scale, forward, y + 4, op + " forward", "first");
    draw_ratio(svg, scale, both, y + 12, op + " forward + backward", "second");
    if (forward.count > 0)
      svg.text(kWidth, y + kRow / 2 + 4, ratio_text(forward.mean), "value", "end");
    y += kRow;
  }
  return svg;
}

}  // namespace flame::reports
