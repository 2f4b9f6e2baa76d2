#include "bench/roofs.h"

#include <algorithm>
#include <array>

#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/runtime.h"
#include "reports/bench_record.h"

namespace flame::bench {
namespace {

// H200, H100 and A100: NVIDIA's product briefs, dense figures. Longer names first.
constexpr std::array kDatasheets{
    Datasheet{"H200 NVL", 4800, 835.5, 60, 417.5},
    Datasheet{"H200", 4800, 989.5, 67, 494.7},
    Datasheet{"H100 NVL", 3900, 835.5, 60, 417.5},
    Datasheet{"H100 PCIe", 2000, 756, 51, 378},
    Datasheet{"H100", 3350, 989.5, 67, 494.7},
    Datasheet{"A100-SXM4-80GB", 2039, 312, 19.5, 156},
    Datasheet{"A100 80GB PCIe", 1935, 312, 19.5, 156},
    Datasheet{"A100", 1555, 312, 19.5, 156},
    Datasheet{"L40S", 864, 362, 91.6, 183},
    Datasheet{"RTX 4090", 1008, 165.2, 82.6, 82.6},
};

constexpr double kSlackOfUnknownCard = 1.2;
constexpr int kSamplesOfASize = 30;

double rate(double amount, double ms, double unit) {
  return ms > 0 ? amount / (ms * 1e-3) / unit : 0;
}

class RoofRun {
 public:
  RoofRun(const Device& device, Timer& timer, const StopRule& rule, Roofs& out)
      : device_(device), timer_(timer), rule_(rule), out_(out) {}

  void at_most(int samples) { rule_.most = std::max(samples, rule_.least); }

  void run(Roof roof, const std::function<void()>& work) {
    LocalContender contender(roof.name, timer_, work);
    roof.series = interleave({&contender}, Temperature::kCold, {.rule = rule_})[0];
    out_.probes.push_back(std::move(roof));
  }

  void gemm(DType dtype, bool tf32, std::int64_t n) {
    driver::Blas* blas = device_.runtime().driver().blas();
    const std::string mode = tf32 ? "tf32" : std::string(name(dtype));
    const char* roof_name = product_probe(dtype, tf32);
    if (!blas) {
      const auto why = str_cat(roof_name, ": the device has no vendor library of matrix products");
      if (out_.problems.empty() || out_.problems.back() != why) out_.problems.push_back(why);
      return;
    }
    const Tensor a = randn({n, n}, {device_, dtype}), b = randn({n, n}, {device_, dtype});
    const Tensor c = empty({n, n}, {device_, dtype});
    const driver::Gemm g{.type = dtype,
                         .out = dtype,
                         .m = n,
                         .n = n,
                         .k = n,
                         .a = a.data(),
                         .b = b.data(),
                         .c = c.data(),
                         .lda = n,
                         .ldb = n,
                         .ldc = n,
                         .allow_tf32 = tf32};
    check<Error>(blas->gemm(g, device_.stream()), roof_name, ": the library refused");
    const double side = double(n);
    run({.op = tf32 ? records::kProbeOp : records::kRoofOp,
         .name = roof_name,
         .implementation = "cublaslt",
         .dtype = std::string(name(dtype)),
         .compute_mode = mode,
         .sizes = str_cat(n, "x", n, "x", n),
         .bytes = 3 * side * side * double(size_of(dtype)),
         .flops = 2 * side * side * side},
        [&] { blas->gemm(g, device_.stream()); });
  }

 private:
  const Device& device_;
  Timer& timer_;
  StopRule rule_;
  Roofs& out_;
};

double best(const Roofs& roofs, std::string_view name, double (Roof::*rate_of)() const) {
  double most = 0;
  for (const Roof& r : roofs.probes)
    if (r.name == name && (r.op == records::kRoofOp || r.flops > 0))
      most = std::max(most, (r.*rate_of)());
  return most;
}

}  // namespace

double Roof::gigabytes_per_second() const { return rate(bytes, series.summary.median, 1e9); }
double Roof::teraflops() const { return rate(flops, series.summary.median, 1e12); }

const Datasheet* datasheet_of(std::string_view device_name) {
  for (const Datasheet& sheet : kDatasheets)
    if (device_name.find(sheet.card) != std::string_view::npos) return &sheet;
  return nullptr;
}

namespace {

// The faster of two ways of one size.
void keep_fastest(std::vector<std::pair<double, double>>& sizes, const Roof& r) {
  const double ms = r.series.summary.median;
  if (!sizes.empty() && sizes.back().first == r.bytes)
    sizes.back().second = std::min(sizes.back().second, ms);
  else
    sizes.emplace_back(r.bytes, ms);
}

// Copies, reads and fills between two buffers.
class MemoryProbes {
 public:
  MemoryProbes(const Device& device, Probes& probes, RoofRun& run, Roofs& out, std::size_t bytes)
      : device_(device),
        probes_(probes),
        run_(run),
        out_(out),
        from_(randn({std::int64_t(bytes / sizeof(float))}, device)),
        to_(empty(from_.shape(), device)) {}

