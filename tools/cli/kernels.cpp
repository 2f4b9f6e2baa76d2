// flame kernels: what is kept on disk: compiled kernels, and which of cuBLASLt's algorithms large
// products take.
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "lib/blas/choices.h"
#include "lib/core/error.h"
#include "lib/driver/driver.h"
#include "lib/jit/compiler.h"
#include "reports/kernel_record.h"
#include "tools/cli/command.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

void list_kernels(const jit::DiskCache& cache, nlohmann::ordered_json& out, Table& table) {
  for (const jit::CacheItem& item : cache.list()) {
    out.push_back({{"path", item.path.string()},
                   {"file", item.file},
                   {"arch", item.arch},
                   {"bytes", item.bytes},
                   {"kernels", item.expressions},
                   {"readable", item.readable}});
    const std::string state = item.readable ? "ok" : "corrupt: compiled again at its next use";
    if (item.expressions.empty())
      table.add(
          {item.path.filename().string(), item.file, item.arch, std::to_string(item.bytes), state});
    for (const std::string& expression : item.expressions)
      table.add({expression, item.file, item.arch, std::to_string(item.bytes), state});
  }
}

void list_choices(const blas::Choices& choices, nlohmann::ordered_json& out, Table& table) {
  for (const blas::ChoiceItem& item : choices.list()) {
    const std::string algorithm = blas::to_string(item.choice.algorithm);
    out.push_back({{"path", item.path.string()},
                   {"product", item.choice.product},
                   {"device", item.choice.device},
                   {"algorithm", algorithm},
                   {"bytes", item.bytes},
                   {"readable", item.readable}});
    table.add({item.readable ? item.choice.product : item.path.filename().string(),
               item.choice.device, item.readable ? algorithm : "",
               item.readable ? "ok" : "damaged: chosen again at its next use"});
  }
}

int list(bool json) {
  const jit::DiskCache cache;
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  Table kernels({"kernel", "file", "arch", "bytes", "state"});
  Table products({"tuned product", "device", "algorithm", "state"});
  list_kernels(cache, out, kernels);
  list_choices(blas::Choices(), out, products);
  if (json) {
    std::cout << out.dump(2) << '\n';
    return kPass;
  }
  if (kernels.empty()) std::cerr << "no compiled kernels in " << cache.folder().string() << '\n';
  if (!kernels.empty()) kernels.print(std::cout);
  if (!products.empty()) products.print(std::cout << '\n');
  return kPass;
}

// What the compiler said of a kernel, as a record.
void keep(std::vector<records::KernelRecord>& to, const jit::Compiled& compiled) {
  const int version = jit::nvrtc_version();
  for (const jit::CompiledEntry& e : compiled.entries) {
    const jit::Resources& r = e.resources;
    to.push_back({compiled.file, e.expression, compiled.arch,
                  str_cat("NVRTC ", version / 1000, ".", version % 1000 / 10),
                  compiled.from_cache ? -1 : compiled.seconds, r.registers, r.max_threads,
                  std::int64_t(r.static_shared), std::int64_t(r.stack_bytes),
                  std::int64_t(r.spill_bytes), std::int64_t(r.code_bytes)});
  }
}

int warm(std::string arch, unsigned threads, const std::string& out) {
  if (arch.empty()) arch = driver::open_cuda(0)->info().arch;
  if (jit::nvrtc_version() == 0) {
    std::cerr << "flame kernels warm: no NVRTC on this machine (see flame doctor)\n";
    return kEnvironment;
  }
  jit::Compiler compiler;
  Progress progress;
  std::vector<records::KernelRecord> kernels;
  const std::size_t anew = jit::warm(
      compiler, arch, threads,
      [&](std::size_t done, std::size_t total) {
        progress.show(std::int64_t(done), std::int64_t(total), 0, "compiling for " + arch);
      },
      [&](const jit::Compiled& compiled) { keep(kernels, compiled); });
  progress.finish();
  if (!out.empty()) {
    // In the order that threads finished in, no two files would be alike.
    std::sort(kernels.begin(), kernels.end(), [](const auto& a, const auto& b) {
      return std::tie(a.file, a.kernel) < std::tie(b.file, b.kernel);
    });
    records::write_kernels(out, kernels);
  }
  std::cout << anew << " kernels compiled for " << arch << ", "
            << jit::embedded_exports().size() - anew << " were there already, in "
            << compiler.cache().folder().string() << '\n';
  return kPass;
}

int clear() {
  jit::DiskCache cache;
  const std::size_t removed = cache.clear() + blas::Choices().clear();
  std::cout << removed << " files removed from " << cache.folder().string() << '\n';
  return kPass;
}

}  // namespace

Command add_kernels(CLI::App& root) {
  CLI::App* app = root.add_subcommand("kernels", "The cache: compiled kernels, tuned products");
  app->require_subcommand(1);
  auto json = std::make_shared<bool>(false);
  auto arch = std::make_shared<std::string>();
  auto threads = std::make_shared<unsigned>(0);
  auto out = std::make_shared<std::string>();
  CLI::App* list_app = app->add_subcommand("list", "What is in it");
  list_app->add_flag("--json", *json, "One JSON list on stdout");
  CLI::App* warm_app = app->add_subcommand("warm", "Compile every kernel now");
  warm_app->add_option("--arch", *arch, "Compile for this one (sm_90a); default: the GPU's");
  warm_app->add_option("--threads", *threads, "0: one per core");
  warm_app->add_option("--out", *out,
                       "Folder for kernels.jsonl: compile time, registers and spills of each");
  CLI::App* clear_app = app->add_subcommand("clear", "Remove all of them");
  return {app, [=]() -> int {
            if (*list_app) return list(*json);
            if (*warm_app) return warm(*arch, *threads, *out);
            if (*clear_app) return clear();
            return kInternal;  // require_subcommand keeps us from here
          }};
}

}  // namespace flame::cli
