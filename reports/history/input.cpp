#define XXH_INLINE_ALL
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <iomanip>
#include <sstream>

#include "lib/core/error.h"
#include "reports/history/store.h"

namespace flame::history {
namespace {

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  check<FileError>(bool(in), path.string(), ": cannot be opened");
  std::ostringstream text;
  text << in.rdbuf();
  check<FileError>(!in.bad(), path.string(), ": cannot be read");
  return text.str();
}

// Each file's name and length go in before it: no byte can move from one file to the next.
std::string hash_of(const std::filesystem::path& root) {
  std::string all;
  for (const char* name : {"run.json", "bench.jsonl", "records.jsonl"}) {
    if (!std::filesystem::exists(root / name)) continue;
    const std::string text = bytes_of(root / name);
    all += str_cat(name, " ", text.size(), "\n") + text;
  }
  const XXH128_hash_t hash = XXH3_128bits(all.data(), all.size());
  std::ostringstream out;
  out << std::hex << std::setfill('0') << std::setw(16) << hash.high64 << std::setw(16)
      << hash.low64;
  return out.str();
}

}  // namespace

SeriesKey key_of(const records::BenchRow& r) {
  return {r.case_name,      r.op,  r.direction, r.dtype, r.sizes,  r.compute_mode, r.temperature,
          r.implementation, r.gpu, r.driver,    r.cuda,  r.harness};
}

RunInput read_input(const std::string& folder) {
  const std::filesystem::path root(folder);
  check<FileError>(std::filesystem::is_directory(root), folder, ": not a folder");
  const bool bench = records::has_bench(folder);
  const bool verify = std::filesystem::exists(root / "records.jsonl");
  check<FileError>(bench || verify, folder, ": holds neither bench.jsonl nor records.jsonl");
  RunInput input;
  input.content = hash_of(root);
  if (bench) {
    records::BenchRun run = records::read_bench(folder);
    input.manifest = std::move(run.manifest);
    input.rows = std::move(run.rows);
  }
  if (verify) {
    records::Run run = records::read_run(folder);
    input.manifest = std::move(run.manifest);
    input.records = std::move(run.records);
  }
  check<FileError>(input.manifest.state.empty(), folder,
                   ": the run has not ended, or was killed: it is no night");
  return input;
}

}  // namespace flame::history
