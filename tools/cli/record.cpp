// flame record: runs into the history.
#include <iostream>
#include <memory>

#include "reports/history/store.h"
#include "tools/cli/command.h"

namespace flame::cli {
namespace {

int record(const std::string& database, const std::vector<std::string>& folders) {
  // All are read before any is kept: a damaged folder must not leave half of the list behind.
  std::vector<history::RunInput> runs;
  for (const std::string& folder : folders) runs.push_back(history::read_input(folder));
  history::Store store(database, history::Access::kWrite);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const bool fresh = store.record(runs[i]);
    std::cout << folders[i] << ": " << (fresh ? "recorded" : "was recorded before, nothing to do")
              << " (" << runs[i].rows.size() << " bench rows, " << runs[i].records.size()
              << " checks)\n";
  }
  std::cerr << database << " holds " << store.runs() << " runs\n";
  return kPass;
}

}  // namespace

Command add_record(CLI::App& root) {
  CLI::App* app = root.add_subcommand("record", "Keep runs in the history");
  auto database = std::make_shared<std::string>();
  auto folders = std::make_shared<std::vector<std::string>>();
  app->add_option("database", *database, "SQLite file; made when it is not there")->required();
  app->add_option("folders", *folders, "Folders with run.json and bench.jsonl or records.jsonl")
      ->required();
  return {app, [database, folders] { return record(*database, *folders); }};
}

}  // namespace flame::cli
