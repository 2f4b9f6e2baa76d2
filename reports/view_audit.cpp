// The kill matrix and the witnessed kernels.
#include <cmath>

#include "lib/core/error.h"
#include "reports/charts.h"
#include "reports/view_parts.h"

namespace flame::reports {
namespace {

bool everyone_else_missed(const Kill& k) {
  int missed = 0, caught = 0;
  for (const std::string* judge : {&k.allclose, &k.ggml_nmse, &k.jax_scaled, &k.sum_loss}) {
    missed += *judge == "missed";
    caught += *judge == "caught";
  }
  return missed > 0 && caught == 0;
}

View square(const std::string& fake, const std::string& op, const Kill* k) {
  View out;
  std::string css = "na", text = "·", title = fake + " on " + op + "\nno record";
  if (k) {
    title = str_cat(fake, " on ", op, ": ");
    switch (k->verdict) {
      case records::Verdict::kPass:
        css = everyone_else_missed(*k) ? "alone" : "killed";
        text = "✓";
        title += str_cat("killed by ", k->check, "\nfired: ", k->caught_by);
        break;
      case records::Verdict::kFail:
        css = "survived";
        text = "✕";
        title += str_cat("SURVIVED ", k->check, "\n", k->reason);
        break;
      case records::Verdict::kNotRun:
        title += "cannot be worn\n" + k->reason;
        break;
    }
    if (k->verdict != records::Verdict::kNotRun)
      title += str_cat("\nallclose ", k->allclose, ", ggml NMSE ", k->ggml_nmse, ", JAX scaled ",
                       k->jax_scaled, ", sum loss ", k->sum_loss);
  }
  out["class"] = css;
  out["text"] = text;
  out["title"] = title;
  return out;
}

View missed_shares(const KillTally& t) {
  View list = make_list();
  for (int i = 0; i < 4; ++i) {
    const std::int64_t asked = t.missed[i] + t.caught[i];
    View item;
    item["text"] = percent(t.missed[i], asked);
    const auto width = asked ? std::lround(36.0 * double(t.missed[i]) / double(asked)) : 0;
    item["width"] = width > 0 ? View(std::to_string(width)) : flag(false);
    list << item;
  }
  return list;
}

std::string kill_sentence(const Summary& s) {
  std::string out =
      str_cat(format_count(s.kills.killed), " of ", format_count(s.kills.worn()), " killed (",
              percent(s.kills.killed, s.kills.worn()), "), ", format_count(s.kills.survived),
              " survived; ", s.fakes.size(), " fakes, each on every op that can wear it (",
              s.kills.not_worn, " pairs cannot).");
  out += " Of the same outputs, ";
  for (int i = 0; i < 4; ++i) {
    out += str_cat(i == 0   ? ""
                   : i == 3 ? " and "
                            : ", ",
                   kJudges[i], " let pass ",
                   percent(s.kills.missed[i], s.kills.missed[i] + s.kills.caught[i]));
  }
  return out + ".";
}

}  // namespace

std::string percent(std::int64_t part, std::int64_t whole) {
  if (whole == 0) return "-";
  // Rounded down: 99.99 % is not 100 %.
  return str_cat(part * 100 / whole, "%");
}

void add_kills(View& view, const Summary& s) {
  View rows = make_list(), ops = make_list(), judges = make_list();
  std::vector<std::string> worn;
  for (const std::string& op : s.ops)
    if (s.kills_by_op.contains(op)) worn.push_back(op);
  for (const std::string& op : worn) ops << View(op);
  for (const char* judge : kJudges) judges << View(judge);
  for (const std::string& fake : s.fakes) {
    View row, squares = make_list();
    for (const std::string& op : worn) {
      const auto found = s.kill_cells.find({fake, op});
      squares << square(fake, op, found == s.kill_cells.end() ? nullptr : found->second);
    }
    const KillTally& t = s.kills_by_fake.at(fake);
    row["fake"] = fake;
    row["squares"] = std::move(squares);
    row["killed"] = str_cat(t.killed, " / ", t.worn());
    row["killed_count"] = std::to_string(t.killed);
    row["survived_count"] = std::to_string(t.survived);
    row["not_worn"] = std::to_string(t.not_worn);
    row["missed"] = missed_shares(t);
    rows << row;
  }
  view["has_kills"] = flag(!s.fakes.empty());
  view["kill_ops"] = std::move(ops);
  view["judges"] = std::move(judges);
  view["kill_rows"] = std::move(rows);
  view["kill_sentence"] = kill_sentence(s);
  view["killed_all"] = str_cat(s.kills.killed, " / ", s.kills.worn());
  view["missed_all"] = missed_shares(s.kills);
}

void add_kernels(View& view, const Summary& s) {
  View list = make_list();
  bool any_seen = false;
  for (const KernelFamily& family : s.kernels) {
    View item, unseen = make_list();
    for (const std::string& expression : family.unseen) unseen << View(expression);
    const std::size_t exported =
        family.exported ? family.witnessed.size() + family.unseen.size() : 0;
    const double share = exported ? double(family.witnessed.size()) / double(exported) : 1;
    any_seen |= !family.witnessed.empty();
    item["name"] = family.name;
    item["seen"] = std::to_string(family.witnessed.size());
    item["exported"] = family.exported ? std::to_string(exported) : std::string("-");
    item["is_exported"] = flag(family.exported);
    item["checks"] = format_count(family.records);
    item["bar"] = family.exported ? bar(share, share < 1 ? "h3" : "h0",
                                        str_cat(family.witnessed.size(), " of ", exported))
                                  : std::string();
    item["has_unseen"] = flag(!family.unseen.empty());
    item["unseen_count"] = str_cat(family.unseen.size(), " never seen");
    item["unseen"] = std::move(unseen);
    list << item;
  }
  view["has_kernels"] = flag(!s.kernels.empty());
  view["kernels"] = std::move(list);
  const std::int64_t unseen = s.exported - s.exported_witnessed;
  std::string sentence =
      any_seen ? str_cat(format_count(s.exported_witnessed), " of ", format_count(s.exported),
                         " exported kernels were seen to run.")
               : std::string("No kernel was seen to run: nobody watched, or nothing was launched.");
  if (any_seen && unseen > 0)
    sentence += str_cat(" The other ", format_count(unseen),
                        " are holes: nothing here says that they work.");
  view["kernel_sentence"] = sentence;
}

}  // namespace flame::reports
