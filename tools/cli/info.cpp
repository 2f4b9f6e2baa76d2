// flame info: what this program is, what it runs on, and every switch it has.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"
#include "lib/core/op_def.h"
#include "lib/driver/driver.h"
#include "lib/jit/cache.h"
#include "lib/jit/embedded.h"
#include "tools/cli/command.h"
#include "tools/cli/environment.h"
#include "tools/cli/system.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

using Json = nlohmann::ordered_json;

Json devices() {
  Json list = Json::array();
  for (int i = 0; i < driver::cuda_device_count(); ++i) {
    const auto device = driver::open_cuda(i);
    const driver::Info& d = device->info();
    list.push_back({{"index", i},
                    {"name", d.name},
                    {"arch", d.arch},
                    {"memory_bytes", d.total_memory},
                    {"multiprocessors", d.multiprocessors},
                    {"driver", cuda_version(d.driver_version)}});
  }
  return list;
}

Json library(const Library& found, std::string (*version)(int)) {
  return found.found ? Json(version(found.version)) : Json();
}

Json cache_facts() {
  const jit::DiskCache cache;
  std::uintmax_t bytes = 0;
  std::int64_t unreadable = 0;
  const auto items = cache.list();
  for (const auto& item : items) {
    bytes += item.bytes;
    unreadable += item.readable ? 0 : 1;
  }
  return {{"folder", cache.folder().string()},
          {"kernels", items.size()},
          {"bytes", bytes},
          {"unreadable", unreadable},
          {"writable", why_not_writable(cache.folder()).empty()}};
}

Json environment() {
  Json list = Json::array();
  for (const Variable& v : variables()) {
    const char* value = std::getenv(std::string(v.name).c_str());
    list.push_back({{"name", v.name},
                    {"value", value ? Json(value) : Json()},
                    {"default", v.default_value},
                    {"meaning", v.meaning}});
  }
  return list;
}

Json facts() {
  const BuildInfo& build = build_info();
  return {{"flame", build.version},
          {"commit", build.commit},
          {"dirty", build.dirty},
          {"compiler", build.compiler},
          {"build_type", build.build_type},
          {"ops", all_ops().size()},
          {"exported_kernels", jit::embedded_exports().size()},
          {"devices", devices()},
          {"driver", library(find_driver(), cuda_version)},
          {"nvrtc", library(find_nvrtc(), cuda_version)},
          {"cublaslt", library(find_cublaslt(), cublaslt_version)},
          {"cache", cache_facts()},
          {"environment", environment()}};
}

// A JSON fact as a word.
std::string word(const Json& value) {
  if (value.is_null()) return "not found";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print(const Json& f) {
  Table table({"fact", "value"});
  const std::string dirty = f["dirty"].get<bool>() ? ", changed since" : "";
  table.add({"flame", word(f["flame"]) + " (" + word(f["commit"]) + dirty + ")"});
  table.add({"built by", word(f["compiler"]) + ", " + word(f["build_type"])});
  table.add({"ops", word(f["ops"]) + " ops, " + word(f["exported_kernels"]) + " kernels"});
  if (f["devices"].empty()) table.add({"device", "no CUDA device (see flame doctor)"});
  for (const Json& d : f["devices"]) {
    table.add({"cuda:" + word(d["index"]),
               str_cat(word(d["name"]), ", ", word(d["arch"]), ", ",
                       d["memory_bytes"].get<std::uint64_t>() >> 20, " MiB")});
  }
  for (const char* name : {"driver", "nvrtc", "cublaslt"}) table.add({name, word(f[name])});
  const Json& cache = f["cache"];
  table.add({"kernel cache", str_cat(word(cache["folder"]), ", ", word(cache["kernels"]),
                                     " files, ", cache["bytes"].get<std::uint64_t>() >> 10, " KiB",
                                     cache["writable"].get<bool>() ? "" : ", NOT WRITABLE")});
  table.print(std::cout);
  std::cout << '\n';
  Table switches({"variable", "value", "default", "meaning"});
  for (const Json& v : f["environment"])
    switches.add({word(v["name"]), v["value"].is_null() ? "(unset)" : word(v["value"]),
                  word(v["default"]), word(v["meaning"])});
  switches.print(std::cout);
}

}  // namespace

Command add_info(CLI::App& root) {
  CLI::App* app = root.add_subcommand("info", "Versions, devices, kernel cache, environment");
  auto json = std::make_shared<bool>(false);
  app->add_flag("--json", *json, "One JSON object on stdout");
  return {app, [json] {
            const Json f = facts();
            if (*json) {
              std::cout << f.dump(2) << '\n';
            } else {
              print(f);
            }
            return kPass;
          }};
}

}  // namespace flame::cli