  void copies(const char* op, std::size_t bytes) {
    driver::Driver& driver = device_.runtime().driver();
    add(op, records::kRoofCopy, "driver", bytes, 2, [&driver, bytes, this] {
      driver.copy_on_device(to_.data(), from_.data(), bytes, device_.stream());
    });
    for (const auto& [how, name] : kCopiers)
      add(op, records::kRoofCopy, name, bytes, 2,
          [=, this] { probes_.copy(from_.data(), to_.data(), bytes, how); });
  }
  void reads(const char* op, std::size_t bytes) {
    for (const auto& [how, name] : kReaders)
      add(op, records::kRoofRead, name, bytes, 1,
          [=, this] { probes_.read(from_.data(), bytes, how); });
  }
  void fills(const char* op, std::size_t bytes) {
    driver::Driver& driver = device_.runtime().driver();
    add(op, records::kFill, "driver", bytes, 1,
        [&driver, bytes, this] { driver.fill(to_.data(), 1, bytes, device_.stream()); });
    add(op, records::kFill, "kernel", bytes, 1, [=, this] { probes_.fill(to_.data(), bytes); });
  }

 private:
  void add(const char* op, const char* name, const char* by, std::size_t bytes, double passes,
           const std::function<void()>& work) {
    run_.run({.op = op,
              .name = name,
              .implementation = by,
              .dtype = "float32",
              .compute_mode = "float32",
              .sizes = str_cat("(", bytes / sizeof(float), ")"),
              .bytes = passes * double(bytes)},
             work);
  }

