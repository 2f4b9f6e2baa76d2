// A bench run made by hand, for the tests of its page.
#pragma once
#include <string>

#include "reports/history/tests/bench_runs.h"
#include "reports/performance_page.h"

namespace flame::reports {

using history::bench_row;

inline constexpr Time kNow{std::chrono::sys_days(std::chrono::year(2026) / 1 / 2)};

inline BenchRow of_peer(BenchRow row, const std::string& implementation, double ratio) {
  row.implementation = implementation;
  for (double* t : {&row.median_us, &row.q1_us, &row.q3_us, &row.min_us}) *t *= ratio;
  row.times_us.clear();
  row.ratio = ratio;
  row.ratio_min = ratio * 0.99;
  row.ratio_max = ratio * 1.01;
  row.r = 0.5;
  return row;
}

inline BenchRow gemm_roof(const std::string& name, double median_us) {
  BenchRow row = bench_row("roof", median_us);
  row.case_name = name;
  row.implementation = "cublaslt";
  row.flops = 2.0 * 8192 * 8192 * 8192;
  return row;
}

// Two ops, a matrix product in TF32, a peer with two ways, roofs.
inline BenchRun a_run() {
  BenchRun run;
  run.manifest = history::manifest("2026-01-01T00:00:00Z");
  run.manifest.ops = {{"alpha", "compute", true, {"float32"}, {"unary_forward<A,*>"}},
                      {"beta", "compute", true, {"float32"}, {"gemm_*"}}};
  BenchRow alpha = bench_row("alpha", 131.25);
  alpha.r = 0.25;
  alpha.flops = 8192.0 * 8192;
  BenchRow back = alpha;
  back.direction = "backward";
  back.median_us = back.min_us = back.q1_us = back.q3_us = 260.5;
  back.times_us.clear();
  BenchRow beta = bench_row("beta", 2900);
  beta.compute_mode = "tf32";
  beta.flops = 2.0 * 8192 * 8192 * 8192;
  beta.r = 200;
  BenchRow slow_copy = bench_row("roof", 130);
  BenchRow fast_copy = bench_row("roof", 125);
  fast_copy.implementation = "driver";
  BenchRow tf32 = gemm_roof("gemm_tf32", 2800);
  tf32.op = kProbeOp;
  run.rows = {beta,
              of_peer(beta, "cublaslt_tuned", 0.98),
              alpha,
              of_peer(alpha, "pytorch_eager", 1.5),
              of_peer(alpha, "pytorch_compile", 1.25),
              back,
              of_peer(back, "pytorch_eager", 0.75),
              slow_copy,
              fast_copy,
              gemm_roof("gemm_f32", 21000),
              tf32};
  return run;
}

inline PerformancePages pages_of(const BenchRun& run) {
  return make_performance_pages({run, {}, ""}, kNow);
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace flame::reports
