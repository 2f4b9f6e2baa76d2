// flame bench: runs the program flame_bench, which lies beside this one. It is a program of its own
// because Google Benchmark is a shared library, and `flame` must start anywhere.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "lib/core/error.h"
#include "tools/cli/command.h"

namespace flame::cli {
namespace {

int bench(const std::vector<std::string>& given) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  check<FileError>(!error, "bench: /proc/self/exe: ", error.message());
  const std::string program = (self.parent_path() / "flame_bench").string();
  check<FileError>(std::filesystem::exists(program), "bench: there is no ", program,
                   ": build the target flame_bench");
  std::vector<std::string> words{program};
  words.insert(words.end(), given.begin(), given.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  throw FileError(str_cat("bench: ", program, ": ", std::strerror(errno)));
}

}  // namespace

Command add_bench(CLI::App& root) {
  CLI::App* app =
      root.add_subcommand("bench", "Time every op against the card's limit and against peers");
  app->set_help_flag();  // --help is flame_bench's to answer
  app->prefix_command();
  return {app, [app] { return bench(app->remaining()); }};
}

}  // namespace flame::cli
