#include "bench/output.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

#include "bench/judging.h"
#include "lib/core/error.h"

namespace flame::bench {
namespace {

using Json = nlohmann::ordered_json;

std::string version(int v) { return str_cat(v / 1000, ".", v % 1000 / 10); }

double share(double rate, double roof) { return rate > 0 && roof > 0 ? rate / roof : -1; }

// To a nanosecond, which is finer than any event: a file of samples is half as large.
double microseconds(double ms) { return std::max(std::round(ms * 1e6), 1.0) * 1e-3; }

// "12.3" with three significant digits, as people read times.
std::string short_number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, v >= 1000 ? "%.0f" : v >= 100 ? "%.1f" : "%.2f", v);
  return text;
}

std::string percent(const std::optional<double>& v) {
  if (!v) return "-";
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", *v * 100);
  return text;
}

Json to_json(const AttrValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::monostate>)
          return nullptr;
        else
          return v;
      },
      value);
}

Json json_of(const Item& item) {
  Json attrs = Json::object(), inputs = Json::array(), outputs = Json::array();
  for (const auto& [name, value] : item.attrs.items()) attrs[name] = to_json(value);
  for (std::size_t i = 0; i < item.inputs.size(); ++i) {
    const reference::InputSpec& spec = item.bench_case.inputs[i];
    const TensorParam& param = item.op->inputs[std::min(i, item.op->inputs.size() - 1)];
    const auto& order = item.bench_case.order;
    const char* domain = spec.domain == reference::Domain::kIndices ? "indices"
                         : spec.domain == reference::Domain::kMask  ? "mask"
                                                                    : "normal";
    inputs.push_back({{"name", param.name},
                      {"list", param.list},
                      {"defined", item.inputs[i].defined},
                      {"shape", item.inputs[i].shape},
                      {"dtype", name(item.inputs[i].dtype)},
                      {"order", i < order.size() ? order[i] : IntList{}},
                      {"domain", domain},
                      {"low", spec.a},
                      {"high", spec.b},
                      {"grad", wants_grad(*item.op, i, item.inputs[i])}});
  }
  for (const TensorDesc& desc : item.outputs)
    outputs.push_back({{"shape", desc.shape}, {"dtype", name(desc.dtype)}});
  return {{"name", item.name()},
          {"op", item.op->name},
          {"case", item.bench_case.name},
          {"dtype", name(item.dtype)},
          {"tf32", item.tf32},
          {"product", item.is_product()},
          {"direction", to_string(item.direction)},
          {"attrs", attrs},
          {"inputs", inputs},
          {"outputs", outputs}};
}

}  // namespace

records::BenchRow to_record(const Row& row, const driver::Info& info, const Roofs& roofs,
                            const Datasheet* sheet) {
  const bool simulated = info.kind == driver::Kind::kSimulated;
  records::BenchRow out{.case_name = row.case_name, .op = row.op, .direction = row.direction};
  out.dtype = row.dtype;
  out.sizes = row.sizes;
  out.compute_mode = row.compute_mode;
  out.temperature = row.temperature;
  out.implementation = row.implementation;
  out.harness = kHarness;
  out.gpu = info.name;
  out.driver = simulated ? "none" : version(info.driver_version);
  out.cuda = simulated ? "none" : version(info.toolkit_version);
  out.r = std::isfinite(row.judged.r) ? row.judged.r : 1e30;
  if (!row.measured()) {
    out.reason = row.problem.empty() ? "not measured" : row.problem;
    return out;
  }
  const Summary& s = row.series.summary;
  out.samples = s.count;
  out.median_us = microseconds(s.median);
  out.q1_us = microseconds(s.q1);
  out.q3_us = microseconds(s.q3);
  out.min_us = microseconds(s.min);
  for (const double ms : row.series.samples) out.times_us.push_back(microseconds(ms));
  if (row.traffic.bytes() > 0 || row.traffic.view) {
    out.bytes = row.traffic.bytes();
    out.written = row.traffic.written;
  }
  out.view = row.traffic.view;
  if (row.traffic.flops > 0) out.flops = row.traffic.flops;
  if (row.ratio) {
    out.ratio = row.ratio->median;
    out.ratio_min = row.ratio->min;
    out.ratio_max = row.ratio->max;
  }
  if (row.after) {
    out.sm_clock_mhz = std::min(row.before->sm_mhz, row.after->sm_mhz);
    out.power_w = std::max(row.before->watts, row.after->watts);
    out.throttle = row.after->throttle;
  }
  if (simulated) return out;  // its time has nothing to do with a roof
  out.share_same_size = row.share_of_same_size.value_or(-1);
  const double gb = row.gigabytes_per_second(), tf = row.teraflops();
  const bool tf32 = row.compute_mode == "tf32";
  out.share_copy = share(gb, roofs.copy);
  out.share_read = share(gb, roofs.read);
  if (row.dtype != "float32") out.share_gemm_bf16 = share(tf, roofs.bfloat16);
  if (row.dtype == "float32" && !tf32) out.share_gemm_f32 = share(tf, roofs.float32);
  if (sheet) {
    const DType dtype = parse_dtype(row.dtype).value_or(DType::kFloat32);
    const Limits limits = datasheet_limits(*sheet, dtype, tf32);
    out.share_datasheet_bandwidth = share(gb, limits.copy);
    out.share_datasheet_flops = share(tf, limits.teraflops);
  }
  return out;
}

