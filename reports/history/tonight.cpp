#include "reports/history/tonight.h"

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace flame::history {
namespace {

SeriesKey without_implementation(SeriesKey key) {
  key.implementation.clear();
  return key;
}

// Two digits, and never above.
double rounded_down(double v) { return std::floor(v * 100) / 100; }

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text)
    out += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "\"";
}

// What one limit of a floor saw at the least.
struct Least {
  double value = -1;
  const records::BenchRow* row = nullptr;
};

// Every kind of lower limit, and how a row meets it.
struct Lower {
  const char* name;
  double Floor::*limit;
  double (*value)(const Tonight::Held&);
};
const Lower kLowers[] = {
    {"min_share_copy", &Floor::min_share_copy, [](auto& h) { return h.row->share_copy; }},
    {"min_share_read", &Floor::min_share_read, [](auto& h) { return h.row->share_read; }},
    {"min_share_gemm_bf16", &Floor::min_share_gemm_bf16,
     [](auto& h) { return h.row->share_gemm_bf16; }},
    {"min_share_gemm_f32", &Floor::min_share_gemm_f32,
     [](auto& h) { return h.row->share_gemm_f32; }},
    {"min_gbps", &Floor::min_gbps, [](auto& h) { return h.row->gbps(); }},
    {"min_tflops", &Floor::min_tflops, [](auto& h) { return h.row->tflops(); }},
    {"min_ratio", &Floor::min_ratio, [](auto& h) { return h.ratio; }},
};

// One floor with new numbers.
std::string suggested(const Floor& floor, const std::vector<Tonight::Held>& held,
                      const std::string& night) {
  constexpr double kLess = 0.9;
  std::string limits, because;
  const auto say = [&](const char* name, double number, double seen, const std::string& row) {
    limits += str_cat(name, " = ", number, "\n");
    because += str_cat(because.empty() ? "" : "; ", rounded_down(seen), " on ", night,
                       row.empty() ? "" : " (" + row + ")");
  };
  for (const Lower& lower : kLowers) {
    const double limit = floor.*lower.limit;
    if (limit <= 0) continue;
    Least least;
    for (const Tonight::Held& h : held)
      if (const double v = lower.value(h); h.row->samples > 0 && v > 0)
        if (!least.row || v < least.value) least = {v, h.row};
    if (least.row)
      say(lower.name, rounded_down(kLess * least.value), least.value, name_of(*least.row));
    else
      limits += str_cat(lower.name, " = ", limit, "\n");
  }
  if (floor.min_mean_ratio > 0) {
    const double mean = mean_ratio(held);
    say("min_mean_ratio", held.empty() ? floor.min_mean_ratio : rounded_down(kLess * mean), mean,
        "");
  }
  if (floor.max_us > 0) {
    Least most;
    for (const Tonight::Held& h : held)
      if (h.row->median_us > most.value) most = {h.row->median_us, h.row};
    say("max_us", most.row ? std::ceil(most.value / kLess) : floor.max_us, most.value,
        most.row ? name_of(*most.row) : "");
  }
  return limits + "because = " +
         quoted(because.empty() || held.empty() ? floor.because
                                                : "at the least " + because + ", less a tenth") +
         "\n";
}

}  // namespace

void Tonight::add(const records::BenchRow& row) {
  if (row.implementation == "flame")
    ours_.push_back(&row);
  else
    peers_[without_implementation(key_of(row))].push_back(&row);
}

// The time of the fastest of them over ours; -1 where none was measured. Who passes on a view where
// we write has done other work.
double Tonight::fastest_ratio(const Floor& floor, const records::BenchRow& row) const {
  double least = -1;
  const auto found = peers_.find(without_implementation(key_of(row)));
  if (found == peers_.end()) return least;
  for (const records::BenchRow* peer : found->second)
    if (glob_match(floor.peer, peer->implementation) && peer->view == row.view && peer->ratio > 0 &&
        (least < 0 || peer->ratio < least))
      least = peer->ratio;
  return least;
}

std::vector<Tonight::Held> Tonight::held_by(const Floor& floor) const {
  std::vector<Held> out;
  for (const records::BenchRow* row : ours_) {
    if (!floor.matches(*row)) continue;
    const double ratio = floor.wants_peer() ? fastest_ratio(floor, *row) : -1;
    if (floor.wants_peer() && row->samples > 0 && ratio < 0) continue;  // nobody to compare with
    out.push_back({row, ratio});
  }
  return out;
}

double mean_ratio(const std::vector<Tonight::Held>& held) {
  double logs = 0;
  for (const Tonight::Held& h : held) logs += h.ratio > 0 ? std::log(h.ratio) : 0;
  return std::exp(logs / double(std::max<std::size_t>(held.size(), 1)));
}

std::string name_of(const records::BenchRow& row) {
  return str_cat(row.op, " ", row.case_name, " ", row.direction, " ", row.compute_mode, " ",
                 row.temperature);
}

std::string suggest_floors(const std::vector<Series>& series, const Thresholds& thresholds) {
  std::string night;
  for (const Series& s : series) night = std::max(night, s.samples.back().night());
  Tonight tonight;
  for (const Series& s : series)
    if (s.samples.back().night() == night) tonight.add(s.samples.back().row);
  std::string out;
  for (const Floor& floor : thresholds.floors) {
    if (floor.target) continue;
    out += out.empty() ? "[[floor]]\n" : "\n[[floor]]\n";
    const std::pair<const char*, const std::string*> texts[] = {
        {"op", &floor.op},
        {"case", &floor.case_name},
        {"direction", &floor.direction},
        {"dtype", &floor.dtype},
        {"compute_mode", &floor.compute_mode},
        {"temperature", &floor.temperature},
        {"gpu", &floor.gpu},
        {"peer", &floor.peer}};
    for (const auto& [name, text] : texts)
      if (!text->empty()) out += str_cat(name, " = ", quoted(*text), "\n");
    if (floor.least_bytes > 0)
      out += str_cat("least_bytes = ", std::int64_t(floor.least_bytes), "\n");
    out += suggested(floor, tonight.held_by(floor), night);
  }
  return out;
}

}  // namespace flame::history
