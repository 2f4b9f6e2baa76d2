// The command line.
#include <exception>
#include <iostream>

#include "lib/core/error.h"
#include "tools/cli/command.h"
#include "tools/cli/environment.h"

namespace {

using flame::cli::Command;

int run(int argc, char** argv) {
  namespace cli = flame::cli;
  CLI::App root("FLAME: GPU tensors with gradients, and the suite that proves them.", "flame");
  root.require_subcommand(1);
  root.set_version_flag("--version", cli::build_info().version);
  const Command commands[] = {cli::add_info(root),    cli::add_doctor(root), cli::add_ops(root),
                              cli::add_verify(root),  cli::add_replay(root), cli::add_report(root),
                              cli::add_kernels(root), cli::add_bench(root),  cli::add_record(root),
                              cli::add_compare(root), cli::add_regress(root)};
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return root.exit(e) == 0 ? cli::kPass : cli::kUsage;
  }
  cli::set_command_line(argc, argv);
  cli::warn_about_environment(std::cerr);
  for (const Command& command : commands)
    if (*command.app) return command.run();
  return cli::kInternal;
}

int failed(int code, const char* why) {
  std::cerr << "flame: " << why << '\n';
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  namespace cli = flame::cli;
  try {
    return run(argc, argv);
  } catch (const flame::NoDeviceError& e) {
    return failed(cli::kEnvironment, e.what());
  } catch (const flame::DriverError& e) {
    return failed(cli::kEnvironment, e.what());
  } catch (const flame::OutOfMemoryError& e) {
    return failed(cli::kEnvironment, e.what());
  } catch (const flame::FileError& e) {
    return failed(cli::kUsage, e.what());
  } catch (const flame::UnknownOpError& e) {
    return failed(cli::kUsage, e.what());
  } catch (const flame::ValueError& e) {
    return failed(cli::kUsage, e.what());
  } catch (const std::exception& e) {
    return failed(cli::kInternal, e.what());
  }
}
