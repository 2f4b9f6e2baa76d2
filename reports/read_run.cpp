// A run's folder, read whole or refused.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "lib/core/error.h"
#include "reports/fields.h"
#include "reports/record.h"

namespace flame::records {
namespace {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  check<FileError>(bool(in), path.string(), ": cannot be opened");
  std::ostringstream text;
  text << in.rdbuf();
  check<FileError>(in.good() || in.eof(), path.string(), ": cannot be read");
  return text.str();
}

template <class Item>
void require_one_device(const std::filesystem::path& path, const std::vector<Item>& items,
                        const RunManifest& manifest) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    check<FileError>(items[i].device_kind == manifest.device_kind, path.string(), ":", i + 1,
                     ": device_kind \"", items[i].device_kind, "\" in a run on \"",
                     manifest.device_kind, "\"");
  }
}

}  // namespace

Run read_run(const std::string& folder) {
  const std::filesystem::path root(folder);
  check<FileError>(std::filesystem::is_directory(root), folder, ": not a folder");
  Run run;
  const auto manifest = root / "run.json";
  try {
    run.manifest = parse_manifest(read_text(manifest));
  } catch (const FileError& e) {
    const std::string why = e.what();
    if (why.starts_with(manifest.string())) throw;
    throw FileError(str_cat(manifest.string(), ": ", why));
  }
  const auto records = root / "records.jsonl";
  const bool running = run.manifest.state == kRunning;
  // Killed before its first record, a run has none.
  if (!running || std::filesystem::exists(records))
    run.records = read_lines(records.string(), parse_record, running);
  require_one_device(records, run.records, run.manifest);
  for (std::size_t i = 0; i < run.records.size(); ++i) {
    // The ledger is the simulator's own word: it never proves a GPU.
    check<FileError>(run.records[i].witness.empty() ||
                         (run.records[i].witness == "cupti") == (run.manifest.device_kind == "gpu"),
                     records.string(), ":", i + 1, ": witness \"", run.records[i].witness,
                     "\" on device_kind \"", run.manifest.device_kind, "\"");
  }
  const auto kills = root / "kills.jsonl";
  if (std::filesystem::exists(kills)) {
    run.kills = read_lines(kills.string(), parse_kill, running);
    require_one_device(kills, run.kills, run.manifest);
  }
  return run;
}

}  // namespace flame::records
