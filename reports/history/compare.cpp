#include "reports/history/compare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "lib/core/error.h"

namespace flame::history {
namespace {

using records::BenchRow;
using What = std::array<std::string, 8>;
What what(const BenchRow& r) {
  return {r.op,    r.case_name,    r.direction,   r.dtype,
          r.sizes, r.compute_mode, r.temperature, r.implementation};
}

// The relative half width of the median's 95 % interval: 1.57 * IQR / sqrt(n) (McGill, Tukey &
// Larsen 1978).
double half_width(const BenchRow& r) {
  return 1.57 * (r.q3_us - r.q1_us) / std::sqrt(double(r.samples)) / r.median_us;
}

std::string missing(const BenchRow& a, const BenchRow& b) {
  for (const auto& [row, name] : {std::pair(&a, "A"), std::pair(&b, "B")}) {
    if (row->op.empty()) return str_cat("only in the other run than ", name);
    if (row->samples == 0) return str_cat("not measured in ", name, ": ", row->reason);
  }
  if (a.gpu != b.gpu) return str_cat("another GPU: ", a.gpu, ", ", b.gpu);
  if (a.harness != b.harness) return str_cat("another harness: ", a.harness, ", ", b.harness);
  return "";
}

// How much longer the driver's bare launch takes in B than in A, where that is more than noise: one
// process has a slower host than another, with the same code. 0 where it did not move.
class HostMoves {
 public:
  HostMoves(const records::BenchRun& a, const records::BenchRun& b, const CompareRule& rule) {
    for (const BenchRow& left : a.rows)
      for (const BenchRow& right : b.rows) {
        if (left.op != records::kHostOp || left.implementation != records::kRawLaunch) continue;
        if (what(left) != what(right) || !missing(left, right).empty()) continue;
        const double shift = right.median_us / left.median_us - 1;
        const double noise = std::max(aa_floor(left.times_us), aa_floor(right.times_us));
        if (std::abs(shift) > std::max(rule.least_shift, noise)) moves_[left.direction] = shift;
      }
  }
  double of(const BenchRow& row) const {
    if (row.op != records::kHostOp || row.implementation == records::kRawLaunch) return 0;
    const auto found = moves_.find(row.direction);
    return found == moves_.end() ? 0 : found->second;
  }

 private:
  std::map<std::string, double> moves_;
};

// A host that moved does not slow everything by one factor. Three processes of one build: where the
// launch moved by 19, 10 and 24 %, the ratio to it did by 9, 11 and 6 %. Half of that again is for
// what three do not show.
constexpr double kLeftInTheRatio = 1.5;

// All but the correction for many rows. `moved`: the host, between A and B.
void judge(Compared& c, const CompareRule& rule, double moved) {
  c.why = missing(c.a, c.b);
  if (!c.why.empty()) return;
  c.verdict = Verdict::kAmbiguous;
  c.shift = c.b.median_us / c.a.median_us - 1;
  if (moved != 0) {
    c.shift = (1 + c.shift) / (1 + moved) - 1;
    c.floor = std::max(c.floor, kLeftInTheRatio * std::abs(moved));
  }
  const double least = std::max(rule.least_shift, c.floor);
  const double known = std::hypot(half_width(c.a), half_width(c.b));
  if (c.a.times_us.empty() || c.b.times_us.empty()) {
    c.why = "the samples were not kept";
    return;
  }
  std::vector<double> theirs = c.b.times_us;
  for (double& t : theirs) t /= 1 + moved;
  c.p = mann_whitney(c.a.times_us, theirs).p;
  if (std::abs(c.shift) <= least) {
    // Where a change of least_shift could hide, nothing is called the same.
    if (std::max({std::abs(c.shift), known, c.floor}) <= rule.least_shift)
      c.verdict = Verdict::kSame;
    else if (known > c.floor)
      c.why = str_cat("medians known to ", 100 * known, " % only");
    else
      c.why = str_cat("within the A/A floor of ", 100 * c.floor, " %");
  } else if (c.p < rule.p) {
    c.verdict = c.shift > 0 ? Verdict::kSlower : Verdict::kFaster;
    c.why = str_cat("U test p = ", c.p, ", A/A floor ", 100 * c.floor, " %");
  } else {
    c.why = str_cat("the samples overlap: U test p = ", c.p);
  }
  if (moved != 0)
    c.why += str_cat(c.why.empty() ? "" : "; ", "the host moved (", records::kRawLaunch, " by ",
                     100 * moved, " %): judged by the ratio to it");
}

void correct(Comparison& all, double rate) {
  std::vector<double> p;
  std::vector<Compared*> tested;
  for (Compared& c : all.rows) {
    if (c.verdict == Verdict::kNoData || c.a.times_us.empty() || c.b.times_us.empty()) continue;
    p.push_back(c.p);
    tested.push_back(&c);
  }
  const std::vector<bool> kept = benjamini_hochberg(p, rate);
  for (std::size_t i = 0; i < tested.size(); ++i) {
    Compared& c = *tested[i];
    if (kept[i] || (c.verdict != Verdict::kSlower && c.verdict != Verdict::kFaster)) continue;
    c.verdict = Verdict::kAmbiguous;
    c.why += str_cat(", which is no surprise among ", p.size(), " rows");
  }
}

}  // namespace

std::size_t Comparison::count(Verdict v) const {
  return std::size_t(
      std::count_if(rows.begin(), rows.end(), [&](const Compared& c) { return c.verdict == v; }));
}

double aa_floor(const std::vector<double>& times_us) {
  if (times_us.size() < 4) return 0;
  std::vector<double> halves[2];
  for (std::size_t i = 0; i < times_us.size(); ++i) halves[i % 2].push_back(times_us[i]);
  return std::abs(median(halves[1]) / median(halves[0]) - 1);
}

Comparison compare_runs(const records::BenchRun& a, const records::BenchRun& b,
                        const records::BenchRun* again, const CompareRule& rule) {
  std::map<What, const BenchRow*> others, repeats;
  for (const BenchRow& row : b.rows) others[what(row)] = &row;
  if (again)
    for (const BenchRow& row : again->rows) repeats[what(row)] = &row;
  const HostMoves moves(a, b, rule);
  Comparison out;
  for (const BenchRow& row : a.rows) {
    Compared c;
    c.a = row;
    if (const auto found = others.find(what(row)); found != others.end()) {
      c.b = *found->second;
      others.erase(found);
    }
    c.floor = std::max(aa_floor(c.a.times_us), aa_floor(c.b.times_us));
    if (const auto found = repeats.find(what(row));
        found != repeats.end() && found->second->samples > 0 && row.samples > 0)
      c.floor = std::max(c.floor, std::abs(found->second->median_us / row.median_us - 1));
    judge(c, rule, moves.of(row));
    out.rows.push_back(std::move(c));
  }
  for (const BenchRow& row : b.rows) {
    if (!others.contains(what(row))) continue;
    Compared c;
    c.b = row;
    judge(c, rule, 0);
    out.rows.push_back(std::move(c));
  }
  correct(out, rule.discovery_rate);
  return out;
}

}  // namespace flame::history
