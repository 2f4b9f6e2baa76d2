#include "reports/history/regress.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lib/core/error.h"
#include "reports/history/tonight.h"

namespace flame::history {
namespace {

// What a night's numbers come from. Two of them have nothing in common.
struct Machine {
  std::string gpu, driver, cuda, harness;
  auto operator<=>(const Machine&) const = default;
};
Machine machine_of(const SeriesKey& k) { return {k.gpu, k.driver, k.cuda, k.harness}; }

using Nights = std::vector<NightPoint>;

std::vector<double> values_of(const Nights& nights) {
  std::vector<double> out;
  for (const NightPoint& n : nights) out.push_back(n.judged);
  return out;
}

// The bare launch of the same run stands for the host, as it was while the row was taken.
std::string host_probe(const std::string& direction) {
  return str_cat(records::kRawLaunch, " ", direction);
}

// What the series measures of the machine itself; empty where it measures something that runs on
// it.
std::string probed_by(const SeriesKey& k) {
  if (k.op == records::kRoofOp) return k.case_name;
  const bool launch = k.op == records::kHostOp && k.implementation == records::kRawLaunch;
  return launch ? host_probe(k.direction) : "";
}

// The roof that the row comes nearest to is what would move it. Empty: none.
std::string probe_of(const records::BenchRow& row) {
  if (row.op == records::kHostOp) return host_probe(row.direction);
  const std::pair<double, const char*> shares[] = {{row.share_copy, records::kRoofCopy},
                                                   {row.share_read, records::kRoofRead},
                                                   {row.share_gemm_bf16, records::kRoofGemmBf16},
                                                   {row.share_gemm_f32, records::kRoofGemmF32}};
  const auto* best = std::max_element(std::begin(shares), std::end(shares));
  return best->first > 0 ? best->second : "";
}

struct Probe {
  Nights nights;
  bool moved = false;
  double rate = -1;  // of its newest row
};
using Probes = std::map<std::pair<Machine, std::string>, Probe>;

bool moved(const Judgement& j) { return j.stage != Stage::kNone; }

// A host is another one from process to process: it is so restless that every night is a move.
bool explains(const SeriesKey& k, const Judgement& j) {
  return moved(j) || (k.op == records::kHostOp && j.verdict == Verdict::kAmbiguous);
}

// Of a probe's newest row; -1 of one that is in the cache, which says nothing of the memory.
double rate_of(const Series& series) {
  const records::BenchRow& row = series.samples.back().row;
  if (row.temperature != "cold") return -1;
  return row.flops > 0 ? row.tflops() : row.gbps();
}

// Times in units of the probe's time of the same night, where both were measured.
Nights relative_to(const Nights& times, const Nights& probe) {
  std::map<std::string, double> unit;
  for (const NightPoint& n : probe) unit[n.night] = n.us;
  Nights out;
  for (const NightPoint& n : times)
    if (const auto found = unit.find(n.night); found != unit.end())
      out.push_back({n.night, n.commit, n.us, n.us / found->second});
  return out;
}

SeriesVerdict judge_one(const Series& series, const Probes& probes, const std::string& newest,
                        const DetectRule& rule) {
  SeriesVerdict v{series.key, {}, nights_of(series), -1, false};
  if (v.points.empty() || v.points.back().night != newest) {
    const Sample& last = series.samples.back();
    v.judgement.nights = v.points.size();
    v.judgement.why = last.night() == newest && !last.row.reason.empty()
                          ? "not measured: " + last.row.reason
                          : "not measured on " + newest;
    return v;
  }
  v.newest_us = v.points.back().us;
  const std::string name = probe_of(series.samples.back().row);
  const auto probe = probes.find({machine_of(series.key), name});
  if (probe != probes.end() && probe->second.moved) {
    v.machine_moved = true;
    v.points = relative_to(v.points, probe->second.nights);
    v.judgement = judge_series(values_of(v.points), rule);
    v.judgement.why += str_cat(v.judgement.why.empty() ? "" : "; ", "the machine moved (", name,
                               "): judged by the ratio to it");
  } else {
    v.judgement = judge_series(values_of(v.points), rule);
  }
  return v;
}

void judge_floor(NightReport& report, const Floor& floor, const Tonight& tonight) {
  std::vector<MissedFloor>& missed = floor.target ? report.missed_targets : report.missed;
  const auto miss = [&](const std::string& row, const std::string& why) {
    missed.push_back({floor.name(), row, why, floor.because});
  };
  const std::size_t before = missed.size();
  const std::vector<Tonight::Held> held = tonight.held_by(floor);
  for (const Tonight::Held& h : held)
    if (const std::string why = floor.missed_by(*h.row, h.ratio); !why.empty())
      miss(name_of(*h.row), why);
  if (held.empty()) {
    if (!floor.target) report.idle_floors.push_back(floor.name());
    return;
  }
  const double mean = mean_ratio(held);
  if (floor.min_mean_ratio > 0 && !(mean >= floor.min_mean_ratio))
    miss(str_cat(held.size(), " rows"),
         str_cat("the fastest of ", floor.peer, " takes ", mean,
                 " times as long in the geometric mean, at least ", floor.min_mean_ratio));
  if (floor.target)
    report.targets_reached += held.size() - std::min(held.size(), missed.size() - before);
}

void find_drifts(NightReport& report, const std::vector<RSeries>& worst_r) {
  for (const RSeries& s : worst_r) {
    std::vector<double> r;
    for (const RPoint& p : s.points)
      if (p.r >= 0) r.push_back(p.r);
    const double factor = drift_of_r(r);
    if (factor > 0)
      report.drifts.push_back({s.op, s.check, s.dtype, s.device_name, r.back(), factor});
  }
}

}  // namespace

std::vector<NightPoint> nights_of(const Series& series) {
  std::map<std::string, std::vector<double>> times;
  std::map<std::string, std::string> commits;
  for (const Sample& s : series.samples) {
    if (s.row.samples == 0) continue;
    times[s.night()].push_back(s.row.median_us);
    commits[s.night()] = s.commit;
  }
  std::vector<NightPoint> out;
  for (const auto& [night, all] : times)
    out.push_back({night, commits[night], median(all), median(all)});
  return out;
}

bool NightReport::machine_moved() const {
  return std::any_of(probes.begin(), probes.end(),
                     [](const SeriesVerdict& p) { return moved(p.judgement); });
}

std::size_t NightReport::count(Verdict v) const {
  return std::size_t(std::count_if(series.begin(), series.end(), [&](const SeriesVerdict& s) {
    return s.ours() && s.judgement.verdict == v;
  }));
}

NightReport judge_night(const std::vector<Series>& series, const std::vector<RSeries>& worst_r,
                        const Thresholds& thresholds, const DetectRule& rule) {
  NightReport report;
  // The newest run of each GPU says which driver, CUDA and harness its series go on with.
  std::map<std::string, std::pair<std::string, Machine>> newest;
  for (const Series& s : series) {
    auto& [started, machine] = newest[s.key.gpu];
    if (s.samples.back().started_utc >= started) {
      started = s.samples.back().started_utc;
      machine = machine_of(s.key);
    }
    report.night = std::max(report.night, s.samples.back().night());
  }
  check<ValueError>(!newest.empty(), "regress: the history holds no bench run");
  const auto ended = [&](const Series& s) { return newest[s.key.gpu].second != machine_of(s.key); };

  Probes probes;
  for (const Series& s : series) {
    const std::string of = probed_by(s.key);
    if (of.empty() || ended(s)) continue;
    report.probes.push_back(judge_one(s, {}, newest[s.key.gpu].first.substr(0, 10), rule));
    // Of several ways the fastest of tonight's stands for the device: it is the roof.
    const SeriesVerdict& v = report.probes.back();
    const Probe probe{v.points, explains(s.key, v.judgement), v.newest_us > 0 ? rate_of(s) : -1};
    const auto [found, fresh] = probes.try_emplace({machine_of(s.key), of}, probe);
    if (!fresh && probe.rate > found->second.rate) found->second = probe;
  }
  Tonight tonight;
  for (const Series& s : series) {
    if (s.key.op == records::kRoofOp) continue;
    if (ended(s)) {
      ++report.ended;
      continue;
    }
    const std::string night = newest[s.key.gpu].first.substr(0, 10);
    // What is a probe has been judged, but remains a peer.
    if (probed_by(s.key).empty()) report.series.push_back(judge_one(s, probes, night, rule));
    if (s.samples.back().night() == night) tonight.add(s.samples.back().row);
  }
  std::vector<Judgement> all;
  for (const SeriesVerdict& v : report.series) all.push_back(v.judgement);
  correct_for_many(all);
  for (std::size_t i = 0; i < all.size(); ++i) report.series[i].judgement = all[i];
  for (const Floor& floor : thresholds.floors) judge_floor(report, floor, tonight);
  find_drifts(report, worst_r);
  return report;
}

Outcome outcome_of(const NightReport& report, FailOn fail_on) {
  bool suspect = false;
  for (const SeriesVerdict& v : report.series)
    suspect =
        suspect || (v.ours() && v.judgement.stage == Stage::kSuspect && v.judgement.shift > 0);
  if (report.count(Verdict::kSlower) > 0 || !report.missed.empty() ||
      (suspect && fail_on == FailOn::kSuspect))
    return Outcome::kFail;
  const std::size_t judged = report.count(Verdict::kSame) + report.count(Verdict::kFaster);
  if (judged == 0 || report.count(Verdict::kAmbiguous) > 0 || !report.idle_floors.empty())
    return Outcome::kInconclusive;
  return Outcome::kPass;
}

void confirm_by(NightReport& report, const Comparison& comparison) {
  for (SeriesVerdict& v : report.series) {
    if (v.judgement.stage != Stage::kSuspect) continue;
    for (const Compared& c : comparison.rows) {
      // The night's machine itself: base and head ran in turn on it.
      if (c.b.samples == 0 || key_of(c.b) != v.key) continue;
      const bool slower = c.verdict == Verdict::kSlower && v.judgement.shift > 0;
      const bool faster = c.verdict == Verdict::kFaster && v.judgement.shift < 0;
      if (slower || faster) {
        v.judgement.verdict = c.verdict;
        v.judgement.stage = Stage::kConfirmed;
        v.judgement.shift = c.shift;
        v.judgement.why += "; confirmed by runs in turn: " + c.why;
      } else if (c.verdict == Verdict::kSame) {
        v.judgement.verdict = Verdict::kSame;
        v.judgement.stage = Stage::kNone;
        v.judgement.why += "; runs in turn show no difference";
      }
    }
  }
}

}  // namespace flame::history
