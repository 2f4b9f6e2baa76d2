// Op x check x dtype, and the strips of headroom.
#include <cmath>
#include <set>

#include "lib/core/error.h"
#include "reports/charts.h"
#include "reports/view_parts.h"

namespace flame::reports {
namespace {

// A check's columns: its dtypes, and whether it measures an r.
struct Column {
  std::string check;
  std::vector<std::string> dtypes;
  bool measured = false;
};

std::vector<Column> columns(const Summary& s) {
  std::vector<Column> out;
  for (const std::string& check : s.checks) {
    Column column{check, {}, false};
    std::set<std::string> seen;
    for (const auto& [key, tally] : s.cells) {
      if (std::get<1>(key) != check) continue;
      seen.insert(std::get<2>(key));
      column.measured |= tally.worst != nullptr;
    }
    for (const std::string& dtype : s.dtypes)
      if (seen.contains(dtype)) column.dtypes.push_back(dtype);
    if (!column.dtypes.empty()) out.push_back(std::move(column));
  }
  return out;
}

std::string tooltip(const std::string& op, const std::string& check, const std::string& dtype,
                    const Tally& t) {
  std::string out =
      str_cat(op, " · ", check, " · ", dtype, "\n", t.passed, " passed, ", t.failed, " failed, ",
              t.not_run, " not run, ", format_count(t.compared), " elements, ", format_ms(t.ms));
  const Record* shown = t.failure ? t.failure : t.worst ? t.worst : t.first_not_run;
  if (t.worst) out += str_cat("\nworst r ", format_r(t.worst->r), " at ", t.worst->where);
  if (!shown) return out;
  if (!shown->reason.empty()) out += "\n" + shown->reason;
  return out + "\n" + shown->case_name + "\n" + shown->reproduce;
}

View chip(const std::string& op, const Column& column, const std::string& dtype,
          const Tally* tally) {
  View out;
  std::string css, text, title = str_cat(op, " · ", column.check, " · ", dtype, "\nno record");
  const std::string mark = column.measured ? "" : "mark ";
  if (!tally) {
    css = mark + "gap";
    text = "·";
  } else if (tally->failed > 0) {
    css = mark + "bad";
    text = column.measured && tally->worst ? format_r(tally->worst_r()) : "✕";
  } else if (tally->passed == 0) {
    css = mark + "notrun";
    text = "○";
  } else if (column.measured) {
    css = tally->worst ? headroom_class(tally->worst_r()) : "ok";
    text = tally->worst ? format_r(tally->worst_r()) : "✓";
  } else {
    css = "mark ok";
    text = "✓";
  }
  if (tally) {
    if (tally->not_run > 0 && tally->passed > 0) css += " partial";
    title = tooltip(op, column.check, dtype, *tally);
  }
  out["class"] = css;
  out["text"] = text;
  out["title"] = title;
  return out;
}

View row(const Summary& s, const std::vector<Column>& all, const std::string& op) {
  View cells = make_list();
  for (const Column& column : all) {
    View chips = make_list();
    for (std::size_t i = 0; i < column.dtypes.size(); ++i) {
      const auto found = s.cells.find({op, column.check, column.dtypes[i]});
      chips << chip(op, column, column.dtypes[i],
                    found == s.cells.end() ? nullptr : &found->second);
      // A number has its own column; marks stand side by side.
      if (!column.measured && i + 1 < column.dtypes.size()) continue;
      View cell;
      cell["first"] = flag(i == 0 || !column.measured);
      cell["chips"] = std::move(chips);
      cells << cell;
      chips = make_list();
    }
  }
  View out;
  const auto tally = s.by_op.find(op);
  out["op"] = op;
  out["cells"] = std::move(cells);
  out["passed"] = tally == s.by_op.end() ? std::string("0")
                                         : str_cat(format_count(tally->second.passed), " / ",
                                                   format_count(tally->second.total()));
  return out;
}

// Lets a long name wrap after its underscores.
std::string breakable(const std::string& name) {
  std::string out;
  for (const char c : name) out += c == '_' ? std::string("_\u200b") : std::string(1, c);
  return out;
}

// Every measured r of one op's forward or gradient checks.
std::vector<double> values_of(const Run& run, const std::string& op, bool gradient) {
  std::vector<double> out;
  for (const Record& r : run.records) {
    const bool fits = gradient ? is_gradient_check(r.check) : is_forward_check(r.check);
    if (fits && r.op == op && r.r != -1) out.push_back(r.r);
  }
  return out;
}

}  // namespace

std::string short_dtype(const std::string& dtype) {
  for (const auto& [from, to] :
       {std::pair("bfloat", "bf"), {"float", "f"}, {"uint", "u"}, {"int", "i"}})
    if (dtype.starts_with(from)) return to + dtype.substr(std::string_view(from).size());
  return dtype;
}

void add_matrix(View& view, const Summary& s) {
  const std::vector<Column> all = columns(s);
  View head = make_list(), rows = make_list();
  for (const Column& column : all) {
    View subs = make_list(), item;
    if (column.measured) {
      for (const std::string& dtype : column.dtypes) subs << View(short_dtype(dtype));
    } else {
      subs << View("");
    }
    item["check"] = breakable(column.check);
    item["subs"] = std::move(subs);
    item["span"] = std::to_string(column.measured ? column.dtypes.size() : 1);
    head << item;
  }
  for (const std::string& op : s.ops) rows << row(s, all, op);
  std::string order;
  for (const std::string& dtype : s.dtypes)
    order += (order.empty() ? "" : ", ") + short_dtype(dtype);
  view["dtype_order"] = order;
  view["columns"] = std::move(head);
  view["rows"] = std::move(rows);
}

void add_strips(View& view, const Run& run, const Summary& s) {
  View strips = make_list();
  for (const std::string& op : s.ops) {
    const auto forward = values_of(run, op, false), gradient = values_of(run, op, true);
    if (forward.empty() && gradient.empty()) continue;
    View item;
    const auto worst = [](const std::map<std::string, Tally>& by_op, const std::string& name) {
      const auto found = by_op.find(name);
      return format_r(found == by_op.end() ? -1 : found->second.worst_r());
    };
    item["op"] = op;
    item["forward"] = headroom_strip(forward, str_cat(op, " forward: ", forward.size(), " cases"));
    item["gradient"] =
        headroom_strip(gradient, str_cat(op, " gradient: ", gradient.size(), " cases"));
    item["forward_worst"] = worst(s.forward, op);
    item["gradient_worst"] = worst(s.gradient, op);
    strips << item;
  }
  view["axis"] = headroom_axis();
  view["strips"] = std::move(strips);
}

}  // namespace flame::reports
