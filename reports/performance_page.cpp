#include "reports/performance_page.h"

#include <filesystem>

#include "lib/core/error.h"
#include "reports/performance_charts.h"
#include "reports/performance_view.h"

namespace flame::reports {
namespace {

std::string summary_of(const PerformanceInput& input, const BenchItems& items, Time now) {
  View view;
  add_op_summary(view, items, Format::kMarkdown);
  const records::RunManifest& m = input.run.manifest;
  view["sentence"] = plain(performance_sentence(input, items), Format::kMarkdown);
  view["started"] = plain(m.started_utc, Format::kMarkdown);
  view["age"] = data_age(m.started_utc, now);
  view["commit"] = m.commit.empty() ? "unknown" : plain(m.commit, Format::kMarkdown);
  return render("performance_summary.md", view);
}

}  // namespace

PerformancePages make_performance_pages(const PerformanceInput& input, Time now) {
  const BenchItems items = collect_items(input.run);
  PerformancePages pages;
  pages.html = render("performance.html", performance_view(input, items, now, Format::kHtml));
  pages.markdown = render("performance.md", performance_view(input, items, now, Format::kMarkdown));
  pages.summary_markdown = summary_of(input, items, now);
  pages.chart_svg = overview_chart(items, input.run.manifest.device_name).file_text();
  return pages;
}

void write_performance_pages(const PerformanceInput& input, const std::string& folder) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const PerformancePages pages = make_performance_pages(input, now);
  const std::filesystem::path root(folder);
  write_text(root / "performance.html", pages.html);
  write_text(root / "performance.md", pages.markdown);
  write_text(root / "performance_summary.md", pages.summary_markdown);
  write_text(root / "performance.svg", pages.chart_svg);
}

}  // namespace flame::reports
