#include <filesystem>
#include <fstream>

#include "conformance/runner/verify.h"
#include "lib/core/error.h"

namespace flame::conformance {

struct RunFolder::Files {
  std::filesystem::path folder;
  std::ofstream records, kills;
};

namespace {

void write_line(std::ofstream& file, const std::filesystem::path& path, const std::string& line) {
  if (!file.is_open()) file.open(path, std::ios::trunc);
  file << line << '\n' << std::flush;
  check<FileError>(file.good(), "run folder: ", path.string(), " cannot be written");
}

}  // namespace

RunFolder::RunFolder(const std::string& folder) : files_(new Files{folder, {}, {}}) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) {
    // What an earlier run left under these names is not this run's.
    for (const char* name : {"run.json", "records.jsonl", "kills.jsonl"})
      std::filesystem::remove(files_->folder / name, error);
  }
  if (error) {
    delete files_;
    throw FileError(str_cat("run folder: ", folder, ": ", error.message()));
  }
}

RunFolder::~RunFolder() { delete files_; }

void RunFolder::write(const records::Record& record) {
  write_line(files_->records, files_->folder / "records.jsonl", records::to_line(record));
}
void RunFolder::write(const records::Kill& kill) {
  write_line(files_->kills, files_->folder / "kills.jsonl", records::to_line(kill));
}
void RunFolder::write(const records::RunManifest& manifest) {
  // Whole or not at all: it is written at the start and again at the end.
  const auto path = files_->folder / "run.json", fresh = files_->folder / "run.json.new";
  std::ofstream file(fresh, std::ios::trunc);
  file << records::to_json(manifest) << '\n' << std::flush;
  check<FileError>(file.good(), "run folder: ", fresh.string(), " cannot be written");
  file.close();
  std::error_code error;
  std::filesystem::rename(fresh, path, error);
  check<FileError>(!error, "run folder: ", path.string(), ": ", error.message());
}

}  // namespace flame::conformance
