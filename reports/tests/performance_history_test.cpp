// The history's section: what the night's report says, and every night on its chart.
#include <gtest/gtest.h>

#include <regex>

#include "reports/history/tests/bench_runs.h"
#include "reports/history/tests/nights.h"
#include "reports/history_chart.h"
#include "reports/performance_page.h"

namespace flame::reports {
namespace {

using history::bench_row;
using history::Series;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Series series_of(const std::string& op, const std::vector<double>& times, int first_night = 0) {
  Series out{history::key_of(bench_row(op, 1)), {}};
  for (std::size_t i = 0; i < times.size(); ++i) {
    const int night = first_night + int(i);
    out.samples.push_back(
        {history::night(night), "c" + std::to_string(night), bench_row(op, times[i])});
  }
  return out;
}

std::vector<double> level(int nights, double us, std::uint64_t seed) {
  return history::Nights(seed, 0.002, 0).take(std::size_t(nights), us);
}

// exp slows down in the last three nights, relu got a new driver, sum has one night.
std::vector<Series> a_history() {
  std::vector<double> slow = level(37, 210, 1);
  for (const double us : level(3, 240, 2)) slow.push_back(us);
  Series before = series_of("relu", level(20, 300, 3));
  before.key.driver = "570.2";
  for (history::Sample& s : before.samples) s.row.driver = "570.2";
  return {series_of("exp", slow), before, series_of("relu", level(20, 280, 4), 20),
          series_of("sum", {100}, 39)};
}

PerformanceInput an_input() {
  PerformanceInput input;
  input.run.manifest = history::manifest(history::night(39));
  input.run.rows = {bench_row("exp", 240), bench_row("relu", 280)};
  input.series = a_history();
  input.night = history::judge_night(input.series, {}, {});
  return input;
}

TEST(HistoryChart, ASeriesIsCutWhereTheSoftwareChanges) {
  const PerformanceInput input = an_input();
  const std::vector<Track> tracks = tracks_of(*input.night, input.series);
  ASSERT_EQ(tracks.size(), 3u);
  EXPECT_EQ(tracks[0].parts.size(), 1u);
  EXPECT_EQ(tracks[0].nights(), 40u);
  const Track& relu = tracks[1];
  ASSERT_EQ(relu.parts.size(), 2u);
  EXPECT_EQ(relu.parts[0].driver, "570.2");
  EXPECT_EQ(relu.parts[1].points.size(), 20u);
  EXPECT_EQ(relu.parts[1].points.back().commit, "c39");
  EXPECT_TRUE(has(track_chart(relu), "driver 570.2 → 580.1"));
  EXPECT_FALSE(has(track_chart(relu), "CUDA"));
  EXPECT_FALSE(has(track_chart(tracks[0]), "class=\"break\""));
}

TEST(HistoryChart, EveryNightIsAPoint) {
  const PerformanceInput input = an_input();
  for (const Track& track : tracks_of(*input.night, input.series)) {
    const std::string chart = track_chart(track);
    std::size_t dots = 0;
    for (std::size_t at = 0; (at = chart.find("h0", at)) != std::string::npos; ++at) ++dots;
    EXPECT_EQ(dots, track.nights());
    EXPECT_FALSE(has(chart, "nan"));
    EXPECT_FALSE(has(sparkline(track), "nan"));
  }
}

TEST(HistoryChart, AChangePointStandsBetweenItsCommits) {
  std::vector<double> times = level(25, 200, 5);
  for (const double us : level(25, 220, 6)) times.push_back(us);
  const std::vector<Series> all{series_of("exp", times)};
  const history::NightReport report = history::judge_night(all, {}, {});
  ASSERT_EQ(report.series[0].judgement.changes.size(), 1u);
  const std::string chart = track_chart(tracks_of(report, all)[0]);
  EXPECT_TRUE(has(chart, "class=\"change worse\""));
  EXPECT_TRUE(has(chart, "between c24 and c25")) << chart;
}

TEST(PerformanceHistory, ThePageSaysWhatTheNightSays) {
  const PerformanceInput input = an_input();
  const Time now{};
  const PerformancePages pages = make_performance_pages(input, now);
  EXPECT_TRUE(has(pages.html, "The night of " + history::night(39).substr(0, 10) +
                                  ": SLOWER 1, SAME 1, NO-DATA 1. 1 series ended"));
  EXPECT_TRUE(has(pages.html, "1 series have a single night"));
  // The slow one comes first, and its row in the table carries the verdict.
  EXPECT_LT(pages.markdown.find("| exp large fwd float32 | 40 |"),
            pages.markdown.find("| relu large fwd float32 | 40 |"));
  EXPECT_TRUE(
      std::regex_search(pages.markdown, std::regex("\\n\\| exp \\| large \\|.*\\| SLOWER \\|\\n")));
  EXPECT_TRUE(
      std::regex_search(pages.markdown, std::regex("\\n\\| relu \\| large \\|.*\\| SAME \\|\\n")));
}

TEST(PerformanceHistory, WithoutOneThereIsNoSection) {
  PerformanceInput input = an_input();
  input.night.reset();
  const PerformancePages pages = make_performance_pages(input, Time{});
  EXPECT_FALSE(has(pages.html, "id=\"history\""));
  EXPECT_FALSE(has(pages.markdown, "## History"));
}

TEST(PerformanceHistory, CommitsAreText) {
  PerformanceInput input = an_input();
  const std::string evil = "</text><script>x</script>";
  for (Series& s : input.series)
    for (history::Sample& sample : s.samples) sample.commit = evil;
  for (Series& s : input.series) s.key.case_name = s.key.case_name + evil;
  for (Series& s : input.series)
    if (s.key.driver == "570.2") s.key.driver = evil;
  input.night = history::judge_night(input.series, {}, {});
  const std::string html = make_performance_pages(input, Time{}).html;
  EXPECT_EQ(html.find("<script", html.find("<script") + 1), std::string::npos);
}

}  // namespace
}  // namespace flame::reports
