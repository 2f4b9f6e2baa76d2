// flame doctor: is everything there that FLAME needs, and if not, what to do. Each line is tried,
// never guessed.
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"
#include "lib/driver/driver.h"
#include "lib/jit/cache.h"
#include "lib/ops/ops.h"
#include "lib/tensor/tensor.h"
#include "tools/cli/command.h"
#include "tools/cli/system.h"
#include "tools/cli/terminal.h"

namespace flame::cli {
namespace {

enum class Health : unsigned char { kOk, kWarning, kMissing };

struct Finding {
  std::string what;
  Health health = Health::kOk;
  std::string detail, fix;
};

Finding driver_finding() {
  const Library found = find_driver();
  if (!found.found)
    return {"driver", Health::kMissing, "libcuda.so.1 is not on this machine",
            "install NVIDIA's driver (package nvidia-driver), on a machine with an NVIDIA GPU"};
  return {"driver", Health::kOk, str_cat("for CUDA ", cuda_version(found.version)), ""};
}

Finding gpu_finding() {
  const int count = driver::cuda_device_count();
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (count == 0)
    return {"GPU", Health::kMissing, "no CUDA device",
            visible ? str_cat("CUDA_VISIBLE_DEVICES=", visible, " may hide it")
                    : std::string("without one: flame verify --device sim")};
  try {
    const auto device = driver::open_cuda(0);
    return {
        "GPU", Health::kOk,
        str_cat(count, " found, cuda:0 is ", device->info().name, " (", device->info().arch, ")"),
        ""};
  } catch (const Error& e) {
    return {"GPU", Health::kMissing, e.what(), "install a driver at least as new as the toolkit"};
  }
}

Finding nvrtc_finding() {
  const Library found = find_nvrtc();
  if (!found.found)
    return {"NVRTC", Health::kMissing, found.problem,
            "install the CUDA toolkit (package cuda-nvrtc) or set CUDA_HOME"};
  const Library driver = find_driver();
  if (driver.found && driver.version > 0 && driver.version / 1000 < found.version / 1000)
    return {"NVRTC", Health::kMissing,
            str_cat(cuda_version(found.version), ", newer than the driver's CUDA ",
                    cuda_version(driver.version)),
            "install a newer driver, or an older toolkit and set CUDA_HOME to it"};
  return {"NVRTC", Health::kOk, cuda_version(found.version), ""};
}

Finding headers_finding() {
  const auto folder = driver::toolkit_include();
  if (folder.empty())
    return {"toolkit headers", Health::kMissing, "cuda_fp16.h is nowhere",
            "install the CUDA toolkit (package cuda-cudart-dev) or set CUDA_HOME"};
  return {"toolkit headers", Health::kOk, folder.string(), ""};
}

Finding cublaslt_finding() {
  const Library found = find_cublaslt();
  if (!found.found)
    return {"cuBLASLt", Health::kWarning, "not found: FLAME's own, slower matmul kernel is used",
            "install the CUDA toolkit (package libcublas) or set CUDA_HOME"};
  return {"cuBLASLt", Health::kOk, cublaslt_version(found.version), ""};
}

Finding cupti_finding() {
  const Library found = find_cupti();
  if (!found.found)
    return {"CUPTI", Health::kWarning, "not found: nothing can witness what runs on the GPU",
            "install the CUDA toolkit (package cuda-cupti) or set CUDA_HOME"};
  return {"CUPTI", Health::kOk, str_cat("API ", found.version), ""};
}

Finding cache_finding() {
  const jit::DiskCache cache;
  const std::string problem = why_not_writable(cache.folder());
  if (!problem.empty())
    return {"kernel cache", Health::kWarning,
            problem + ": every run compiles kernels and tunes products anew",
            "set FLAME_CACHE_DIR to a folder that can be written"};
  return {"kernel cache", Health::kOk, cache.folder().string(), ""};
}

// The whole road once: compile, load, launch, read back.
Finding kernel_finding() {
  try {
    const Device device = Device::cuda();
    const auto got = add(tensor({1, 2, 3}, {3}, device), 1).to_vector<float>();
    if (got == std::vector<float>{2, 3, 4})
      return {"a kernel runs", Health::kOk, "1 + (1, 2, 3) = (2, 3, 4) on the GPU", ""};
    return {"a kernel runs", Health::kMissing,
            str_cat("1 + (1, 2, 3) came back as (", got[0], ", ", got[1], ", ", got[2], ")"),
            "this GPU or its driver computes wrongly: flame verify shows where"};
  } catch (const Error& e) {
    return {"a kernel runs", Health::kMissing, e.what(), "see the lines above"};
  }
}

const char* health_name(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kWarning:
      return "warning";
    case Health::kMissing:
      return "missing";
  }
  return "";
}

int examine(bool json, bool quiet) {
  std::vector<Finding> findings{driver_finding(),  gpu_finding(),      nvrtc_finding(),
                                headers_finding(), cublaslt_finding(), cupti_finding(),
                                cache_finding()};
  const auto missing = [&] {
    for (const Finding& f : findings)
      if (f.health == Health::kMissing) return true;
    return false;
  };
  if (!missing()) findings.push_back(kernel_finding());
  if (json) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Finding& f : findings)
      list.push_back({{"what", f.what},
                      {"health", health_name(f.health)},
                      {"detail", f.detail},
                      {"fix", f.fix}});
    std::cout << list.dump(2) << '\n';
  } else if (!quiet) {
    Table table({"", "what", "found"});
    for (const Finding& f : findings) {
      const Colour colour = f.health == Health::kOk        ? Colour::kGreen
                            : f.health == Health::kWarning ? Colour::kYellow
                                                           : Colour::kRed;
      table.add({paint(health_name(f.health), colour), f.what, f.detail});
      if (!f.fix.empty()) table.add({"", "", "-> " + f.fix});
    }
    table.print(std::cout);
  }
  return missing() ? kEnvironment : kPass;
}

}  // namespace

Command add_doctor(CLI::App& root) {
  CLI::App* app = root.add_subcommand("doctor", "What is missing on this machine, and the fix");
  auto json = std::make_shared<bool>(false), quiet = std::make_shared<bool>(false);
  app->add_flag("--json", *json, "One JSON list on stdout");
  app->add_flag("--quiet", *quiet, "Only the exit code: 0, or 3 when something needed is missing");
  return {app, [json, quiet] { return examine(*json, *quiet); }};
}

}  // namespace flame::cli
