// The record of a measurement: what is written is read, and what cannot be true is refused.
#include "reports/bench_record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"

namespace flame::records {
namespace {

using Json = nlohmann::ordered_json;

BenchRow a_row() {
  BenchRow row;
  row.case_name = "large";
  row.op = "softmax";
  row.direction = "forward_backward";
  row.dtype = "bfloat16";
  row.sizes = "8192x8192";
  row.compute_mode = "bfloat16";
  row.temperature = "cold";
  row.implementation = "pytorch_compile";
  row.samples = 5;
  row.median_us = 100;
  row.q1_us = 99;
  row.q3_us = 102;
  row.min_us = 98;
  row.times_us = {100, 98, 102, 99, 110};
  row.flops = 1e9;
  row.bytes = 2e8;
  row.share_copy = 0.5;
  row.ratio = 1.7;
  row.ratio_min = 1.6;
  row.ratio_max = 1.8;
  row.r = 0.25;
  row.sm_clock_mhz = 1980;
  row.power_w = 512.5;
  row.throttle = "sw_power_cap";
  row.harness = "1";
  row.gpu = "NVIDIA H200";
  row.driver = "580.65";
  row.cuda = "13.0";
  return row;
}

TEST(BenchRecordTest, WhatIsWrittenIsRead) {
  const std::string line = to_line(a_row());
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(to_line(parse_bench_row(line)), line);
  const BenchRow row = parse_bench_row(line);
  EXPECT_EQ(row.times_us, a_row().times_us);
  EXPECT_EQ(row.throttle, "sw_power_cap");
  EXPECT_DOUBLE_EQ(row.gbps(), 2000);
  EXPECT_DOUBLE_EQ(row.tflops(), 10);
  BenchRow wrong = a_row();
  wrong.r = std::nan("");
  EXPECT_TRUE(std::isnan(parse_bench_row(to_line(wrong)).r));
}

TEST(BenchRecordTest, EveryFieldIsNeededAndNoOtherIsTaken) {
  const Json whole = Json::parse(to_line(a_row()));
  for (const auto& [key, value] : whole.items()) {
    Json less = whole, other = whole;
    less.erase(key);
    EXPECT_THROW(parse_bench_row(less.dump()), FileError) << key;
    other[key] = Json::object();
    EXPECT_THROW(parse_bench_row(other.dump()), FileError) << key;
  }
  Json more = whole;
  more["host_name"] = "x";
  EXPECT_THROW(parse_bench_row(more.dump()), FileError);
  EXPECT_THROW(parse_bench_row("{\"schema\":\"flame-bench/1\",\"schema\":\"flame-bench/1\"}"),
               FileError);
  for (const char* text : {"", "[]", "null", "{", "{}", "{\"schema\":\"flame-record/1\"}"})
    EXPECT_THROW(parse_bench_row(text), FileError) << text;
}

TEST(BenchRecordTest, ContradictionsAreRefused) {
  const std::function<void(BenchRow&)> wrongs[] = {
      [](BenchRow& r) { r.op = ""; },
      [](BenchRow& r) { r.gpu = ""; },
      [](BenchRow& r) { r.harness = ""; },
      [](BenchRow& r) { r.direction = "sideways"; },
      [](BenchRow& r) { r.temperature = "tepid"; },
      [](BenchRow& r) { r.op = kRoofOp; },
      [](BenchRow& r) { r.median_us = std::nan(""); },
      [](BenchRow& r) { r.median_us = 0; },
      [](BenchRow& r) { r.q1_us = 101; },
      [](BenchRow& r) { r.q3_us = INFINITY; },
      [](BenchRow& r) { r.min_us = -1; },
      [](BenchRow& r) { r.samples = 0; },
      [](BenchRow& r) { r.samples = 4; },
      [](BenchRow& r) { r.times_us[0] = 50; },
      [](BenchRow& r) { r.reason = "out of memory"; },
      [](BenchRow& r) { r.share_copy = -0.5; },
      [](BenchRow& r) { r.flops = std::nan(""); },
      [](BenchRow& r) { r.ratio = 2; },
      [](BenchRow& r) { r.ratio = -1; },
  };
  int number = 0;
  for (const auto& wrong : wrongs) {
    BenchRow row = a_row();
    wrong(row);
    EXPECT_THROW(parse_bench_row(to_line(row)), FileError) << "number " << number;
    ++number;
  }
}

TEST(BenchRecordTest, WhatWasNotMeasuredSaysWhy) {
  BenchRow row = a_row();
  row.samples = 0;
  row.median_us = row.q1_us = row.q3_us = row.min_us = -1;
  row.times_us.clear();
  EXPECT_THROW(parse_bench_row(to_line(row)), FileError);
  row.reason = "out of memory";
  EXPECT_EQ(parse_bench_row(to_line(row)).reason, "out of memory");
}

TEST(BenchRecordTest, NothingIsFasterThanTheDevice) {
  const Datasheet sheet{4.8e12, 989e12};
  BenchRow row = a_row();
  row.bytes = 4.7e12 * row.min_us * 1e-6;
  EXPECT_EQ(physical_violation(row, sheet), "");
  row.bytes = 4.9e12 * row.min_us * 1e-6;
  EXPECT_NE(physical_violation(row, sheet).find("4900 GB/s"), std::string::npos)
      << physical_violation(row, sheet);
  row.temperature = "hot";
  EXPECT_EQ(physical_violation(row, sheet), "") << "may come from the L2";
  row.flops = 1000e12 * row.min_us * 1e-6;
  EXPECT_NE(physical_violation(row, sheet), "");
  EXPECT_EQ(physical_violation(row, {}), "") << "nothing is known of this device";
}

TEST(BenchRecordTest, WritesMayStayInTheCacheAndColdReadsMayNot) {
  const Datasheet sheet{4.8e12, 989e12, 60e6};
  BenchRow row = a_row();
  row.direction = "forward";
  row.min_us = 10;  // 48 MB
  row.bytes = 64e6;
  row.written = 0;
  EXPECT_NE(physical_violation(row, sheet), "") << "64 MB read";
  row.written = 16.1e6;
  EXPECT_EQ(physical_violation(row, sheet), "") << "16 MB of them written, and still in the L2";
  row.bytes = 120e6;
  row.written = 64e6;
  EXPECT_NE(physical_violation(row, sheet), "") << "60 MB may stay, 60 came and went";
  row.direction = "forward_backward";
  EXPECT_EQ(physical_violation(row, sheet), "") << "backward may find what forward read";
  row.bytes = row.written = 0;
  row.view = true;
  EXPECT_EQ(physical_violation(row, sheet), "") << "a view moves nothing";
}

TEST(BenchRecordTest, FieldsThatALineMayLackAreReadBack) {
  BenchRow row = a_row();
  EXPECT_EQ(to_line(row).find("view"), std::string::npos);
  EXPECT_EQ(parse_bench_row(to_line(row)).written, -1);
  row.view = true;
  row.written = 1e8;
  EXPECT_TRUE(parse_bench_row(to_line(row)).view);
  EXPECT_EQ(parse_bench_row(to_line(row)).written, 1e8);
  EXPECT_EQ(parse_bench_row(to_line(row)).share_same_size, -1);
  row.share_same_size = 0.98;
  EXPECT_EQ(parse_bench_row(to_line(row)).share_same_size, 0.98);
  row.written = 3e8;  // of 2e8
  EXPECT_THROW(parse_bench_row(to_line(row)), FileError);
}

TEST(BenchRecordTest, ErrorsNameFileAndLine) {
  const auto root = std::filesystem::path(::testing::TempDir()) / "flame_bench_record";
  std::filesystem::remove_all(root);
  std::filesystem::create_directories(root);
  RunManifest manifest;
  manifest.device_kind = "gpu";
  std::ofstream(root / "run.json") << to_json(manifest);
  std::ofstream(root / "bench.jsonl") << to_line(a_row()) << "\n{}\n";
  try {
    read_bench(root.string());
    ADD_FAILURE();
  } catch (const FileError& e) {
    EXPECT_NE(std::string(e.what()).find("bench.jsonl:2: "), std::string::npos) << e.what();
  }
  std::ofstream(root / "bench.jsonl") << to_line(a_row()) << "\n";
  EXPECT_EQ(read_bench(root.string()).rows.size(), 1u);
  EXPECT_TRUE(has_bench(root.string()));
  std::filesystem::remove(root / "run.json");
  EXPECT_THROW(read_bench(root.string()), FileError);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace flame::records
