// The performance page says what the rows say: every cell is looked up in the records again.
#include "reports/performance_page.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <regex>

#include "lib/core/error.h"
#include "reports/charts.h"
#include "reports/performance_charts.h"
#include "reports/tests/performance_runs.h"

namespace flame::reports {
namespace {

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

// What stands between `from` and `to`, again and again. By hand: std::regex recurses once a
// character.
std::vector<std::string> all_between(const std::string& text, const std::string& from,
                                     const std::string& to) {
  std::vector<std::string> out;
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos;) {
    at += from.size();
    const std::size_t end = std::min(text.find(to, at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string without(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at; (at = text.find(from)) != std::string::npos;)
    text.erase(at, text.find(to, at) + to.size() - at);
  return text;
}
std::string without_style(const std::string& svg) { return without(svg, "<style>", "</style>"); }

// The text of every cell of the table's rows.
std::vector<std::vector<std::string>> cells_of(const std::string& html) {
  const std::size_t from = html.find("<tbody>", html.find("id=\"rows\""));
  const std::string body = html.substr(from, html.find("</tbody>", from) - from);
  std::vector<std::vector<std::string>> out;
  for (const std::string& row : all_between(body, "<tr", "</tr>")) {
    out.emplace_back();
    for (const std::string& cell : all_between(row.substr(row.find('>') + 1), "<t", "</t"))
      out.back().push_back(without("<" + cell, "<", ">"));
  }
  return out;
}

// Every tag that is opened is closed, in order; quotes are in pairs, and text holds no bracket.
void expect_balanced(const std::string& xml) {
  std::vector<std::string> open;
  std::size_t at = 0;
  while (at < xml.size()) {
    const std::size_t begin = std::min(xml.find('<', at), xml.size());
    ASSERT_EQ(xml.substr(at, begin - at).find('>'), std::string::npos);
    if (begin == xml.size()) break;
    const std::size_t end = xml.find('>', begin);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = xml.substr(begin + 1, end - begin - 1);
    ASSERT_EQ(tag.find('<'), std::string::npos) << tag;
    ASSERT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    if (tag.starts_with('/')) {
      ASSERT_FALSE(open.empty()) << tag;
      ASSERT_EQ("/" + open.back(), tag);
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
    at = end + 1;
  }
  EXPECT_TRUE(open.empty());
}

TEST(PerformancePage, EveryCellIsARecords) {
  const BenchRun run = a_run();
  const BenchItems items = collect_items(run);
  const auto rows = cells_of(pages_of(run).html);
  ASSERT_EQ(rows.size(), items.items.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const BenchRow& row = *items.items[i].flame;
    const auto& cells = rows[i];
    ASSERT_EQ(cells.size(), 10u + 2 * items.peers.size());
    EXPECT_EQ(cells[0], row.op);
    EXPECT_EQ(cells[1], row.case_name);
    EXPECT_EQ(cells[3], row.compute_mode == "tf32" ? "tf32" : row.dtype);
    EXPECT_TRUE(cells[4].starts_with(fixed(row.median_us, 1))) << cells[4];
    EXPECT_EQ(has(cells[4], "r 200"), row.r > 1);
    EXPECT_EQ(cells[5], fixed(100 * (row.q3_us - row.q1_us) / 2 / row.median_us, 1));
    EXPECT_EQ(cells[6], fixed(row.bytes / row.median_us * 1e-3, 0));
    EXPECT_EQ(cells[7], fixed(row.flops / row.median_us * 1e-6, 2));
    const Share share = items.share_of(row);
    EXPECT_EQ(cells[8], percent_text(share.value) + " " + roof_title(share.roof));
    for (std::size_t p = 0; p < items.peers.size(); ++p) {
      const BenchRow* best = nullptr;
      for (const Peer& peer : items.items[i].peers)
        if (peer.name == items.peers[p]) best = peer.best;
      EXPECT_EQ(cells[10 + 2 * p], best ? ratio_text(best->ratio) : "");
    }
  }
}

TEST(PerformancePage, MarkdownHoldsTheSameRows) {
  const BenchRun run = a_run();
  const std::string md = pages_of(run).markdown;
  EXPECT_TRUE(has(md, "| alpha | large | fwd | float32 | 131.2 |")) << md;
  EXPECT_TRUE(has(md, "| beta | large | fwd | tf32 | 2900.0 |"));
  EXPECT_TRUE(has(md, "1.25× 1.24–1.26 compile"));
  EXPECT_TRUE(has(md, "3 measurements of 2 ops on H200, beside cuBLASLt and PyTorch"));
  EXPECT_TRUE(has(md, "24 hours old"));
}

TEST(PerformancePage, ManyPeersFitTheScreen) {
  BenchRun run = a_run();
  run.rows.push_back(of_peer(run.rows[2], "cub", 1.1));
  const auto rows = cells_of(pages_of(run).html);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].size(), 10u + 3);
  EXPECT_TRUE(has(pages_of(run).html, "1.09× to 1.11×"));
}

TEST(PerformancePage, SummaryIsALineAnOp) {
  const std::string md = pages_of(a_run()).summary_markdown;
  EXPECT_EQ(times(md, "\n|"), 3u) << md;
  EXPECT_TRUE(has(md, "| alpha | 95 % | 48 % | 1.25× (1.25 to 1.25) | - |")) << md;
}

TEST(PerformancePage, ChartsAreWellFormedAndHoldEveryRow) {
  const BenchRun run = a_run();
  const PerformancePages pages = pages_of(run);
  expect_balanced(without_style(pages.chart_svg));
  const BenchItems items = collect_items(run);
  const std::string roofline = roofline_chart(items).inline_text();
  expect_balanced(roofline);
  for (const Roof& roof : items.roofs) EXPECT_TRUE(has(roofline, roof_title(roof.name) + " "));
  for (const BenchItem& item : items.items) {
    EXPECT_TRUE(has(roofline, title_of(*item.flame)));
    EXPECT_TRUE(has(pages.chart_svg, title_of(*item.flame)));
  }
  EXPECT_EQ(times(roofline, "hollow\"/>"), 2u);  // the backward row and the legend
  expect_balanced(peer_bars(items, "alpha"));
  EXPECT_EQ(times(peer_bars(items, "alpha"), "<rect"), 2u);
  EXPECT_EQ(peer_bars(items, "gamma"), "");
  expect_balanced(monitor_strip(run, Monitor::kClock));
}

TEST(PerformancePage, WithoutPeersRoofsOrRows) {
  BenchRun run = a_run();
  run.rows = {bench_row("alpha", 100)};
  const PerformancePages alone = pages_of(run);
  EXPECT_TRUE(has(alone.html, "No peer was timed"));
  EXPECT_TRUE(has(alone.html, "No clock, power or throttle reason was recorded."));
  expect_balanced(without_style(alone.chart_svg));
  run.rows.clear();
  const PerformancePages none = pages_of(run);
  EXPECT_TRUE(has(none.html, "0 measurements of 0 ops"));
  EXPECT_TRUE(cells_of(none.html).empty());
}

TEST(PerformancePage, WhatWasNotMeasuredSaysWhy) {
  BenchRun run = a_run();
  BenchRow& row = run.rows[4];
  row.samples = 0;
  row.median_us = row.q1_us = row.q3_us = row.min_us = -1;
  row.ratio = row.ratio_min = row.ratio_max = -1;
  row.reason = "no such | compiler";
  const PerformancePages pages = pages_of(run);
  EXPECT_TRUE(has(pages.html, "no such | compiler"));
  EXPECT_TRUE(has(pages.markdown, "no such \\| compiler"));
}

TEST(PerformancePage, KernelsByFile) {
  PerformanceInput input{a_run(), {}, ""};
  EXPECT_FALSE(has(make_performance_pages(input, kNow).html, "id=\"kernels\""));
  input.kernels = {
      {"norm.cu", "layer<float>", "sm_90a", "NVRTC 13.0", 1.25, 64, 256, 0, 0, 0, 2048},
      {"norm.cu", "layer<double>", "sm_90a", "NVRTC 13.0", 2.5, 128, 256, 64, 0, 0, 1024},
      {"unary.cu", "exp<float>", "sm_90a", "NVRTC 13.0", -1, 32, 0, 0, 0, 0, 512}};
  const PerformancePages pages = make_performance_pages(input, kNow);
  EXPECT_TRUE(has(pages.markdown, "| norm.cu | 2 | 3.8 | 2.50 | 128 | 64 | 0 | 3.0 |"))
      << pages.markdown;
  EXPECT_TRUE(has(pages.markdown, "| unary.cu | 1 | cached | cached | 32 | 0 | 0 | 0.5 |"));
  EXPECT_TRUE(has(pages.markdown, "2 were compiled, in 3.8 s of one processor together"));
  EXPECT_TRUE(has(pages.html, "None spills a register."));
  EXPECT_TRUE(has(pages.html, "layer&lt;double&gt;"));
  input.kernels[0].spill_bytes = 24;
  EXPECT_TRUE(has(make_performance_pages(input, kNow).html, "1 spill registers, up to 24 bytes"));
}

TEST(PerformancePage, NamesAreText) {
  const std::string evil = "</title><script>alert(\"1\")</script> | `x` & \x01 'y'";
  BenchRun run = a_run();
  run.manifest.device_name = run.manifest.command = run.manifest.commit = evil;
  run.manifest.started_utc = evil;
  for (records::OpInfo& op : run.manifest.ops) op.kernels = {evil};
  run.manifest.ops[0].name = evil;
  for (BenchRow& row : run.rows) {
    if (row.op == "alpha") row.op = evil;
    row.case_name = row.op == records::kRoofOp ? row.case_name : evil;
    row.sizes = row.throttle = row.gpu = evil;
    row.sm_clock_mhz = 1000;
    if (row.implementation != "flame") row.implementation = "pytorch_" + evil;
  }
  run.rows.push_back(run.rows[2]);
  run.rows.back().samples = 0;
  run.rows.back().reason = run.rows.back().sizes = evil + evil;
  PerformanceInput input{run, history::compare_runs(run, run), evil};
  input.kernels = {{evil, evil, evil, evil, 1, 1, 1, 1, 1, 1, 1}};
  const PerformancePages pages = make_performance_pages(input, kNow);
  EXPECT_EQ(times(pages.html, "<script"), 1u);
  EXPECT_EQ(times(pages.html, "</title>"), times(pages.html, "<title>"));
  EXPECT_FALSE(has(pages.chart_svg, "<script"));
  EXPECT_FALSE(has(pages.markdown, "<script"));
  EXPECT_FALSE(has(pages.summary_markdown, "<script"));
  expect_balanced(without_style(pages.chart_svg));
  EXPECT_FALSE(has(pages.chart_svg, "\x01"));
}

// What the reader of records lets through must neither hang a chart nor leave its frame.
TEST(PerformancePage, AbsurdNumbersStayOnThePage) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<std::function<void(BenchRow&)>> absurd{
      [](BenchRow& r) { r.median_us = r.min_us = r.q1_us = r.q3_us = 1e-320; },
      [](BenchRow& r) { r.median_us = r.min_us = r.q1_us = r.q3_us = 1e308; },
      [](BenchRow& r) {
        r.times_us = {1e-300, 1e308, 1e-300, 1e308, 1e-300};
      },
      [](BenchRow& r) { r.bytes = 1e308, r.flops = 1e-308; },
      [](BenchRow& r) { r.bytes = 1e-308, r.flops = 1e308; },
      [inf](BenchRow& r) { r.ratio = r.ratio_max = inf, r.ratio_min = 1e-300; },
      [](BenchRow& r) { r.ratio = r.ratio_max = r.ratio_min = 1e-300; },
      [](BenchRow& r) { r.sm_clock_mhz = r.power_w = 1e308; }};
  for (std::size_t i = 0; i < absurd.size(); ++i) {
    for (std::size_t one = 0; one <= a_run().rows.size(); ++one) {
      BenchRun run = a_run();
      for (std::size_t k = 0; k < run.rows.size(); ++k)
        if (one == k || one == run.rows.size()) absurd[i](run.rows[k]);
      const PerformancePages pages = pages_of(run);
      for (const char* attribute : {" x", " y", " x1", " x2", " y1", " y2", " cx", " cy", " d"})
        for (const std::string& v : all_between(pages.html, std::string(attribute) + "=\"", "\""))
          EXPECT_EQ(v.find_first_of("nif"), std::string::npos) << i << " in row " << one << v;
      EXPECT_LT(pages.html.size(), 300000u);
    }
  }
}

TEST(PerformancePage, AsksNothingOfANetwork) {
  const std::string html = pages_of(a_run()).html;
  for (const char* reach : {"http:", "https:", "src=", "@import", "url(", "//cdn"})
    EXPECT_FALSE(has(html, reach)) << reach;
}

TEST(PerformancePage, ASimulatedTimeIsCalledSo) {
  BenchRun run = a_run();
  EXPECT_FALSE(has(pages_of(run).html, "say nothing of any GPU"));
  run.manifest.device_kind = "simulated";
  EXPECT_TRUE(has(pages_of(run).html, "say nothing of any GPU"));
  EXPECT_TRUE(has(pages_of(run).markdown, "say nothing of any GPU"));
}

TEST(PerformancePage, VerdictsOfAComparison) {
  const BenchRun before = a_run();
  BenchRun after = before;
  for (double* t : {&after.rows[2].median_us, &after.rows[2].q1_us, &after.rows[2].q3_us,
                    &after.rows[2].min_us})
    *t *= 1.2;
  for (double& t : after.rows[2].times_us) t *= 1.2;
  const PerformanceInput input{after, history::compare_runs(before, after), "before"};
  const std::string html = make_performance_pages(input, kNow).html;
  const auto rows = cells_of(html);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].back(), "SLOWER");
  EXPECT_EQ(rows[2].back(), "SAME");
  EXPECT_TRUE(has(html, "<code>before</code>"));
  EXPECT_FALSE(has(pages_of(after).html, "class=\"verdictword"));
}

class PerformanceFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    // Tests run at the same time, each in a process of its own.
    root_ = std::filesystem::path(::testing::TempDir()) /
            str_cat("flame_performance_folder_", ::getpid());
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    std::ofstream(root_ / "run.json") << records::to_json(a_run().manifest);
    for (const BenchRow& row : a_run().rows) rows_ += records::to_line(row) + "\n";
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string error_of(const std::string& rows) {
    std::ofstream(root_ / "bench.jsonl") << rows;
    try {
      write_performance_pages({records::read_bench(root_.string()), {}, ""}, root_.string());
    } catch (const FileError& e) {
      return e.what();
    }
    return "";
  }
  std::filesystem::path root_;
  std::string rows_;
};

TEST_F(PerformanceFolder, WritesFourFiles) {
  EXPECT_EQ(error_of(rows_), "");
  for (const char* file :
       {"performance.html", "performance.md", "performance_summary.md", "performance.svg"})
    EXPECT_GT(std::filesystem::file_size(root_ / file), 100u) << file;
}

TEST_F(PerformanceFolder, NumbersThatAreNoneAreOneError) {
  const std::regex median("\"median_us\":[0-9.]+"), bytes("\"bytes\":[0-9.]+");
  const auto first = std::regex_constants::format_first_only;
  for (const char* value : {"\"nan\"", "\"inf\"", "-5.0", "null", "\"fast\""}) {
    const std::string bad = std::string("\"median_us\":") + value;
    EXPECT_TRUE(has(error_of(std::regex_replace(rows_, median, bad, first)), "bench.jsonl:1"))
        << value;
    const std::string none = std::string("\"bytes\":") + value;
    EXPECT_TRUE(has(error_of(std::regex_replace(rows_, bytes, none, first)), "bench.jsonl:1"))
        << value;
  }
  EXPECT_TRUE(
      has(error_of(std::regex_replace(rows_, std::regex("\"dtype\":\"float32\","), "", first)),
          "\"dtype\" is missing"));
  EXPECT_FALSE(std::filesystem::exists(root_ / "performance.html"));
}

