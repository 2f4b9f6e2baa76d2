#include "reports/performance_view.h"

#include <algorithm>
#include <set>

#include "lib/core/error.h"
#include "reports/history/store.h"
#include "reports/performance_charts.h"

namespace flame::reports {
namespace {

std::string plural(std::int64_t n, const std::string& one) {
  return str_cat(format_count(n), " ", one, n == 1 ? "" : "s");
}

std::string range_of(const Ratios& r) {
  return r.count == 0
             ? std::string("-")
             : str_cat(ratio_text(r.mean), " (", fixed(r.least, 2), " to ", fixed(r.most, 2), ")");
}

struct Range {
  double least = -1, most = -1;
  void add(double v) {
    least = least < 0 ? v : std::min(least, v);
    most = std::max(most, v);
  }
  std::string text() const {
    if (most < 0) return "-";
    const std::string a = fixed(100 * least, 0), b = fixed(100 * most, 0);
    return a == b ? b + " %" : str_cat(a, " to ", b, " %");
  }
};

Range shares_of(const BenchItems& items, const std::string& op, const std::string& direction) {
  Range out;
  for (const BenchItem& item : items.items) {
    if (item.flame->op != op || item.flame->direction != direction) continue;
    const Share share = items.share_of(*item.flame);
    if (share.value > 0) out.add(share.value);
  }
  return out;
}

View peer_cell(const BenchItems& items, const BenchItem& item, const std::string& name,
               Format format) {
  View out;
  out["text"] = "";
  for (const char* field : {"range", "way", "title", "class"}) out[field] = "";
  out["sort"] = "-1";
  for (const Peer& peer : item.peers) {
    if (peer.name != name) continue;
    const BenchRow& row = peer.best ? *peer.best : *peer.ways.front();
    if (!peer.best) {
      out["text"] = "-";
      out["title"] = "not measured: " + row.reason;
      continue;
    }
    std::string way = plain(way_of(row), format);
    if (peer.other_work) way += other_work_words(item);
    if (peer.less_exact) way += " ≠";
    out["text"] = ratio_text(row.ratio);
    out["range"] = row.ratio > 0 ? str_cat(fixed(row.ratio_min, 2), "–", fixed(row.ratio_max, 2))
                                 : std::string();
    out["way"] = way;
    out["class"] = peer.standing();
    out["sort"] = fixed(row.ratio, 5);
    out["title"] = hover_of(items, row);
  }
  return out;
}

View row_view(const BenchItems& items, const BenchItem& item, const Verdicts& verdicts,
              Format format) {
  const BenchRow& row = *item.flame;
  const Share share = items.share_of(row);
  View out;
  out["op"] = plain(row.op, format);
  out["case"] = plain(row.case_name, format);
  out["direction"] = row.direction;
  out["short_direction"] = short_direction(row.direction);
  out["type"] = plain(type_of(row), format);
  out["temperature"] = row.temperature;
  out["median"] = fixed(row.median_us, 1);
  out["spread"] = fixed(100 * spread_of(row), 1);
  out["gbps"] = fixed(row.gbps(), 0);
  out["tflops"] = fixed(row.tflops(), 2);
  out["share"] = percent_text(share.value);
  out["share_sort"] = fixed(share.value, 5);
  out["share_width"] = fixed(100 * std::clamp(share.value, 0.0, 1.0), 0);
  out["roof"] = plain(roof_title(share.roof), format);
  out["read"] = percent_text(row.share_read);
  // Where memory is the limit, and only there.
  const bool memory = share.roof == records::kRoofCopy || share.roof == records::kRoofRead;
  out["same_size"] = memory ? percent_text(row.share_same_size) : "-";
  out["title"] = hover_of(items, row);
  // Worth a look: an output outside of the bound that its own type promises.
  out["r"] = row.r > 1 || row.r != row.r ? View("r " + format_r(row.r)) : flag(false);
  View peers = make_list();
  bool behind = false;
  for (const std::string& name : items.peers) peers << peer_cell(items, item, name, format);
  if (const Peer* fastest = item.fastest()) behind = fastest->best->ratio_max < 1;
  out["peers"] = std::move(peers);
  out["behind"] = behind ? "1" : "0";
  const auto verdict = verdicts.find(&row);
  const bool judged = verdict != verdicts.end();
  out["verdict"] = judged ? history::to_string(verdict->second.first) : "";
  out["why"] = judged ? plain(verdict->second.second, format) : "";
  return out;
}

View choices(const std::set<std::string>& values) {
  View out = make_list();
  for (const std::string& value : values) out << View(value);
  return out;
}

}  // namespace

Verdicts verdicts_of(const PerformanceInput& input) {
  using Judged = std::pair<history::Verdict, std::string>;
  std::map<history::SeriesKey, Judged> by_key;
  if (input.night)
    for (const history::SeriesVerdict& v : input.night->series)
      by_key[v.key] = {v.judgement.verdict, v.judgement.why};
  if (input.comparison)
    for (const history::Compared& c : input.comparison->rows)
      by_key[history::key_of(c.b)] = {c.verdict, c.why};
  Verdicts out;
  for (const BenchRow& row : input.run.rows)
    if (const auto found = by_key.find(history::key_of(row)); found != by_key.end())
      out[&row] = found->second;
  return out;
}

void add_rows(View& view, const BenchItems& items, const Verdicts& verdicts, Format format) {
  View rows = make_list(), peers = make_list();
  std::set<std::string> types, directions, temperatures;
  for (const BenchItem& item : items.items) {
    rows << row_view(items, item, verdicts, format);
    types.insert(type_of(*item.flame));
    directions.insert(item.flame->direction);
    temperatures.insert(item.flame->temperature);
  }
  for (const std::string& peer : items.peers) peers << View(plain(peer_title(peer), format));
  view["rows"] = std::move(rows);
  // With more peers the table would be wider than a screen: then pointing at a ratio shows them.
  view["roomy"] = flag(items.peers.size() <= 2);
  view["row_count"] = format_count(std::int64_t(items.items.size()));
  view["peers"] = std::move(peers);
  view["has_verdicts"] = flag(!verdicts.empty());
  view["has_same_size"] =
      flag(std::any_of(items.items.begin(), items.items.end(),
                       [](const BenchItem& item) { return item.flame->share_same_size > 0; }));
  view["types"] = choices(types);
  view["directions"] = choices(directions);
  view["temperatures"] = choices(temperatures);
  view["has_temperatures"] = flag(temperatures.size() > 1);
  View failed = make_list();
  for (const BenchRow* row : items.failed) {
    View item;
    item["what"] = plain(title_of(*row), format);
    item["by"] = plain(row->implementation, format);
    item["reason"] = plain(row->reason, format);
    failed << item;
  }
  view["failed"] = std::move(failed);
  view["has_failed"] = flag(!items.failed.empty());
  view["failed_count"] = plural(std::int64_t(items.failed.size()), "measurement");
}

void add_op_summary(View& view, const BenchItems& items, Format format) {
  View list = make_list();
  for (const std::string& op : items.ops) {
    View item;
    item["op"] = plain(op, format);
    item["forward"] = shares_of(items, op, "forward").text();
    item["backward"] = shares_of(items, op, "backward").text();
    item["ratio_forward"] = range_of(ratios_of(items, op, "forward"));
    item["ratio_both"] = range_of(ratios_of(items, op, "forward_backward"));
    const std::string bars = peer_bars(items, op);
    item["bars"] = bars;
    item["has_bars"] = flag(!bars.empty());
    list << item;
  }
  view["op_lines"] = std::move(list);
  view["has_peers"] = flag(!items.peers.empty());
}

std::string performance_sentence(const PerformanceInput& input, const BenchItems& items) {
  std::string peers;
  for (std::size_t i = 0; i < items.peers.size(); ++i)
    peers += (i == 0                        ? ""
              : i + 1 == items.peers.size() ? " and "
                                            : ", ") +
             peer_title(items.peers[i]);
  return str_cat(plural(std::int64_t(items.items.size()), "measurement"), " of ",
                 plural(std::int64_t(items.ops.size()), "op"), " on ",
                 input.run.manifest.device_name,
                 peers.empty() ? "; no peer was timed" : ", beside " + peers + " in the same run");
}

View performance_view(const PerformanceInput& input, const BenchItems& items, Time now,
                      Format format) {
  const records::RunManifest& m = input.run.manifest;
  View view;
  view["style"] =
      template_text("style.css") + template_text("charts.css") + template_text("performance.css");
  view["script"] = template_text("performance.js");
  view["device"] = plain(m.device_name, format);
  view["sentence"] = plain(performance_sentence(input, items), format);
  view["simulated"] = flag(m.device_kind != "gpu");
  view["started"] = plain(m.started_utc, format);
  view["age"] = data_age(m.started_utc, now);
  view["now"] = utc(now);
  view["commit"] = m.commit.empty() ? "unknown" : plain(m.commit, format);
  view["dirty"] = flag(m.dirty);
  view["command"] = plain(m.command, format);
  view["compared_with"] = input.comparison ? View(plain(input.compared_with, format)) : flag(false);
  add_rows(view, items, verdicts_of(input), format);
  add_op_summary(view, items, format);
  add_roofs(view, items, format);
  add_targets(view, input, format);
  add_noise(view, input.run, items, format);
  add_host(view, items, format);
  add_history(view, input, format);
  add_jit(view, input.kernels, format);
  add_environment(view, m, format);
  if (format == Format::kHtml) {
    view["overview"] = overview_chart(items, m.device_name).inline_text();
    view["roofline"] = roofline_chart(items).inline_text();
    const int left_out = rows_without_flops(items);
    view["left_out"] = left_out > 0 ? View(plural(left_out, "row")) : flag(false);
  }
  return view;
}

}  // namespace flame::reports
