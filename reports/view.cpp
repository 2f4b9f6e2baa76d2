#include "reports/view.h"

#include <cstdio>

#include "lib/core/error.h"
#include "reports/charts.h"
#include "reports/view_parts.h"

namespace flame::reports {
namespace {

constexpr std::size_t kMostFailures = 200, kMostHoles = 40;

View tile(const std::string& label, const std::string& value, bool bad = false) {
  View out;
  out["label"] = label;
  out["value"] = value;
  out["class"] = bad ? "bad" : "";
  return out;
}

View tiles(const Summary& s) {
  Tally forward, gradient;
  const auto merge = [](Tally& to, const std::map<std::string, Tally>& from) {
    for (const auto& [op, t] : from)
      if (t.worst && (!to.worst || worse(t.worst->r, to.worst->r))) to.worst = t.worst;
  };
  merge(forward, s.forward);
  merge(gradient, s.gradient);
  View list = make_list();
  list << tile("ops with records", format_count(std::int64_t(s.by_op.size())));
  list << tile("checks passed", format_count(s.all.passed));
  list << tile("failed", format_count(s.all.failed), s.all.failed > 0);
  list << tile("not run", format_count(s.all.not_run));
  list << tile("planned, no record", format_count(s.missing), s.missing > 0);
  list << tile("elements compared", format_count(s.all.compared));
  list << tile("worst r, forward", format_r(forward.worst_r()), worse(forward.worst_r(), 1));
  list << tile("worst r, gradient", format_r(gradient.worst_r()), worse(gradient.worst_r(), 1));
  if (!s.fakes.empty())
    list << tile(str_cat("of ", format_count(s.kills.worn()), " fakes killed"),
                 format_count(s.kills.killed), s.kills.survived > 0);
  list << tile(str_cat("of ", format_count(s.exported), " kernels seen to run"),
               format_count(s.exported_witnessed));
  return list;
}

View record_row(const Record& r, Format format) {
  View out;
  out["op"] = r.op;
  out["check"] = r.check;
  out["dtype"] = r.dtype;
  out["layout"] = r.layout;
  out["case"] = cell(r.case_name, format);
  out["r"] = format_r(r.r);
  out["class"] = headroom_class(r.r) == std::string("bad") ? "bad" : headroom_class(r.r);
  out["where"] = cell(r.where, format);
  out["reason"] = cell(r.reason, format);
  out["reproduce"] = cell(r.reproduce, format);
  return out;
}

void add_failures(View& view, const Summary& s, Format format) {
  View list = make_list();
  for (std::size_t i = 0; i < std::min(kMostFailures, s.failures.size()); ++i)
    list << record_row(*s.failures[i], format);
  view["has_failures"] = flag(!s.failures.empty());
  view["failures"] = std::move(list);
  view["failures_cut"] =
      s.failures.size() > kMostFailures
          ? View(str_cat("... and ", s.failures.size() - kMostFailures, " more in records.jsonl."))
          : flag(false);
}

void add_gradients(View& view, const Summary& s, Format format) {
  View list = make_list();
  for (const Record* r : s.worst_gradients) list << record_row(*r, format);
  Tally all;
  for (const auto& [op, t] : s.gradient) {
    all.passed += t.passed;
    all.failed += t.failed;
    all.not_run += t.not_run;
  }
  view["has_gradients"] = flag(!s.worst_gradients.empty());
  view["gradients"] = std::move(list);
  view["gradient_sentence"] =
      all.total() == 0 ? std::string("No gradient was checked in this run.")
                       : str_cat(format_count(all.passed), " of ", format_count(all.total()),
                                 " gradient checks passed (", format_count(all.failed), " failed, ",
                                 format_count(all.not_run), " not run) over ", s.gradient.size(),
                                 " ops. The ones nearest to, or beyond, their bound:");
}

// "Deterministic: 12 of 12 ..." out of the records of one check; says so when there are none.
std::string check_sentence(const Summary& s, const std::string& check, const std::string& what) {
  const auto found = s.by_check.find(check);
  if (found == s.by_check.end() || found->second.ran() == 0)
    return "No record says anything of " + what + ".";
  const Tally& t = found->second;
  return str_cat(format_count(t.passed), " of ", format_count(t.ran()), " checks of ", what,
                 " passed.");
}

void add_checks(View& view, const Summary& s) {
  View list = make_list();
  for (const std::string& check : s.checks) {
    const auto found = s.by_check.find(check);
    const Tally t = found == s.by_check.end() ? Tally{} : found->second;
    View item;
    item["check"] = check;
    item["passed"] = format_count(t.passed);
    item["failed"] = format_count(t.failed);
    item["not_run"] = format_count(t.not_run);
    item["compared"] = format_count(t.compared);
    item["r"] = format_r(t.worst_r());
    item["time"] = format_ms(t.ms);
    list << item;
  }
  view["checks"] = std::move(list);
  view["determinism_sentence"] =
      check_sentence(s, "deterministic", "bitwise equal results over reruns");
  view["memory_sentence"] = check_sentence(s, "memory", "memory given back");
}

void add_holes(View& view, const Summary& s, Format format) {
  View list = make_list();
  for (std::size_t i = 0; i < std::min(kMostHoles, s.holes.size()); ++i) {
    const Hole& hole = s.holes[i];
    View item;
    item["count"] = format_count(hole.count);
    item["reason"] = cell(hole.reason, format);
    item["checks"] = some_of(hole.checks, 6);
    item["ops"] = some_of(hole.ops, 8);
    list << item;
  }
  std::string sentence = str_cat(format_count(s.all.ran()), " of ", format_count(s.planned),
                                 " planned checks ran (", percent(s.all.ran(), s.planned), "). ",
                                 format_count(s.all.not_run), " were not run and say why; ",
                                 format_count(s.missing), " were planned and left no record.");
  if (!s.ops_without_records.empty())
    sentence += " Ops without any record: " + some_of(s.ops_without_records, 50) + ".";
  if (s.holes.size() > kMostHoles)
    sentence += str_cat(" The ", kMostHoles, " commonest of ", s.holes.size(), " reasons:");
  view["has_holes"] = flag(!s.holes.empty());
  view["holes"] = std::move(list);
  view["hole_sentence"] = sentence;
}

void add_times(View& view, const Summary& s) {
  double most = 0;
  for (const auto& [op, t] : s.by_op) most = std::max(most, t.ms);
  View list = make_list();
  for (const std::string& op : s.ops) {
    const auto found = s.by_op.find(op);
    if (found == s.by_op.end()) continue;
    View item;
    item["op"] = op;
    item["bar"] = bar(most > 0 ? found->second.ms / most : 0, "time",
                      str_cat(op, ": ", format_ms(found->second.ms)));
    item["time"] = format_ms(found->second.ms);
    list << item;
  }
  view["times"] = std::move(list);
  view["time_sentence"] = str_cat(format_ms(s.all.ms), " in all.");
}

}  // namespace

std::string cell(std::string text, Format format) {
  if (format == Format::kHtml) return text;
  std::string out;
  for (const char c : text) {
    if (c == '|') {
      out += "\\|";
    } else if (c == '`') {
      out += '\'';
    } else {
      out += c == '\n' || c == '\r' ? ' ' : c;
    }
  }
  return out;
}

std::string plain(const std::string& text, Format format) {
  if (format == Format::kHtml) return text;
  std::string out;
  for (const char c : cell(text, format)) {
    if (c == '<' || c == '&') {
      out += c == '<' ? "&lt;" : "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string utc(Time t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(t - day);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02ld:%02ld UTC", int(date.year()),
                unsigned(date.month()), unsigned(date.day()), long(clock.hours().count()),
                long(clock.minutes().count()));
  return text;
}

void add_environment(View& view, const records::RunManifest& m, Format format) {
  View list = make_list();
  const auto add = [&](const std::string& name, const std::string& value) {
    View item;
    item["name"] = plain(name, format);
    item["value"] = plain(value.empty() ? "not recorded" : value, format);
    list << item;
  };
  add("device", m.device_name);
  add("device kind", m.device_kind);
  add("compiled for", m.arch);
  add("driver", m.driver_version);
  add("CUDA", m.cuda_version);
  add("witness", m.witness.empty() ? "none" : m.witness);
  add("FLAME", m.flame_version);
  add("commit", m.commit + (m.dirty ? " with uncommitted changes" : ""));
  add("compiler", m.compiler);
  add("build", m.build_type);
  add("command", m.command);
  add("level", m.level);
  add("seed", std::to_string(m.seed));
  add("started", m.started_utc);
  add("took", format_ms(m.seconds * 1000));
  for (const auto& [name, value] : m.environment) add(name, value);
  view["environment"] = std::move(list);
}

std::string some_of(const std::vector<std::string>& names, std::size_t most) {
  std::string out;
  for (std::size_t i = 0; i < std::min(most, names.size()); ++i) out += (i ? ", " : "") + names[i];
  if (names.size() > most) out += str_cat(" and ", names.size() - most, " more");
  return out;
}

kainjow::mustache::data make_view(const Run& run, const Summary& s, Time now, Format format) {
  const records::RunManifest& m = run.manifest;
  View view;
  view["style"] = template_text("style.css");
  view["state"] = style_of(s.state);
  view["word"] = to_string(s.state);
  view["device"] = m.device_name;
  view["sentence"] = verdict_sentence(run, s);
  view["device_sentence"] = device_sentence(run, s);
  view["started"] = m.started_utc;
  view["age"] = data_age(m.started_utc, now);
  view["now"] = utc(now);
  view["commit"] = m.commit.empty() ? "unknown" : m.commit;
  view["dirty"] = flag(m.dirty);
  view["level"] = m.level;
  view["seed"] = std::to_string(m.seed);
  view["empty"] = flag(run.records.empty());
  view["tiles"] = tiles(s);
  add_failures(view, s, format);
  add_gradients(view, s, format);
  add_checks(view, s);
  add_holes(view, s, format);
  add_times(view, s);
  add_environment(view, m, format);
  add_kills(view, s);
  add_kernels(view, s);
  View lines = make_list();
  for (const OpLine& line : op_lines(s)) {
    View item;
    item["op"] = line.op;
    item["passed"] = line.passed;
    item["failed"] = line.failed;
    item["not_run"] = line.not_run;
    item["forward"] = line.forward;
    item["gradient"] = line.gradient;
    item["killed"] = line.killed;
    lines << item;
  }
  view["op_lines"] = std::move(lines);
  if (format == Format::kHtml) {
    add_matrix(view, s);
    add_strips(view, run, s);
  }
  return view;
}

}  // namespace flame::reports
