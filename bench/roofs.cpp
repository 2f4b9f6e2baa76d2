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

double rate(double amount, double ms, double unit) {
  return ms > 0 ? amount / (ms * 1e-3) / unit : 0;
}

class RoofRun {
 public:
  RoofRun(const Device& device, Timer& timer, const StopRule& rule, Roofs& out)
      : device_(device), timer_(timer), rule_(rule), out_(out) {}

  void run(Roof roof, const std::function<void()>& work) {
    LocalContender contender(roof.name, timer_, work);
    roof.series = interleave({&contender}, Temperature::kCold, {.rule = rule_})[0];
    out_.probes.push_back(std::move(roof));
  }

  void gemm(DType dtype, bool tf32, std::int64_t n) {
    driver::Blas* blas = device_.runtime().driver().blas();
    const std::string mode = tf32 ? "tf32" : std::string(name(dtype));
    const char* roof_name = dtype == DType::kBFloat16 ? records::kRoofGemmBf16
                            : tf32                    ? "gemm_tf32"
                                                      : records::kRoofGemmF32;
    if (!blas) {
      out_.problems.push_back(
          str_cat(roof_name, ": the device has no vendor library of matrix products"));
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
    // TF32 is no roof that records know; it is kept as a probe.
    run({.op = tf32 ? "probe" : records::kRoofOp,
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
  const StopRule& rule_;
  Roofs& out_;
};

double best(const Roofs& roofs, std::string_view name, double (Roof::*rate_of)() const) {
  double most = 0;
  for (const Roof& r : roofs.probes)
    if (r.name == name) most = std::max(most, (r.*rate_of)());
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

Roofs measure_roofs(const Device& device, Probes& probes, Timer& timer, const RoofSizes& sizes,
                    const StopRule& rule) {
  Roofs out;
  RoofRun run(device, timer, rule, out);
  {
    const std::size_t bytes = sizes.bytes / 16 * 16;
    const auto count = std::int64_t(bytes / sizeof(float));
    const Tensor from = randn({count}, device), to = empty({count}, device);
    driver::Driver& driver = device.runtime().driver();
    const auto memory = [&](const char* name, const char* by, double moved,
                            const std::function<void()>& work) {
      run.run({.op = records::kRoofOp,
               .name = name,
               .implementation = by,
               .dtype = "float32",
               .compute_mode = "float32",
               .sizes = str_cat("(", count, ")"),
               .bytes = moved},
              work);
    };
    memory(records::kRoofCopy, "driver", 2.0 * double(bytes),
           [&] { driver.copy_on_device(to.data(), from.data(), bytes, device.stream()); });
    memory(records::kRoofCopy, "kernel", 2.0 * double(bytes),
           [&] { probes.copy(from.data(), to.data(), bytes); });
    memory(records::kRoofRead, "kernel", double(bytes), [&] { probes.read(from.data(), bytes); });
  }
  run.gemm(DType::kBFloat16, false, sizes.tensor_cores);
  run.gemm(DType::kFloat32, true, sizes.tensor_cores);
  run.gemm(DType::kFloat32, false, sizes.float32);
  out.copy = best(out, records::kRoofCopy, &Roof::gigabytes_per_second);
  out.read = best(out, records::kRoofRead, &Roof::gigabytes_per_second);
  out.bfloat16 = best(out, records::kRoofGemmBf16, &Roof::teraflops);
  out.tf32 = best(out, "gemm_tf32", &Roof::teraflops);
  out.float32 = best(out, records::kRoofGemmF32, &Roof::teraflops);
  return out;
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

std::string impossible(const Traffic& t, double ms, Temperature temperature, std::size_t l2_bytes,
                       const Limits& measured, const std::optional<Limits>& datasheet) {
  if (!(ms > 0)) return str_cat("a time of ", ms, " ms");
  const double l2 = double(l2_bytes);
  const double kept = temperature == Temperature::kCold
                          ? std::min(t.written, l2) + l2 * (t.passes - 1)
                          : 2 * l2 * t.passes;
  const double gigabytes = rate(std::max(0.0, t.bytes() - kept), ms, 1e9);
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