  const Device& device_;
  Probes& probes_;
  RoofRun& run_;
  Roofs& out_;
  Tensor from_, to_;
};

// One size's time: between two that were measured on the line through them, above them at the rate
// of the largest; 0 below them.
double time_at(const std::vector<std::pair<double, double>>& sizes, double bytes) {
  for (std::size_t i = 1; i < sizes.size(); ++i) {
    const auto& [a, a_ms] = sizes[i - 1];
    const auto& [b, b_ms] = sizes[i];
    if (bytes >= a && bytes < b) return a_ms + (b_ms - a_ms) * (bytes - a) / (b - a);
  }
  if (sizes.empty() || bytes < sizes.back().first) return 0;
  return sizes.back().second * bytes / sizes.back().first;
}

}  // namespace

Roofs measure_roofs(const Device& device, Probes& probes, Timer& timer, const RoofSizes& sizes,
                    const StopRule& rule) {
  Roofs out;
  RoofRun run(device, timer, rule, out);
  {
    const std::size_t bytes = sizes.bytes / 16 * 16;
    MemoryProbes memory(device, probes, run, out, bytes);
    memory.copies(records::kRoofOp, bytes);
    memory.reads(records::kRoofOp, bytes);
    run.at_most(kSamplesOfASize);  // there are many, and none is the roof
    for (const std::size_t moved : sizes.small) {
      memory.copies(records::kProbeOp, moved / 2 / 16 * 16);
      if (moved < bytes) memory.reads(records::kProbeOp, moved / 16 * 16);
      memory.fills(records::kProbeOp, moved / 16 * 16);
    }
    run.at_most(rule.most);
  }
  for (const Roof& r : out.probes) {
    const bool copy = r.name == records::kRoofCopy, read = r.name == records::kRoofRead;
    keep_fastest(copy ? out.copies : read ? out.reads : out.fills, r);
  }
  for (auto* list : {&out.copies, &out.reads, &out.fills}) std::sort(list->begin(), list->end());
  for (const std::int64_t n : sizes.tensor_cores) run.gemm(DType::kBFloat16, false, n);
  for (const std::int64_t n : sizes.tensor_cores) run.gemm(DType::kFloat32, true, n);
  run.gemm(DType::kFloat32, false, sizes.float32);
  out.copy = best(out, records::kRoofCopy, &Roof::gigabytes_per_second);
  out.read = best(out, records::kRoofRead, &Roof::gigabytes_per_second);
  out.bfloat16 = best(out, records::kRoofGemmBf16, &Roof::teraflops);
  out.tf32 = best(out, kTf32Probe, &Roof::teraflops);
  out.float32 = best(out, records::kRoofGemmF32, &Roof::teraflops);
  return out;
}

const char* product_probe(DType dtype, bool tf32) {
  if (is_half(dtype)) return records::kRoofGemmBf16;
  return tf32 ? kTf32Probe : records::kRoofGemmF32;
}

Limits measured_limits(const Roofs& roofs, DType dtype, bool tf32) {
  if (is_half(dtype)) return {roofs.copy, roofs.read, roofs.bfloat16};
  return {roofs.copy, roofs.read, tf32 ? roofs.tf32 : roofs.float32};
}

Limits datasheet_limits(const Datasheet& sheet, DType dtype, bool tf32) {
  const double bytes = sheet.gigabytes_per_second;
  if (is_half(dtype)) return {bytes, bytes, sheet.bfloat16_teraflops};
  return {bytes, bytes, tf32 ? sheet.tf32_teraflops : sheet.float32_teraflops};
}

std::optional<double> share_of(const Limits& limits, const Traffic& t, double ms) {
  if (limits.copy <= 0 || limits.read <= 0 || ms <= 0) return std::nullopt;
  if (t.bytes() <= 0 && t.flops <= 0) return std::nullopt;
  const double paired = 2 * t.written, alone = std::max(0.0, t.read - t.written);
  double least_ms = (paired / limits.copy + alone / limits.read) * 1e-6;
  if (t.read < t.written) least_ms = t.bytes() / limits.copy * 1e-6;
  if (limits.teraflops > 0) least_ms = std::max(least_ms, t.flops / limits.teraflops * 1e-9);
  return least_ms / ms;
}

std::optional<double> share_of_same_size(const Roofs& roofs, const Traffic& t, double ms) {
  const double bytes = t.bytes();
  if (bytes <= 0 || ms <= 0) return std::nullopt;
  // Each kind's part of the bytes, at the rate that it has with all of them.
  const double paired = 2 * std::min(t.read, t.written), alone = bytes - paired;
  const double copy = time_at(roofs.copies, bytes);
  const double rest = time_at(t.read > t.written ? roofs.reads : roofs.fills, bytes);
  if ((paired > 0 && copy <= 0) || (alone > 0 && rest <= 0)) return std::nullopt;
  return (copy * paired + rest * alone) / bytes / ms;
}

std::optional<Beaten> beaten_probe(const Limits& limits, const Traffic& t, double ms, double spread,
                                   std::size_t l2_bytes, std::string_view products) {
  constexpr double kNoise = 0.01;
  if (t.view) return std::nullopt;
  Traffic least = t;
  const double l2 = double(l2_bytes);
  least.written -= std::min(t.written, l2);
  least.read = std::max(0.0, t.read - t.kept - l2 * (t.passes - 1));
  const std::optional<double> share = share_of(limits, least, ms);
  if (!share || *share <= 1 + kNoise + spread) return std::nullopt;
  const bool by_products = limits.teraflops > 0 && t.flops / limits.teraflops * 1e-9 >= *share * ms;
  const bool by_reads = least.read > 3 * least.written;
  return Beaten{by_products ? std::string(products)
                : by_reads  ? records::kRoofRead
                            : records::kRoofCopy,
                *share - 1};
}

std::string impossible(const Traffic& t, double ms, Temperature temperature, std::size_t l2_bytes,
                       const Limits& measured, const std::optional<Limits>& datasheet) {
  if (!(ms > 0)) return str_cat("a time of ", ms, " ms");
  const double l2 = double(l2_bytes);
  const double in_cache = temperature == Temperature::kCold
                              ? std::min(t.written, l2) + l2 * (t.passes - 1)
                              : 2 * l2 * t.passes;
  const double gigabytes = rate(std::max(0.0, t.bytes() - t.kept - in_cache), ms, 1e9);
  const double teraflops = rate(t.flops, ms, 1e12);
  const Limits& limits = datasheet ? *datasheet : measured;
  const double slack = datasheet ? 1 : kSlackOfUnknownCard;
  const char* whose = datasheet ? "the datasheet's " : "a fifth above this run's ";
  const double most_bytes = std::max(limits.copy, limits.read);
  if (most_bytes > 0 && gigabytes > slack * most_bytes)
    return str_cat(gigabytes, " GB/s is more than ", whose, most_bytes);
  if (limits.teraflops > 0 && teraflops > slack * limits.teraflops)
    return str_cat(teraflops, " TFLOP/s is more than ", whose, limits.teraflops);
  return {};
}

}  // namespace flame::bench
