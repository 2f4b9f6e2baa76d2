#include "reports/kernel_record.h"

#include <filesystem>
#include <map>

#include "lib/core/error.h"
#include "reports/fields.h"

namespace flame::records {
namespace {

template <class Visit, class Item>
void visit_kernel(Visit& v, Item& k) {
  v("file", k.file);
  v("kernel", k.kernel);
  v("arch", k.arch);
  v("compiler", k.compiler);
  v("seconds", k.seconds);
  v("registers", k.registers);
  v("max_threads", k.max_threads);
  v("static_shared", k.static_shared);
  v("stack_bytes", k.stack_bytes);
  v("spill_bytes", k.spill_bytes);
  v("code_bytes", k.code_bytes);
}

std::filesystem::path path_in(const std::string& folder) {
  return std::filesystem::path(folder) / "kernels.jsonl";
}

}  // namespace

std::string to_line(const KernelRecord& record) {
  FieldWriter w;
  w("schema", std::string(kKernelSchema));
  visit_kernel(w, record);
  return w.json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

KernelRecord parse_kernel(const std::string& line) {
  const OrderedJson json = parse_strictly(line, "kernel");
  FieldReader reader(json, "kernel");
  reader.read_schema(kKernelSchema);
  KernelRecord out;
  visit_kernel(reader, out);
  reader.finish();
  for (const auto& [name, text] : {std::pair("file", &out.file), std::pair("kernel", &out.kernel),
                                   std::pair("arch", &out.arch)})
    check<FileError>(!text->empty(), "kernel: \"", name, "\" is empty");
  check<FileError>(out.seconds == -1 || (out.seconds >= 0 && std::isfinite(out.seconds)),
                   "kernel: ", out.kernel, ": compiled in ", out.seconds, " s");
  check<FileError>(out.code_bytes > 0, "kernel: ", out.kernel, ": no code");
  return out;
}

bool has_kernels(const std::string& folder) { return std::filesystem::exists(path_in(folder)); }

std::vector<KernelRecord> read_kernels(const std::string& folder) {
  const std::string path = path_in(folder).string();
  std::vector<KernelRecord> out = read_lines(path, parse_kernel);
  std::map<std::pair<std::string, std::string>, std::size_t> seen;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto [first, fresh] = seen.try_emplace({out[i].kernel, out[i].arch}, i + 1);
    check<FileError>(fresh, path, ":", i + 1, ": the kernel of line ", first->second);
  }
  return out;
}

void write_kernels(const std::string& folder, const std::vector<KernelRecord>& kernels) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check<FileError>(!error, folder, ": ", error.message());
  std::ofstream out(path_in(folder), std::ios::binary);
  for (const KernelRecord& k : kernels) out << to_line(k) << '\n';
  out << std::flush;
  check<FileError>(bool(out), path_in(folder).string(), ": cannot be written");
}

}  // namespace flame::records
