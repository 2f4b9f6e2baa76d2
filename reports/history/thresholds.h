// Absolute floors: what a figure must reach from the first night on, whatever its history says.
#pragma once
#include <string>
#include <vector>

#include "reports/bench_record.h"

namespace flame::history {

// Names are shell patterns; an empty one matches everything. Limits that are -1 do not apply.
struct Floor {
  std::string op, case_name, direction, dtype, compute_mode, temperature, gpu;
  double min_share_copy = -1, min_share_read = -1, min_share_gemm_bf16 = -1,
         min_share_gemm_f32 = -1;
  double min_gbps = -1, min_tflops = -1, max_us = -1;
  bool matches(const records::BenchRow& row) const;
  // Why the row is below; empty where it is not. A figure that the row lacks is below.
  std::string missed_by(const records::BenchRow& row) const;
  std::string name() const;  // "softmax forward float32"
};

struct Thresholds {
  std::vector<Floor> floors;
};
// A TOML file of [[floor]] tables, keys named as above. Throws FileError naming file and line on an
// unknown key, a value of another type and a floor without a limit.
Thresholds read_thresholds(const std::string& path);

}  // namespace flame::history
