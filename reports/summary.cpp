#include "reports/summary.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

namespace flame::reports {
namespace {

constexpr std::size_t kWorstCases = 20;

std::string without_spaces(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (c != ' ') out += c;
  return out;
}

// Keeps the order of first sight.
class Ordered {
 public:
  explicit Ordered(std::vector<std::string>& list) : list_(list) {}
  void add(const std::string& name) {
    if (!name.empty() && seen_.insert(name).second) list_.push_back(name);
  }

 private:
  std::vector<std::string>& list_;
  std::set<std::string> seen_;
};

void order_names(const Run& run, Summary& s) {
  Ordered ops(s.ops), checks(s.checks), dtypes(s.dtypes), fakes(s.fakes);
  for (const auto& op : run.manifest.ops) {
    ops.add(op.name);
    for (const auto& dtype : op.dtypes) dtypes.add(dtype);
  }
  for (const auto& check : run.manifest.checks) checks.add(check);
  for (const Record& r : run.records) {
    ops.add(r.op);
    checks.add(r.check);
    dtypes.add(r.dtype);
  }
  for (const Kill& k : run.kills) {
    ops.add(k.op);
    fakes.add(k.fake);
  }
}

void add_records(const Run& run, Summary& s) {
  for (const Record& r : run.records) {
    s.all.add(r);
    s.by_op[r.op].add(r);
    s.by_check[r.check].add(r);
    s.cells[{r.op, r.check, r.dtype}].add(r);
    if (is_forward_check(r.check)) s.forward[r.op].add(r);
    if (is_gradient_check(r.check)) s.gradient[r.op].add(r);
    if (r.verdict == records::Verdict::kFail) s.failures.push_back(&r);
    if (is_gradient_check(r.check) && r.r != -1) s.worst_gradients.push_back(&r);
  }
  std::stable_sort(s.worst_gradients.begin(), s.worst_gradients.end(),
                   [](const Record* a, const Record* b) { return worse(a->r, b->r); });
  if (s.worst_gradients.size() > kWorstCases) s.worst_gradients.resize(kWorstCases);
  for (const std::string& op : s.ops)
    if (!s.by_op.contains(op)) s.ops_without_records.push_back(op);
}

void add_kills(const Run& run, Summary& s) {
  for (const Kill& k : run.kills) {
    s.kills.add(k);
    s.kills_by_fake[k.fake].add(k);
    s.kills_by_op[k.op].add(k);
    s.kill_cells[{k.fake, k.op}] = &k;
    if (k.verdict == records::Verdict::kFail) s.survivors.push_back(&k);
  }
}

void add_kernels(const Run& run, Summary& s) {
  std::map<std::string, std::int64_t> seen;  // without spaces
  std::map<std::string, KernelFamily> families;
  for (const Record& r : run.records) {
    std::set<std::string> here;
    for (const std::string& kernel : r.kernels) {
      ++seen[without_spaces(kernel)];
      here.insert(kernel.substr(0, kernel.find('<')));
    }
    for (const std::string& family : here) ++families[family].records;
  }
  std::set<std::string> exported;
  for (const std::string& kernel : run.manifest.exported_kernels) {
    KernelFamily& family = families[kernel.substr(0, kernel.find('<'))];
    family.exported = true;
    const std::string key = without_spaces(kernel);
    if (!exported.insert(key).second) continue;
    (seen.contains(key) ? family.witnessed : family.unseen).push_back(kernel);
    s.exported_witnessed += seen.contains(key) ? 1 : 0;
  }
  s.exported = std::int64_t(exported.size());
  for (const auto& [kernel, count] : seen)
    if (!exported.contains(kernel))
      families[kernel.substr(0, kernel.find('<'))].witnessed.push_back(kernel);
  for (auto& [name, family] : families) {
    family.name = name;
    s.kernels.push_back(std::move(family));
  }
}

void add_holes(const Run& run, Summary& s) {
  std::map<std::string, Hole> by_reason;
  std::map<std::string, std::pair<std::set<std::string>, std::set<std::string>>> names;
  for (const Record& r : run.records) {
    if (r.verdict != records::Verdict::kNotRun) continue;
    Hole& hole = by_reason[r.reason];
    ++hole.count;
    auto& [ops, checks] = names[r.reason];
    if (ops.insert(r.op).second) hole.ops.push_back(r.op);
    if (checks.insert(r.check).second) hole.checks.push_back(r.check);
  }
  for (auto& [reason, hole] : by_reason) {
    hole.reason = reason;
    s.holes.push_back(std::move(hole));
  }
  std::stable_sort(s.holes.begin(), s.holes.end(),
                   [](const Hole& a, const Hole& b) { return a.count > b.count; });
}

State state_of(const Run& run, const Summary& s) {
  if (s.all.failed > 0 || s.kills.survived > 0) return State::kFail;
  if (!run.manifest.state.empty()) return State::kIncomplete;
  if (s.all.passed == 0) return State::kEmpty;
  if (s.missing > 0 || s.all.not_run > 0) return State::kHoles;
  return State::kPass;
}

}  // namespace

bool worse(double r, double than) {
  if (std::isnan(than)) return false;
  return std::isnan(r) || r > than;
}

void Tally::add(const Record& r) {
  switch (r.verdict) {
    case records::Verdict::kPass:
      ++passed;
      break;
    case records::Verdict::kFail:
      ++failed;
      if (!failure) failure = &r;
      break;
    case records::Verdict::kNotRun:
      ++not_run;
      if (!first_not_run) first_not_run = &r;
      break;
  }
  compared += r.compared;
  ms += r.ms;
  if (r.r != -1 && (!worst || worse(r.r, worst->r))) worst = &r;
}

void KillTally::add(const Kill& k) {
  switch (k.verdict) {
    case records::Verdict::kPass:
      ++killed;
      break;
    case records::Verdict::kFail:
      ++survived;
      break;
    case records::Verdict::kNotRun:
      ++not_worn;
      return;
  }
  const std::string* judges[] = {&k.allclose, &k.ggml_nmse, &k.jax_scaled, &k.sum_loss};
  for (int i = 0; i < 4; ++i) {
    missed[i] += *judges[i] == "missed";
    caught[i] += *judges[i] == "caught";
  }
}

const char* to_string(State state) {
  switch (state) {
    case State::kPass:
      return "pass";
    case State::kHoles:
      return "pass with holes";
    case State::kEmpty:
      return "empty";
    case State::kFail:
      return "fail";
    case State::kIncomplete:
      return "incomplete";
  }
  return "";
}

const char* style_of(State state) {
  return state == State::kHoles || state == State::kIncomplete ? "holes" : to_string(state);
}

bool is_forward_check(std::string_view check) {
  return check == "forward" || check == "replay_forward";
}
bool is_gradient_check(std::string_view check) {
  return check == "backward" || check == "finite_difference" || check == "replay_backward";
}

Summary summarise(const Run& run) {
  Summary s;
  order_names(run, s);
  add_records(run, s);
  add_kills(run, s);
  add_kernels(run, s);
  add_holes(run, s);
  s.planned = std::max(run.manifest.planned, s.all.total());
  s.missing = s.planned - s.all.total();
  s.state = state_of(run, s);
  s.gpu = run.manifest.device_kind == "gpu";
  s.gpu_proof = s.gpu && std::any_of(run.records.begin(), run.records.end(), [](const Record& r) {
                  return r.witness == "cupti" && !r.kernels.empty();
                });
  return s;
}

std::string format_r(double r) {
  if (r == -1) return "-";
  if (std::isnan(r)) return "nan";
  if (std::isinf(r)) return "inf";
  char text[32];
  if (r == 0) return "0";
  if (std::abs(r - 1) < 0.01) {
    // Which side of the bound must be seen.
    std::snprintf(text, sizeof text, "%.3f", r);
    return r != 1 && std::string_view(text) == "1.000" ? (r < 1 ? "<1" : ">1") : text;
  }
  if (r < 0.001) {
    std::snprintf(text, sizeof text, "%.0e", r);
  } else if (r < 100) {
    std::snprintf(text, sizeof text, r < 0.1 ? "%.3f" : "%.2f", r);
  } else {
    std::snprintf(text, sizeof text, "%.3g", r);
  }
  return text;
}

std::string format_count(std::int64_t n) {
  const std::string digits = std::to_string(n);
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    out += digits[i];
    const std::size_t left = digits.size() - 1 - i;
    if (left > 0 && left % 3 == 0 && digits[i] != '-') out += ',';
  }
  return out;
}

std::string format_ms(double ms) {
  char text[40];
  if (ms < 1000) {
    std::snprintf(text, sizeof text, ms < 10 ? "%.1f ms" : "%.0f ms", ms);
  } else if (ms < 120e3) {
    std::snprintf(text, sizeof text, "%.1f s", ms / 1000);
  } else {
    std::snprintf(text, sizeof text, "%.0f min %.0f s", std::floor(ms / 60e3),
                  std::floor(std::fmod(ms, 60e3) / 1000));
  }
  return text;
}

}  // namespace flame::reports