// Copies of less are told from the roof: they are in a table of their own, and beside each row.
TEST(PerformancePage, CopiesOfLessAreNoRoofs) {
  BenchRun run = a_run();
  for (BenchRow& row : run.rows)
    if (row.op == "alpha" && row.implementation == "flame") row.share_same_size = 0.987;
  for (const auto& [by, us] : {std::pair("driver", 18.0), std::pair("kernel_one", 17.0)}) {
    BenchRow small = bench_row("roof", us);
    small.op = kProbeOp;
    small.implementation = by;
    small.sizes = "(8388608)";
    small.bytes = 64 << 20;
    run.rows.push_back(small);
  }
  BenchRow absurd = run.rows.back();  // faster than any roof
  absurd.sizes = "(16777216)";
  absurd.bytes *= 2;
  run.rows.push_back(absurd);
  const BenchItems items = collect_items(run);
  EXPECT_EQ(items.roof("copy")->row->implementation, "driver");
  EXPECT_EQ(items.roof("copy")->row->op, "roof");
  ASSERT_EQ(items.sizes.size(), 2u);
  EXPECT_EQ(items.sizes.begin()->second.at("copy")->implementation, "kernel_one") << "the faster";
  const PerformancePages pages = pages_of(run);
  EXPECT_TRUE(has(pages.markdown, "| of its size |")) << pages.markdown;
  EXPECT_TRUE(has(pages.markdown, " 99 % |"));
  EXPECT_TRUE(has(pages.markdown, "| 64 MiB | 3948 |")) << pages.markdown;
  EXPECT_TRUE(has(pages.html, "of its size"));
  EXPECT_FALSE(has(pages_of(a_run()).html, "of its size")) << "old records do not say";
}

}  // namespace
}  // namespace flame::reports
