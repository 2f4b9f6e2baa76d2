#include "reports/report.h"

#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "lib/core/error.h"
#include "reports/charts.h"
#include "reports/view.h"

namespace flame::reports {
namespace {

// "2026-11-20T10:30:00Z".
std::optional<Time> parse_utc(const std::string& text) {
  int year = 0, hour = 0, minute = 0, second = 0;
  unsigned month = 0, day = 0;
  if (std::sscanf(text.c_str(), "%d-%u-%uT%d:%d:%dZ", &year, &month, &day, &hour, &minute,
                  &second) != 6)
    return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  return Time(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute) + std::chrono::seconds(second);
}

std::string summary_table(const Run& run, const Summary& s, Time now) {
  std::string out =
      "| op | checks passed | worst r forward | worst r gradient | fakes killed |\n"
      "|---|---:|---:|---:|---:|\n";
  for (const OpLine& line : op_lines(s)) {
    const auto found = s.by_op.find(line.op);
    const std::int64_t total = found == s.by_op.end() ? 0 : found->second.total();
    out += str_cat("| ", line.op, " | ", line.passed, " of ", format_count(total), " | ",
                   line.forward, " | ", line.gradient, " | ", line.killed, " |\n");
  }
  return out + str_cat("\n", verdict_line(run, s), ". Data of ", run.manifest.started_utc, " (",
                       data_age(run.manifest.started_utc, now),
                       " old when this table was made), commit ",
                       run.manifest.commit.empty() ? "unknown" : run.manifest.commit, ".\n");
}

}  // namespace

std::string render(std::string_view name, kainjow::mustache::data view) {
  kainjow::mustache::mustache page(template_text(name));
  check<FileError>(page.is_valid(), "template ", name, ": ", page.error_message());
  return page.render(view);
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text << std::flush;
  check<FileError>(bool(out), path.string(), ": cannot be written");
}

std::string device_sentence(const Run& run, const Summary& s) {
  const records::RunManifest& m = run.manifest;
  if (!s.gpu)
    return "Everything here ran on the simulated device: the same kernel text, run by the host's "
           "processor. It proves the arithmetic and the logic; it is no evidence of any GPU.";
  if (s.gpu_proof)
    return str_cat("Everything here ran on ", m.device_name, " (", m.arch,
                   "). What ran there was witnessed by CUPTI's activity records, not by the "
                   "library's own word.");
  return str_cat("The records name ", m.device_name,
                 " as the device, and no witness saw a kernel run on it: this is not a proof of "
                 "GPU execution.");
}

std::string verdict_sentence(const Run& run, const Summary& s) {
  const char* kind = s.gpu_proof ? " (GPU, witnessed by CUPTI)" : " (GPU, not witnessed)";
  if (!s.gpu) kind = run.manifest.device_name == "simulated device" ? "" : " (simulated)";
  std::string out = str_cat(format_count(s.all.passed), " of ", format_count(s.planned),
                            " planned checks passed over ", s.by_op.size(), " ops on ",
                            run.manifest.device_name, kind);
  if (s.all.failed) out += str_cat(", ", format_count(s.all.failed), " failed");
  if (s.all.not_run) out += str_cat(", ", format_count(s.all.not_run), " not run");
  if (s.missing) out += str_cat(", ", format_count(s.missing), " without a record");
  if (s.kills.worn())
    out += str_cat("; ", format_count(s.kills.killed), " of ", format_count(s.kills.worn()),
                   " fakes killed");
  return out;
}

std::string verdict_line(const Run& run, const Summary& s) {
  std::string word = to_string(s.state);
  for (char& c : word) c = char(std::toupper(static_cast<unsigned char>(c)));
  return str_cat(word, ": ", verdict_sentence(run, s));
}

std::string data_age(const std::string& started_utc, Time now) {
  const auto made = parse_utc(started_utc);
  if (!made) return "unknown time";
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(now - *made).count();
  if (minutes < 0) return "made in the future, unknown time";
  if (minutes < 120) return str_cat(minutes, minutes == 1 ? " minute" : " minutes");
  if (minutes < 48 * 60) return str_cat(minutes / 60, " hours");
  return str_cat(minutes / (24 * 60), " days");
}

std::vector<OpLine> op_lines(const Summary& s) {
  std::vector<OpLine> out;
  const auto worst = [](const std::map<std::string, Tally>& by_op, const std::string& op) {
    const auto found = by_op.find(op);
    return format_r(found == by_op.end() ? -1 : found->second.worst_r());
  };
  for (const std::string& op : s.ops) {
    const auto found = s.by_op.find(op);
    const Tally t = found == s.by_op.end() ? Tally{} : found->second;
    const auto kills = s.kills_by_op.find(op);
    const KillTally k = kills == s.kills_by_op.end() ? KillTally{} : kills->second;
    out.push_back({op, format_count(t.passed), format_count(t.failed), format_count(t.not_run),
                   worst(s.forward, op), worst(s.gradient, op),
                   k.worn() ? str_cat(k.killed, " of ", k.worn()) : std::string("-")});
  }
  return out;
}

Pages make_pages(const Run& run, Time now) {
  const Summary s = summarise(run);
  Pages pages;
  pages.html = render("page.html", make_view(run, s, now, Format::kHtml));
  pages.markdown = render("page.md", make_view(run, s, now, Format::kMarkdown));
  pages.summary_markdown = summary_table(run, s, now);
  const std::string state = style_of(s.state);
  pages.status_svg =
      badge("flame on " + (s.gpu ? run.manifest.device_name : std::string("simulator")),
            str_cat(to_string(s.state), " · ", format_count(s.all.passed), " checks"), state);
  return pages;
}

void write_pages(const Run& run, const std::string& folder) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const Pages pages = make_pages(run, now);
  const std::filesystem::path root(folder);
  write_text(root / "report.html", pages.html);
  write_text(root / "report.md", pages.markdown);
  write_text(root / "summary.md", pages.summary_markdown);
  write_text(root / "status.svg", pages.status_svg);
}

}  // namespace flame::reports
