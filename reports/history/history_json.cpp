#include "reports/history/history_json.h"

#include <array>
#include <nlohmann/json.hpp>

namespace flame::history {
namespace {

using Json = nlohmann::ordered_json;

// Names with broken UTF-8 must not cost the answer.
std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

// A change lies between two nights' commits.
Json changes_of(const SeriesVerdict& v) {
  Json out = Json::array();
  for (const ChangePoint& c : v.judgement.changes) {
    const NightPoint &last = v.points[c.index - 1], &first = v.points[c.index];
    out.push_back({{"night", first.night},
                   {"commit_before", last.commit},
                   {"commit_after", first.commit},
                   {"before", c.before},
                   {"after", c.after},
                   {"shift", c.shift()},
                   {"p", c.p}});
  }
  return out;
}

Json points_of(const SeriesVerdict& v) {
  Json out = Json::array();
  for (const NightPoint& n : v.points)
    out.push_back({{"night", n.night}, {"commit", n.commit}, {"us", n.us}, {"judged", n.judged}});
  return out;
}

Json series_of(const SeriesVerdict& v) {
  const SeriesKey& k = v.key;
  const Judgement& j = v.judgement;
  return {{"op", k.op},
          {"case", k.case_name},
          {"direction", k.direction},
          {"dtype", k.dtype},
          {"sizes", k.sizes},
          {"compute_mode", k.compute_mode},
          {"temperature", k.temperature},
          {"implementation", k.implementation},
          {"gpu", k.gpu},
          {"driver", k.driver},
          {"cuda", k.cuda},
          {"harness", k.harness},
          {"verdict", to_string(j.verdict)},
          {"stage", to_string(j.stage)},
          {"nights", j.nights},
          {"newest_us", v.newest_us},
          {"baseline", j.baseline},
          {"sigma", j.sigma},
          {"shift", j.shift},
          {"p", j.p},
          {"machine_moved", v.machine_moved},
          {"changes", changes_of(v)},
          {"points", points_of(v)},
          {"why", j.why}};
}

}  // namespace

const char* to_string(Outcome outcome) {
  constexpr std::array kNames{"pass", "fail", "inconclusive"};
  return kNames[std::size_t(outcome)];
}

std::string to_json(const Comparison& comparison) {
  Json rows = Json::array();
  for (const Compared& c : comparison.rows) {
    const records::BenchRow& row = c.a.op.empty() ? c.b : c.a;
    rows.push_back({{"op", row.op},
                    {"case", row.case_name},
                    {"direction", row.direction},
                    {"dtype", row.dtype},
                    {"sizes", row.sizes},
                    {"compute_mode", row.compute_mode},
                    {"temperature", row.temperature},
                    {"implementation", row.implementation},
                    {"a_us", c.a.median_us},
                    {"b_us", c.b.median_us},
                    {"shift", c.shift},
                    {"p", c.p},
                    {"aa_floor", c.floor},
                    {"verdict", to_string(c.verdict)},
                    {"why", c.why}});
  }
  Json counts;
  for (const Verdict v :
       {Verdict::kSame, Verdict::kFaster, Verdict::kSlower, Verdict::kAmbiguous, Verdict::kNoData})
    counts[to_string(v)] = comparison.count(v);
  return dump({{"counts", counts}, {"rows", rows}});
}

std::string to_json(const NightReport& report) {
  Json out;
  out["night"] = report.night;
  out["outcome"] = to_string(outcome_of(report, FailOn::kConfirmed));
  for (const Verdict v :
       {Verdict::kSame, Verdict::kFaster, Verdict::kSlower, Verdict::kAmbiguous, Verdict::kNoData})
    out["counts"][to_string(v)] = report.count(v);
  out["machine_moved"] = report.machine_moved();
  out["ended_series"] = report.ended;
  for (const auto& [name, list] :
       {std::pair("series", &report.series), std::pair("probes", &report.probes)}) {
    out[name] = Json::array();
    for (const SeriesVerdict& v : *list) out[name].push_back(series_of(v));
  }
  for (const auto& [name, list] : {std::pair("missed_floors", &report.missed),
                                   std::pair("missed_targets", &report.missed_targets)}) {
    out[name] = Json::array();
    for (const MissedFloor& m : *list)
      out[name].push_back(
          {{"floor", m.floor}, {"row", m.row}, {"why", m.why}, {"because", m.because}});
  }
  out["targets_reached"] = report.targets_reached;
  out["idle_floors"] = report.idle_floors;
  out["drifts"] = Json::array();
  for (const Drift& d : report.drifts)
    out["drifts"].push_back({{"op", d.op},
                             {"check", d.check},
                             {"dtype", d.dtype},
                             {"device", d.device_name},
                             {"r", d.r},
                             {"factor", d.factor}});
  return dump(out);
}

}  // namespace flame::history
