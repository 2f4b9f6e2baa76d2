// Bench runs made by hand, for tests.
#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "reports/bench_record.h"
#include "reports/history/store.h"

namespace flame::history {

inline records::BenchRow bench_row(const std::string& op, double median_us) {
  records::BenchRow row;
  row.case_name = op == records::kRoofOp ? records::kRoofCopy : "large";
  row.op = op;
  row.direction = "forward";
  row.dtype = "float32";
  row.sizes = "8192x8192";
  row.compute_mode = "float32";
  row.temperature = "cold";
  row.implementation = "flame";
  row.samples = 11;
  row.median_us = median_us;
  for (int i = -5; i <= 5; ++i) row.times_us.push_back(median_us * (1 + 0.0005 * i));
  row.min_us = row.times_us.front();
  row.q1_us = median_us * 0.9985;
  row.q3_us = median_us * 1.0015;
  row.bytes = 2.0 * 8192 * 8192 * 4;
  row.share_copy = 0.95;
  row.harness = "1";
  row.gpu = "H200";
  row.driver = "580.1";
  row.cuda = "13.0";
  return row;
}

inline records::RunManifest manifest(const std::string& started_utc) {
  records::RunManifest m;
  m.device_kind = "gpu";
  m.device_name = "H200";
  m.commit = "abc";
  m.command = "flame bench";
  m.started_utc = started_utc;
  return m;
}

// The night `n` days after an arbitrary one.
inline std::string night(int n) {
  char text[32];
  std::snprintf(text, sizeof text, "2026-%02d-%02dT02:00:00Z", 1 + n / 28, 1 + n % 28);
  return text;
}

inline RunInput bench_input(int n, std::vector<records::BenchRow> rows) {
  RunInput run;
  run.manifest = manifest(night(n));
  run.rows = std::move(rows);
  run.content = "content of night " + std::to_string(n);
  return run;
}

}  // namespace flame::history
