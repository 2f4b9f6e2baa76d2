// What every command of `flame` shares: how it is declared, what its exit codes mean, and how it
// talks. Data goes to stdout, words go to stderr.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "reports/record.h"

namespace flame::cli {

enum ExitCode : int {
  kPass = 0,
  kFailure = 1,       // something was proved wrong
  kUsage = 2,         // an option, a name or a file that does not make sense
  kEnvironment = 3,   // no GPU, no driver, no NVRTC
  kInconclusive = 4,  // nothing failed, but nothing was proved either
  kInternal = 70,     // a bug of FLAME's
};

struct Command {
  CLI::App* app;
  std::function<int()> run;  // gives the exit code; may throw flame::Error
};

Command add_info(CLI::App& root);
Command add_doctor(CLI::App& root);
Command add_ops(CLI::App& root);
Command add_verify(CLI::App& root);
Command add_replay(CLI::App& root);
Command add_report(CLI::App& root);
Command add_kernels(CLI::App& root);
Command add_record(CLI::App& root);
Command add_compare(CLI::App& root);
Command add_regress(CLI::App& root);
Command add_bench(CLI::App& root);

// The command line as it was given, quoted for a shell, without --out and the program's path.
void set_command_line(int argc, char** argv);
const std::string& command_line();

// What was asked for; where nothing was, "cuda" if there is a GPU, else NoDeviceError that says how
// to ask for the simulated device: never a fallback. Throws ValueError for a name that is no
// device's, and for a FLAME_* variable with a value that it does not take.
std::string choose_device(const std::string& asked);

// What of the sources this program was built from; set when it was built.
struct BuildInfo {
  const char* version;
  const char* commit;  // "unknown" outside a git checkout
  bool dirty;
  const char* compiler;
  const char* build_type;
};
const BuildInfo& build_info();

// Fills in what the suite cannot know: the commit, the command line, the environment.
void complete_manifest(records::RunManifest& manifest);

}  // namespace flame::cli
