// What the figures may be trusted to: the run's own noise, its probes, its clocks, and the host.
#include <algorithm>
#include <cmath>
#include <map>

#include "lib/core/error.h"
#include "reports/history/statistics.h"
#include "reports/performance_charts.h"
#include "reports/performance_view.h"

namespace flame::reports {
namespace {

std::vector<double> sorted_floors(const BenchItems& items) {
  std::vector<double> out;
  for (const BenchItem& item : items.items)
    if (item.flame->times_us.size() >= 4)
      if (const double floor = history::aa_floor(item.flame->times_us); std::isfinite(floor))
        out.push_back(floor);
  std::sort(out.begin(), out.end());
  return out;
}

std::string floor_sentence(const BenchItems& items) {
  const std::vector<double> floors = sorted_floors(items);
  if (floors.empty())
    return "The records hold no single samples: nothing is known of this run's A/A floor.";
  return str_cat(
      "The odd samples of each row against its even ones, the same code in turn: the "
      "medians differ by ",
      percent_text(history::median(floors), 2), " typically, by ",
      percent_text(floors[(floors.size() - 1) * 95 / 100], 2),
      " in one row of twenty, "
      "by ",
      percent_text(floors.back(), 2), " at most (", floors.size(),
      " rows). A smaller difference between two runs is noise.");
}

std::string monitor_sentence(const BenchRun& run) {
  std::map<std::string, int> reasons;
  int throttled = 0, seen = 0;
  for (const BenchRow& row : run.rows) {
    if (row.sm_clock_mhz <= 0) continue;
    ++seen;
    throttled += !row.throttle.empty();
    if (!row.throttle.empty()) ++reasons[row.throttle];
  }
  if (seen == 0) return "No clock, power or throttle reason was recorded.";
  std::string out = str_cat(throttled, " of ", seen, " rows were throttled");
  for (const auto& [reason, n] : reasons)
    out += str_cat(out.ends_with("throttled") ? ": " : ", ", reason, " in ", n);
  return out + ".";
}

View probe_view(const BenchItems& items, const BenchRow& row, Format format) {
  View out;
  out["name"] = plain(roof_title(row.case_name), format);
  out["by"] = plain(row.implementation, format);
  out["sizes"] = plain(row.sizes, format);
  out["median"] = row.samples > 0 ? fixed(row.median_us, 1) : "-";
  out["spread"] = row.samples > 0 ? fixed(100 * spread_of(row), 2) : "-";
  out["rate"] =
      row.flops > 0 ? fixed(row.tflops(), 1) + " TFLOP/s" : fixed(row.gbps(), 0) + " GB/s";
  const double sheet = row.flops > 0 ? row.share_datasheet_flops : row.share_datasheet_bandwidth;
  out["sheet"] = percent_text(sheet, 1);
  const Roof* roof = items.roof(row.case_name);
  out["roof"] = flag(roof && roof->row == &row);
  return out;
}

// A line a size: what a copy, a read and a fill of so many bytes reach of the largest's rate.
View sizes_view(const BenchItems& items) {
  View list = make_list();
  for (const auto& [bytes, rows] : items.sizes) {
    View out;
    out["bytes"] = bytes < (1 << 30) ? fixed(bytes / (1 << 20), 0) + " MiB"
                                     : fixed(bytes / (1 << 30), 0) + " GiB";
    for (const char* name : {records::kRoofCopy, records::kRoofRead, records::kFill}) {
      const auto found = rows.find(name);
      const Roof* roof = items.roof(name);
      const BenchRow* row = found != rows.end()                 ? found->second
                            : roof && roof->row->bytes == bytes ? roof->row
                                                                : nullptr;
      out[name] = row ? fixed(row->gbps(), 0) : "-";
      out[str_cat(name, "_share")] = row && roof ? percent_text(row->gbps() / roof->value()) : "";
    }
    list << out;
  }
  return list;
}

}  // namespace

void add_noise(View& view, const BenchRun& run, const BenchItems& items, Format format) {
  View probes = make_list();
  for (const BenchRow* row : items.probes) probes << probe_view(items, *row, format);
  view["probes"] = std::move(probes);
  view["has_probes"] = flag(!items.probes.empty());
  view["sizes"] = sizes_view(items);
  view["has_sizes"] = flag(!items.sizes.empty());
  view["floor_sentence"] = floor_sentence(items);
  view["monitor_sentence"] = plain(monitor_sentence(run), format);
  if (format == Format::kHtml) {
    view["clock_strip"] = monitor_strip(run, Monitor::kClock);
    view["power_strip"] = monitor_strip(run, Monitor::kPower);
  }
}

void add_roofs(View& view, const BenchItems& items, Format format) {
  View list = make_list();
  for (const Roof& roof : items.roofs) {
    View out;
    out["name"] = plain(roof_title(roof.name), format);
    out["value"] = fixed(roof.value(), roof.arithmetic() ? 1 : 0);
    out["unit"] = roof.arithmetic() ? "TFLOP/s" : "GB/s";
    list << out;
  }
  view["roofs"] = std::move(list);
  view["has_roofs"] = flag(!items.roofs.empty());
}

void add_host(View& view, const BenchItems& items, Format format) {
  View list = make_list();
  for (const BenchItem& item : items.host) {
    const auto add = [&](const BenchRow& row) {
      View out;
      out["what"] = plain(str_cat(row.case_name, " ", row.direction), format);
      out["by"] = plain(row.implementation, format);
      out["median"] = fixed(row.median_us, 2);
      out["spread"] = fixed(100 * spread_of(row), 1);
      out["times"] = View(ratio_text(row.ratio > 0 ? row.ratio : 1));
      list << out;
    };
    add(*item.flame);
    for (const Peer& peer : item.peers)
      for (const BenchRow* way : peer.ways)
        if (way->samples > 0) add(*way);
  }
  view["host"] = std::move(list);
  view["has_host"] = flag(!items.host.empty());
}

}  // namespace flame::reports