BenchFolder::BenchFolder(const std::string& folder) : folder_(folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check<FileError>(!error, "bench: ", folder, ": ", error.message());
  std::filesystem::remove(std::filesystem::path(folder) / "run.json", error);
  rows_.open(std::filesystem::path(folder) / "bench.jsonl", std::ios::trunc);
  check<FileError>(rows_.good(), "bench: ", folder, "/bench.jsonl cannot be written");
}

void BenchFolder::write(const records::BenchRow& row) {
  rows_ << records::to_line(row) << '\n' << std::flush;
  check<FileError>(rows_.good(), "bench: ", folder_, "/bench.jsonl cannot be written");
}

void BenchFolder::write(const records::RunManifest& manifest) {
  // Whole or not at all.
  const auto path = std::filesystem::path(folder_) / "run.json";
  const auto fresh = std::filesystem::path(folder_) / "run.json.new";
  std::ofstream out(fresh);
  out << records::to_json(manifest) << '\n' << std::flush;
  check<FileError>(out.good(), "bench: ", fresh.string(), " cannot be written");
  out.close();
  std::error_code error;
  std::filesystem::rename(fresh, path, error);
  check<FileError>(!error, "bench: ", path.string(), ": ", error.message());
}

void Table::header() {
  char line[256];
  std::snprintf(line, sizeof line, "%-66s %-5s %-24s %11s %7s %4s", "what", "at", "by",
                simulated_ ? "sim. us" : "us", "+-", "n");
  out_ << line;
  if (!simulated_) {
    std::snprintf(line, sizeof line, " %8s %8s %8s %7s %6s  %s", "GB/s", "TFLOP/s", "of roof",
                  "ratio", "r", "MHz");
    out_ << line;
  }
  out_ << '\n';
}

void Table::line(const Row& row) {
  char line[512];
  const std::string what =
      str_cat(row.op, "/", row.case_name, "/", row.compute_mode, "/", row.direction);
  if (!row.measured()) {
    std::snprintf(line, sizeof line, "%-66s %-5s %-24s not measured: ", what.c_str(),
                  row.temperature.c_str(), row.implementation.c_str());
    out_ << line << row.problem << '\n';
    return;
  }
  const Summary& s = row.series.summary;
  std::snprintf(line, sizeof line, "%-66s %-5s %-24s %11s %5.2f %% %4d", what.c_str(),
                row.temperature.c_str(), row.implementation.c_str(),
                short_number(s.median * 1e3).c_str(), s.spread * 100, s.count);
  out_ << line;
  if (!simulated_) {
    const double tf = row.teraflops();
    std::snprintf(line, sizeof line, " %8s %8s %8s %7s %6s  %s",
                  row.traffic.bytes() > 0 ? short_number(row.gigabytes_per_second()).c_str() : "-",
                  tf >= 1 ? short_number(tf).c_str() : "-", percent(row.share_of_roof).c_str(),
                  row.ratio ? short_number(row.ratio->median).c_str() : "-",
                  row.judged.r >= 0 ? short_number(row.judged.r).c_str() : "-",
                  row.after ? std::to_string(row.after->sm_mhz).c_str() : "-");
    out_ << line;
    if (row.after && !row.after->throttle.empty()) out_ << ' ' << row.after->throttle;
  }
  if (row.traffic.view) out_ << "  view";
  if (row.judged.r > 1) out_ << "  WRONG: " << row.judged.where << ' ' << row.judged.reason;
  if (!row.impossible.empty()) out_ << "  IMPOSSIBLE: " << row.impossible;
  out_ << '\n' << std::flush;
}

std::string to_json(const Item& item) { return json_of(item).dump(); }

std::string to_json(const std::vector<Item>& items) {
  Json out = Json::array();
  for (const Item& item : items) {
    out.push_back(json_of(item));
    const auto small = judged_item(item);
    out.back()["judged"] = small ? json_of(*small) : Json();
  }
  return out.dump();
}

}  // namespace flame::bench
