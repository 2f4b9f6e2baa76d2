// What compiling the kernels at run time costs, and what they need to run.
#include <algorithm>
#include <map>

#include "lib/core/error.h"
#include "reports/charts.h"
#include "reports/performance_charts.h"
#include "reports/performance_view.h"

namespace flame::reports {
namespace {

using records::KernelRecord;

struct FileTally {
  std::vector<const KernelRecord*> kernels;
  double seconds = 0, slowest = -1;
  std::int64_t registers = 0, shared = 0, spills = 0, spilling = 0, code = 0;
  void add(const KernelRecord& k) {
    kernels.push_back(&k);
    if (k.seconds >= 0) seconds += k.seconds;
    slowest = std::max(slowest, k.seconds);
    registers = std::max(registers, k.registers);
    shared = std::max(shared, k.static_shared);
    spills = std::max(spills, k.spill_bytes);
    spilling += k.spill_bytes > 0;
    code += k.code_bytes;
  }
};

std::string kilobytes(std::int64_t bytes) { return fixed(double(bytes) / 1024, 1); }
std::string seconds_text(double seconds) { return seconds < 0 ? "cached" : fixed(seconds, 2); }

std::string sentence_of(const std::vector<KernelRecord>& kernels, const FileTally& all) {
  std::vector<double> times;
  const KernelRecord* slowest = nullptr;
  for (const KernelRecord& k : kernels) {
    if (k.seconds < 0) continue;
    times.push_back(k.seconds);
    if (!slowest || k.seconds > slowest->seconds) slowest = &k;
  }
  std::string out = str_cat(format_count(std::int64_t(kernels.size())), " kernels for ",
                            kernels.front().arch, " by ", kernels.front().compiler, ". ");
  if (times.empty()) {
    out += "All came from the cache on disk: no compile time was recorded.";
  } else {
    std::sort(times.begin(), times.end());
    out += str_cat(format_count(std::int64_t(times.size())), " were compiled, in ",
                   fixed(all.seconds, 1),
                   " s of one processor together: ", fixed(times[times.size() / 2], 2),
                   " s typically, ", fixed(slowest->seconds, 2), " s for ", slowest->kernel,
                   ". Each is compiled at its first use, once a machine.");
  }
  out += all.spilling == 0 ? " None spills a register."
                           : str_cat(" ", all.spilling, " spill registers, up to ", all.spills,
                                     " bytes a thread.");
  return out;
}

View kernel_view(const KernelRecord& k, Format format) {
  View out;
  out["kernel"] = plain(k.kernel, format);
  out["seconds"] = seconds_text(k.seconds);
  out["registers"] = std::to_string(k.registers);
  out["threads"] = k.max_threads > 0 ? std::to_string(k.max_threads) : "-";
  out["shared"] = format_count(k.static_shared);
  out["stack"] = format_count(k.stack_bytes);
  out["spills"] = format_count(k.spill_bytes);
  out["spills_class"] = k.spill_bytes > 0 ? "slower" : "";
  out["code"] = kilobytes(k.code_bytes);
  return out;
}

View file_view(const std::string& file, const FileTally& t, double most_seconds, Format format) {
  View out;
  out["file"] = plain(file, format);
  out["count"] = format_count(std::int64_t(t.kernels.size()));
  out["seconds"] = t.slowest < 0 ? "cached" : fixed(t.seconds, 1);
  out["bar"] = bar(most_seconds > 0 ? t.seconds / most_seconds : 0, "time",
                   str_cat(file, ": ", fixed(t.seconds, 1), " s"));
  out["slowest"] = seconds_text(t.slowest);
  out["registers"] = std::to_string(t.registers);
  out["shared"] = format_count(t.shared);
  out["spills"] = format_count(t.spills);
  out["spills_class"] = t.spills > 0 ? "slower" : "";
  out["code"] = kilobytes(t.code);
  if (format == Format::kHtml) {
    View list = make_list();
    for (const KernelRecord* k : t.kernels) list << kernel_view(*k, format);
    out["kernels"] = std::move(list);
  }
  return out;
}

}  // namespace

void add_jit(View& view, const std::vector<KernelRecord>& kernels, Format format) {
  view["has_jit"] = flag(!kernels.empty());
  if (kernels.empty()) return;
  std::map<std::string, FileTally> files;
  FileTally all;
  for (const KernelRecord& k : kernels) {
    files[k.file].add(k);
    all.add(k);
  }
  double most = 0;
  for (const auto& [file, tally] : files) most = std::max(most, tally.seconds);
  View list = make_list();
  for (const auto& [file, tally] : files) list << file_view(file, tally, most, format);
  view["jit_sentence"] = plain(sentence_of(kernels, all), format);
  view["jit"] = std::move(list);
}

}  // namespace flame::reports
