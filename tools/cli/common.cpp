#include <string_view>

#include "conformance/runner/device_factory.h"
#include "lib/core/error.h"
#include "lib/tensor/device.h"
#include "tools/cli/build_info.h"  // generated
#include "tools/cli/command.h"
#include "tools/cli/environment.h"

namespace flame::cli {
namespace {

std::string& stored_command_line() {
  static std::string line;
  return line;
}

std::string shell_quoted(std::string_view text) {
  const bool plain = !text.empty() && text.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_=+/.,:@%") == std::string_view::npos;
  if (plain) return std::string(text);
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

void set_command_line(int argc, char** argv) {
  std::string& line = stored_command_line();
  line = "flame";
  for (int i = 1; i < argc; ++i) {
    // Where the records lie says something of a machine and nothing of the run.
    const std::string_view word(argv[i]);
    if (word == "--out") ++i;
    if (word.starts_with("--out")) continue;
    line += " ";
    line += shell_quoted(word);
  }
}
const std::string& command_line() { return stored_command_line(); }

std::string choose_device(const std::string& asked) {
  // Before any worker starts, so that a bad value is one usage error and not one per worker.
  options_from_environment();
  if (!asked.empty()) {
    const bool index = asked.starts_with("cuda:") && asked.size() > 5 &&
                       asked.find_first_not_of("0123456789", 5) == std::string::npos;
    check<ValueError>(asked == "sim" || asked == "cuda" || index, "--device ", asked,
                      " is none of sim, cuda, cuda:<index>");
    return asked;
  }
  check<NoDeviceError>(conformance::cuda_devices_for_workers() > 0,
                       "no CUDA device (flame doctor says why). FLAME has no CPU fallback; "
                       "--device sim asks for the simulated device, which proves nothing of a GPU");
  return "cuda";
}

const BuildInfo& build_info() {
  static constexpr BuildInfo kInfo{FLAME_VERSION, FLAME_COMMIT, FLAME_DIRTY, FLAME_COMPILER,
                                   FLAME_BUILD_TYPE};
  return kInfo;
}

void complete_manifest(records::RunManifest& manifest) {
  const BuildInfo& build = build_info();
  manifest.flame_version = build.version;
  manifest.commit = build.commit;
  manifest.dirty = build.dirty;
  manifest.compiler = build.compiler;
  manifest.build_type = build.build_type;
  manifest.command = command_line();
  manifest.environment = set_variables();
}

}  // namespace flame::cli
