#include "bench/standing.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ostream>

#include "lib/core/error.h"

namespace flame::bench {
namespace {

constexpr double kAsFast = 0.99;  // a run's own spread
constexpr std::size_t kMostNamed = 5;

std::string two_digits(double v) {
  char text[16];
  std::snprintf(text, sizeof text, "%.2f", v);
  return text;
}

std::string name_of(const Row& row) {
  return str_cat(row.op, "/", row.case_name, "/", row.compute_mode, "/", row.direction);
}

}  // namespace

void Standing::take_beaten(const Row& row) {
  if (!row.beaten || !row.impossible.empty()) return;
  Beating& b = beaten_[row.beaten->probe];
  ++b.rows;
  if (row.beaten->by <= b.most) return;
  b.most = row.beaten->by;
  b.by = str_cat(name_of(row), " by ", row.implementation);
}

void Standing::take(const std::vector<Row>& rows) {
  std::map<std::string, const Row*> fastest;
  bool ours_is_a_view = false;
  for (const Row& row : rows) {
    if (row.op == kHostOp || row.temperature != "cold") continue;
    take_beaten(row);
    if (row.implementation == "flame") ours_is_a_view = row.traffic.view;
    if (!row.ratio) continue;
    const Row*& best = fastest[row.implementation.substr(0, row.implementation.find('_'))];
    if (!best || row.ratio->median < best->ratio->median) best = &row;
  }
  for (const auto& [peer, row] : fastest) {
    Against& against = peers_[peer];
    if (row->traffic.view != ours_is_a_view)
      ++against.views;
    else
      against.ratios.emplace_back(row->ratio->median, name_of(*row));
  }
}

void Standing::print(std::ostream& out) const {
  for (const auto& [probe, b] : beaten_)
    out << "the probe " << probe << " is no roof: " << b.rows
        << (b.rows == 1 ? " row is" : " rows are") << " faster than it allows, at most "
        << two_digits(100 * b.most) << " %: " << b.by << '\n';
  for (const auto& [peer, against] : peers_) {
    auto ratios = against.ratios;
    std::sort(ratios.begin(), ratios.end());
    double logs = 0;
    for (const auto& [ratio, name] : ratios) logs += std::log(ratio);
    out << "against " << peer << " (the faster of its ways, cold): " << ratios.size() << " items";
    if (!ratios.empty())
      out << ", its time over FLAME's " << two_digits(std::exp(logs / double(ratios.size())))
          << " in the geometric mean";
    const auto slower = std::size_t(std::count_if(ratios.begin(), ratios.end(),
                                                  [](const auto& r) { return r.first < kAsFast; }));
    if (slower > 0) out << "; FLAME slower in " << slower << ':';
    for (std::size_t i = 0; i < std::min(slower, kMostNamed); ++i)
      out << ' ' << ratios[i].second << ' ' << two_digits(ratios[i].first);
    if (slower > kMostNamed) out << " ...";
    if (against.views > 0)
      out << "; " << against.views << " where one of the two delivers a view and the other writes";
    out << '\n';
  }
}

}  // namespace flame::bench
