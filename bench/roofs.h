// What the card can do: measured in this run by fixed probes, and stated by its datasheet.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/measure.h"
#include "bench/probes.h"
#include "bench/workload.h"

namespace flame::bench {

// Figures of NVIDIA's datasheets: dense, at boost clock, without sparsity.
struct Datasheet {
  std::string_view card;        // what the device's name contains: "H200"
  double gigabytes_per_second;  // of device memory
  double bfloat16_teraflops;    // tensor cores, float32 accumulation
  double float32_teraflops;     // CUDA cores
  double tf32_teraflops;        // tensor cores
};
// nullptr for a card that the table does not have.
const Datasheet* datasheet_of(std::string_view device_name);

// A probe of this run: its time at its size.
struct Roof {
  std::string op, name;        // {"roof", "copy"}, as records name them
  std::string implementation;  // "driver", "kernel", "cublaslt"
  std::string dtype, compute_mode;
  std::string sizes;
  double bytes = 0, flops = 0;
  Series series;
  double gigabytes_per_second() const;
  double teraflops() const;
};

// The measured roofs; 0 where there is none.
struct Roofs {
  std::vector<Roof> probes;  // of what `roof` and `probe` rows say
  // Copies, reads and fills of less: what a launch and its tail leave of the roof. By bytes moved,
  // smallest first, each the fastest way of its size.
  std::vector<std::pair<double, double>> copies, reads, fills;  // bytes, ms
  double copy = 0, read = 0;                   // GB/s: the better of the copies; reading alone
  double bfloat16 = 0, tf32 = 0, float32 = 0;  // TFLOP/s
  std::vector<std::string> problems;           // probes that could not run, and why
};

inline constexpr const char* kTf32Probe = "gemm_tf32";

struct RoofSizes {
  std::size_t bytes = std::size_t(1) << 30;  // read, and as much written by a copy
  // Of square products. The larger may run into the card's power limit, which the smaller does not.
  std::vector<std::int64_t> tensor_cores{8192, 4096};
  std::int64_t float32 = 4096;
  // Bytes moved by the copies, reads and fills of less.
  std::vector<std::size_t> small{std::size_t(32) << 20,  std::size_t(64) << 20,
                                 std::size_t(128) << 20, std::size_t(256) << 20,
                                 std::size_t(512) << 20, std::size_t(1) << 30};
};
Roofs measure_roofs(const Device& device, Probes& probes, Timer& timer, const RoofSizes& sizes,
                    const StopRule& rule);

// The roof that work in this dtype is under.
struct Limits {
  double copy = 0, read = 0;  // GB/s
  double teraflops = 0;       // of products in this dtype
};
// The name of the probe of products in this dtype.
const char* product_probe(DType dtype, bool tf32);
Limits measured_limits(const Roofs& roofs, DType dtype, bool tf32);
Limits datasheet_limits(const Datasheet& sheet, DType dtype, bool tf32);

// The share of the roof that `ms` reaches: the least time that the limits allow over the time
// taken. Bytes that are only read go at the read rate, others in pairs of read and written at the
// copy rate. nullopt when a limit is unknown.
std::optional<double> share_of(const Limits& limits, const Traffic& traffic, double ms);

// The same of a copy that moves as many bytes, measured in this run (of a read, a fill, where
// nothing is written, read). nullopt below the smallest that was measured.
std::optional<double> share_of_same_size(const Roofs& roofs, const Traffic& traffic, double ms);

// The probe that a cold row beats by more than its own spread and 1 %, and by how much: {"read",
// 0.09}. Taken off the bytes first, a cache's size at most: what is written and may not have
// reached the memory yet, and what backward may find of its forward. Not the probe's business: a
// row that says `view`, or is above the card's limit.
struct Beaten {
  std::string probe;
  double by = 0;
};
std::optional<Beaten> beaten_probe(const Limits& limits, const Traffic& traffic, double ms,
                                   double spread, std::size_t l2_bytes, std::string_view products);

// Why a time cannot be true: above the datasheet's rate, or on an unknown card more than a fifth
// above the measured one. What the L2 may have kept from the device's memory is taken off the
// bytes: of cold work the writes that may still lie there when it ends and what backward may find
// of forward, its size each; never a first read of an input. Of hot work twice its size. Nor does
// backward have to read what it keeps of the op's inputs and outputs. Empty when it can.
std::string impossible(const Traffic& traffic, double ms, Temperature temperature,
                       std::size_t l2_bytes, const Limits& measured,
                       const std::optional<Limits>& datasheet);

}  // namespace flame::bench
