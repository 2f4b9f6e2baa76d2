// The record of one measurement: one JSON line of bench.jsonl, beside run.json in a run's folder.
// docs/records.md is its schema. Knows nothing of CUDA or of ops.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "reports/record.h"

namespace flame::records {

inline constexpr const char* kBenchSchema = "flame-bench/1";
// The op of the run's probes: what the device itself reached in this run. Their cases are kRoofs.
inline constexpr const char* kRoofOp = "roof";
// Probes beyond those that a history is kept of: "gemm_tf32", and copies, reads and fills of less.
inline constexpr const char* kProbeOp = "probe";
inline constexpr const char* kRoofCopy = "copy";           // device to device, bytes read + written
inline constexpr const char* kRoofRead = "read";           // a sum of one large tensor
inline constexpr const char* kFill = "fill";               // bytes written; only a kProbeOp
inline constexpr const char* kRoofGemmBf16 = "gemm_bf16";  // 8192 x 8192 x 8192
inline constexpr const char* kRoofGemmF32 = "gemm_f32";

// The op of what a small op costs the host. Its probe: the driver's bare launch.
inline constexpr const char* kHostOp = "host_cost";
inline constexpr const char* kRawLaunch = "cuLaunchKernel";

// One case, one direction, one implementation. Where a number does not apply it is -1.
struct BenchRow {
  std::string case_name;       // with op, direction and dtype: what was timed
  std::string op;              // as in the manifest; kRoofOp for a probe
  std::string direction;       // "forward", "backward", "forward_backward"
  std::string dtype;           // "float32"
  std::string sizes;           // "8192x8192"
  std::string compute_mode;    // "float32", "tf32", "bfloat16"
  std::string temperature;     // "cold": none of its data in the L2; "hot": it ran just before
  std::string implementation;  // "flame", "pytorch_eager", "cublaslt", ...
  std::string reason;          // why it was not measured; then samples is 0 and the figures are -1
  std::int64_t samples = 0;
  double median_us = -1, q1_us = -1, q3_us = -1, min_us = -1;
  std::vector<double> times_us;  // the samples in the order they were taken; may be left out
  double flops = -1;             // of one run, by the op's formula
  double bytes = -1;             // every input read once, every output written once
  double written = -1;           // those of `bytes` that are written
  // A result is a view: of what was given (a gradient passed on as it is) or of something smaller
  // (expanded). Its own bytes are not in `bytes`, which is 0 where nothing at all was moved.
  bool view = false;
  // Shares of what the run's own probes reached, 1 is the roof.
  double share_copy = -1, share_read = -1, share_gemm_bf16 = -1, share_gemm_f32 = -1;
  // Of what a copy (where nothing is written a read, where nothing is read a fill) of as many bytes
  // reached in this run: what a launch and its tail cost every kernel of this size is in it.
  double share_same_size = -1;
  double share_datasheet_bandwidth = -1, share_datasheet_flops = -1;
  // On a peer's row: time of the peer / time of flame over interleaved rounds; above 1 flame is
  // faster. Median, smallest and largest round.
  double ratio = -1, ratio_min = -1, ratio_max = -1;
  double r = -1;  // the judge's worst r of this implementation's output; above 1 it is wrong
  double sm_clock_mhz = -1, power_w = -1;
  std::string throttle;  // reasons, comma separated; empty for none
  std::string harness;   // version of what measured: another one starts another series
  std::string gpu, driver, cuda;

  double gbps() const { return bytes > 0 && median_us > 0 ? bytes / median_us * 1e-3 : -1; }
  double tflops() const { return flops > 0 && median_us > 0 ? flops / median_us * 1e-6 : -1; }
};

std::string to_line(const BenchRow& row);
// Throws FileError on anything malformed, of another schema, or that contradicts itself.
BenchRow parse_bench_row(const std::string& line);

// What the maker says the device can do: bytes and operations per second. The highest rates that
// apply to any dtype; 0 where unknown, and then nothing is checked against it.
struct Datasheet {
  double bytes_per_second = 0, flops_per_second = 0;
  double l2_bytes = 0;
};
// Why no such device can have done this in the fastest sample's time; empty where it can. Cold rows
// are held to the memory's bandwidth, less what of their writes the L2 can hold, and less what
// backward may find there of its forward; the data of hot ones may come from a cache.
std::string physical_violation(const BenchRow& row, const Datasheet& datasheet);

// A folder of one bench run: run.json and bench.jsonl.
struct BenchRun {
  RunManifest manifest;
  std::vector<BenchRow> rows;
};
bool has_bench(const std::string& folder);
// Throws FileError naming file and line, also where two rows measure the same thing.
BenchRun read_bench(const std::string& folder);

}  // namespace flame::records
