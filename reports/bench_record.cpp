#include "reports/bench_record.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <sstream>
#include <tuple>

#include "lib/core/error.h"
#include "reports/fields.h"

namespace flame::records {
namespace {

template <class Visit, class Row>
void visit_row(Visit& v, Row& r) {
  v("case", r.case_name);
  v("op", r.op);
  v("direction", r.direction);
  v("dtype", r.dtype);
  v("sizes", r.sizes);
  v("compute_mode", r.compute_mode);
  v("temperature", r.temperature);
  v("implementation", r.implementation);
  v("reason", r.reason);
  v("samples", r.samples);
  v("median_us", r.median_us);
  v("q1_us", r.q1_us);
  v("q3_us", r.q3_us);
  v("min_us", r.min_us);
  v("times_us", r.times_us);
  v("flops", r.flops);
  v("bytes", r.bytes);
  v.optional("written", r.written, -1.0);
  v.optional("view", r.view, false);
  v("share_copy", r.share_copy);
  v("share_read", r.share_read);
  v("share_gemm_bf16", r.share_gemm_bf16);
  v("share_gemm_f32", r.share_gemm_f32);
  v.optional("share_same_size", r.share_same_size, -1.0);
  v("share_datasheet_bandwidth", r.share_datasheet_bandwidth);
  v("share_datasheet_flops", r.share_datasheet_flops);
  v("ratio", r.ratio);
  v("ratio_min", r.ratio_min);
  v("ratio_max", r.ratio_max);
  v("r", r.r);
  v("sm_clock_mhz", r.sm_clock_mhz);
  v("power_w", r.power_w);
  v("throttle", r.throttle);
  v("harness", r.harness);
  v("gpu", r.gpu);
  v("driver", r.driver);
  v("cuda", r.cuda);
}

template <std::size_t N>
bool one_of(const std::string& text, const std::array<const char*, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::string named(const BenchRow& row) {
  return str_cat("bench: ", row.op, " ", row.case_name, " ", row.direction, " ", row.dtype, " (",
                 row.implementation, ")");
}

void require_names(const BenchRow& row) {
  const std::pair<const char*, const std::string*> needed[] = {
      {"case", &row.case_name},
      {"op", &row.op},
      {"dtype", &row.dtype},
      {"implementation", &row.implementation},
      {"harness", &row.harness},
      {"gpu", &row.gpu},
      {"driver", &row.driver},
      {"cuda", &row.cuda},
      {"compute_mode", &row.compute_mode}};
  for (const auto& [name, text] : needed)
    check<FileError>(!text->empty(), named(row), ": \"", name, "\" is empty");
  check<FileError>(one_of(row.direction, std::array{"forward", "backward", "forward_backward"}),
                   named(row), ": direction \"", row.direction,
                   "\" is none of forward, backward, forward_backward");
  check<FileError>(one_of(row.temperature, std::array{"cold", "hot"}), named(row),
                   ": temperature \"", row.temperature, "\" is neither cold nor hot");
  check<FileError>(
      row.op != kRoofOp ||
          one_of(row.case_name, std::array{kRoofCopy, kRoofRead, kRoofGemmBf16, kRoofGemmF32}),
      named(row), ": there is no such roof");
}

// Every comparison is written so that NaN fails it.
void require_figures(const BenchRow& row) {
  const std::string name = named(row);
  if (row.samples == 0) {
    check<FileError>(!row.reason.empty(), name, ": no samples and no reason");
    check<FileError>(row.median_us == -1 && row.min_us == -1 && row.times_us.empty(), name,
                     ": no samples, and yet a time");
    return;
  }
  check<FileError>(row.reason.empty(), name, ": measured, and yet a reason why not: ", row.reason);
  check<FileError>(row.min_us > 0 && row.min_us <= row.q1_us && row.q1_us <= row.median_us &&
                       row.median_us <= row.q3_us && std::isfinite(row.q3_us),
                   name, ": min, q1, median, q3 are ", row.min_us, ", ", row.q1_us, ", ",
                   row.median_us, ", ", row.q3_us, " us, not rising positive numbers");
  check<FileError>(row.times_us.empty() || std::int64_t(row.times_us.size()) == row.samples, name,
                   ": ", row.samples, " samples, ", row.times_us.size(), " times");
  for (const double t : row.times_us)
    check<FileError>(t >= row.min_us * (1 - 1e-9) && std::isfinite(t), name, ": a sample of ", t,
                     " us below the smallest of ", row.min_us, " us");
  for (const double value :
       {row.flops, row.bytes, row.written, row.share_copy, row.share_read, row.share_gemm_bf16,
        row.share_gemm_f32, row.share_same_size, row.share_datasheet_bandwidth,
        row.share_datasheet_flops, row.sm_clock_mhz, row.power_w})
    check<FileError>((value >= 0 || value == -1) && std::isfinite(value), name, ": a figure of ",
                     value);
  check<FileError>(row.written <= std::max(row.bytes, 0.0) || row.written == -1, name, ": ",
                   row.written, " bytes written of ", row.bytes);
  check<FileError>(row.ratio == -1 ? row.ratio_min == -1 && row.ratio_max == -1
                                   : row.ratio_min > 0 && row.ratio_min <= row.ratio &&
                                         row.ratio <= row.ratio_max,
                   name, ": ratio ", row.ratio, " outside ", row.ratio_min, " to ", row.ratio_max);
}

}  // namespace

std::string to_line(const BenchRow& row) {
  FieldWriter w;
  w("schema", std::string(kBenchSchema));
  visit_row(w, row);
  // A name with broken UTF-8 must not cost the record.
  return w.json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

BenchRow parse_bench_row(const std::string& line) {
  const OrderedJson json = parse_strictly(line, "bench");
  FieldReader reader(json, "bench");
  reader.read_schema(kBenchSchema);
  BenchRow row;
  visit_row(reader, row);
  reader.finish();
  require_names(row);
  require_figures(row);
  return row;
}

std::string physical_violation(const BenchRow& row, const Datasheet& datasheet) {
  if (row.samples == 0) return "";
  const double seconds = row.min_us * 1e-6;
  // What is written may still lie in the L2 when the work is over; cold reads come from memory.
  // Backward may find there what forward left.
  const double may_stay = row.written < 0 ? row.bytes : row.written;
  const double left = row.direction == "forward_backward" ? datasheet.l2_bytes : 0;
  const double moved =
      std::max(0.0, row.bytes - std::min(datasheet.l2_bytes, std::max(may_stay, 0.0)) - left);
  const double bandwidth = moved / seconds, rate = row.flops / seconds;
  if (row.temperature == "cold" && datasheet.bytes_per_second > 0 &&
      bandwidth > datasheet.bytes_per_second)
    return str_cat(named(row), ": ", bandwidth * 1e-9, " GB/s cold, the memory's limit is ",
                   datasheet.bytes_per_second * 1e-9);
  if (datasheet.flops_per_second > 0 && rate > datasheet.flops_per_second)
    return str_cat(named(row), ": ", rate * 1e-12, " TFLOP/s, the device's limit is ",
                   datasheet.flops_per_second * 1e-12);
  return "";
}

bool has_bench(const std::string& folder) {
  return std::filesystem::exists(std::filesystem::path(folder) / "bench.jsonl");
}

BenchRun read_bench(const std::string& folder) {
  const std::filesystem::path root(folder);
  check<FileError>(std::filesystem::is_directory(root), folder, ": not a folder");
  BenchRun run;
  const std::string manifest = (root / "run.json").string();
  std::ifstream in(manifest, std::ios::binary);
  check<FileError>(bool(in), manifest, ": cannot be opened");
  std::ostringstream text;
  text << in.rdbuf();
  try {
    run.manifest = parse_manifest(text.str());
  } catch (const FileError& e) {
    throw FileError(str_cat(manifest, ": ", e.what()));
  }
  const std::string path = (root / "bench.jsonl").string();
  run.rows = read_lines(path, parse_bench_row, run.manifest.state == kRunning);
  std::map<std::array<std::string, 12>, std::size_t> seen;
  for (std::size_t i = 0; i < run.rows.size(); ++i) {
    const BenchRow& r = run.rows[i];
    const auto [first, fresh] =
        seen.try_emplace({r.case_name, r.op, r.direction, r.dtype, r.sizes, r.compute_mode,
                          r.temperature, r.implementation, r.gpu, r.driver, r.cuda, r.harness},
                         i + 1);
    check<FileError>(fresh, path, ":", i + 1, ": measures what line ", first->second, " measures");
  }
  return run;
}

}  // namespace flame::records
