#include "lib/jit/cache_file.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/core/error.h"

namespace flame::jit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporary = ".new-";
constexpr std::size_t kDigestBytes = 32;

}  // namespace

std::string digest(std::string_view bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  char out[kDigestBytes + 1];
  std::snprintf(out, sizeof out, "%016llx%016llx", static_cast<unsigned long long>(h.high64),
                static_cast<unsigned long long>(h.low64));
  return out;
}

std::uint64_t Reader::number() {
  std::uint64_t v = 0;
  const std::string_view raw = take(sizeof v);
  if (ok) std::memcpy(&v, raw.data(), sizeof v);
  return v;
}

std::string_view Reader::take(std::uint64_t n) {
  if (!ok || n > in_.size()) {
    ok = false;
    return {};
  }
  const std::string_view out = in_.substr(0, n);
  in_.remove_prefix(n);
  return out;
}

std::string sealed(std::string_view magic, std::string_view content) {
  return str_cat(magic, digest(content), content);
}

std::optional<std::string_view> unsealed(std::string_view magic, std::string_view bytes) {
  const std::size_t head = magic.size() + kDigestBytes;
  if (bytes.size() < head || !bytes.starts_with(magic)) return std::nullopt;
  const std::string_view content = bytes.substr(head);
  if (bytes.substr(magic.size(), kDigestBytes) != digest(content)) return std::nullopt;
  return content;
}

std::optional<std::string> read_cache_file(const fs::path& path, std::uintmax_t most) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  if (const std::uintmax_t size = fs::file_size(path, error); error || size > most)
    return std::nullopt;
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::string out((std::istreambuf_iterator<char>(in)), {});
  return in.bad() ? std::nullopt : std::optional(std::move(out));
}

bool write_cache_file(const fs::path& path, std::string_view bytes) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  const fs::path temporary =
      path.parent_path() /
      str_cat(kTemporary, getpid(), "-", std::random_device{}(), "-", path.filename().string());
  bool written = false;
  {
    std::ofstream out(temporary, std::ios::binary);
    written = bool(out.write(bytes.data(), std::streamsize(bytes.size())).flush());
  }
  if (written) {
    fs::rename(temporary, path, error);
    if (!error) return true;
  }
  fs::remove(temporary, error);
  return false;
}

bool may_be_cleared(const fs::path& path, std::string_view suffix) {
  const std::string name = path.filename().string();
  if (!name.ends_with(suffix)) return false;
  if (!name.starts_with(kTemporary)) return true;
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  return !error && fs::file_time_type::clock::now() - written > std::chrono::hours(1);
}

std::size_t clear_cache_files(const fs::path& folder, std::string_view suffix) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (may_be_cleared(at->path(), suffix)) files.push_back(at->path());
  std::size_t removed = 0;
  for (const fs::path& file : files) removed += fs::remove(file, error) ? 1 : 0;
  return removed;
}

}  // namespace flame::jit
