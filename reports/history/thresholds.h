// Floors and targets: what a figure must reach from the first night on, whatever its history says.
#pragma once
#include <string>
#include <vector>

#include "reports/bench_record.h"

namespace flame::history {

// Names are shell patterns, also "@(sum|mean)"; an empty one matches everything. Limits that are -1
// do not apply. Only FLAME's own rows are held to anything.
struct Floor {
  std::string op, case_name, direction, dtype, compute_mode, temperature, gpu;
  double least_bytes = 0;  // rows that move less are not held
  double min_share_copy = -1, min_share_read = -1, min_share_gemm_bf16 = -1,
         min_share_gemm_f32 = -1;
  double min_gbps = -1, min_tflops = -1, max_us = -1;
  // The time of the fastest implementation that matches `peer` over FLAME's: of every row, and in
  // the geometric mean of all rows that are held.
  std::string peer;
  double min_ratio = -1, min_mean_ratio = -1;
  std::string because;  // why this number; never empty
  bool target = false;  // aimed at: missing it is told and fails nothing

  bool names(const records::BenchRow& row) const;  // by the patterns alone
  bool matches(const records::BenchRow& row) const;
  bool wants_peer() const { return min_ratio > 0 || min_mean_ratio > 0; }
  // Why the row is below; empty where it is not. A figure that the row lacks is below. `ratio`: to
  // the fastest of the peers, where wants_peer().
  std::string missed_by(const records::BenchRow& row, double ratio) const;
  std::string name() const;  // "softmax forward float32"
};

// What holds rows below a target: told beside those that miss one.
struct Explanation {
  Floor rows;  // its patterns
  std::string because;
};

struct Thresholds {
  std::vector<Floor> floors;              // and targets, in the order of the file
  std::vector<Explanation> explanations;  // the first that names a row is the row's
  // Null where there is none.
  const Explanation* explanation_of(const records::BenchRow& row) const;
};
// A TOML file of [[floor]], [[target]] and [[explanation]] tables, keys named as above. Throws
// FileError naming file and line on an unknown key, a value of another type, a ratio without a
// peer, a floor without a limit and anything without a reason.
Thresholds read_thresholds(const std::string& path);

}  // namespace flame::history
