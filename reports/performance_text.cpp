// How figures of the performance page are written.
#include <cstdio>

#include "lib/core/error.h"
#include "reports/performance_charts.h"
#include "reports/summary.h"

namespace flame::reports {

std::string fixed(double value, int digits) {
  if (value == -1) return "-";
  char text[400];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent_text(double share, int digits) {
  return share == -1 ? "-" : fixed(100 * share, digits) + " %";
}

std::string ratio_text(double ratio) {
  return ratio == -1 ? "-" : fixed(ratio, ratio < 10 ? 2 : 1) + "×";
}

const char* short_direction(const std::string& direction) {
  if (direction == "forward") return "fwd";
  return direction == "backward" ? "bwd" : "fwd+bwd";
}

std::string title_of(const BenchRow& row) {
  return str_cat(row.op, " ", row.case_name, " ", row.direction, " ", type_of(row));
}

std::string hover_of(const BenchItems& items, const BenchRow& row) {
  std::string out =
      str_cat(title_of(row), " ", row.temperature, ", ", row.implementation, "\n", row.sizes, "\n",
              fixed(row.median_us, 2), " us, quartiles ", fixed(row.q1_us, 2), " to ",
              fixed(row.q3_us, 2), ", least ", fixed(row.min_us, 2), ", ", row.samples, " samples");
  if (row.bytes > 0) out += str_cat("\n", fixed(row.gbps(), 0), " GB/s");
  if (row.flops > 0) out += str_cat("\n", fixed(row.tflops(), 2), " TFLOP/s");
  const Share share = items.share_of(row);
  if (share.value > 0)
    out += str_cat("\n", percent_text(share.value, 1), " of ", roof_title(share.roof));
  if (row.share_read > 0) out += str_cat(", ", percent_text(row.share_read, 1), " of read");
  if (row.ratio > 0)
    out += str_cat("\n", ratio_text(row.ratio), " FLAME's time (", ratio_text(row.ratio_min),
                   " to ", ratio_text(row.ratio_max), ")");
  if (row.r != -1) out += str_cat("\nr ", format_r(row.r));
  if (row.sm_clock_mhz > 0)
    out += str_cat("\n", fixed(row.sm_clock_mhz, 0), " MHz, ", fixed(row.power_w, 0), " W",
                   row.throttle.empty() ? "" : ", ", row.throttle);
  return out;
}

}  // namespace flame::reports
