// The form that every file of the cache folder has: what it is, a digest of its content, the
// content. What was cut short, changed or written by something else does not open.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace flame::jit {

// 32 hexadecimal digits (XXH3, 128 bits).
std::string digest(std::string_view bytes);

class Writer {
 public:
  void number(std::uint64_t v) { out_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void text(std::string_view v) {
    number(v.size());
    out_ += v;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Fails by `ok` turning false; the content's digest was checked before, so it should not.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  std::uint64_t number();
  std::string_view text() { return take(number()); }
  bool at_end() const { return in_.empty(); }
  bool ok = true;

 private:
  std::string_view take(std::uint64_t n);
  std::string_view in_;
};

// `magic` names the format and its version: a change of it starts anew.
std::string sealed(std::string_view magic, std::string_view content);
std::optional<std::string_view> unsealed(std::string_view magic, std::string_view bytes);

// Nothing where it is no ordinary file, cannot be read or is longer than `most`.
std::optional<std::string> read_cache_file(const std::filesystem::path& path,
                                           std::uintmax_t most = UINTMAX_MAX);
// Under a temporary name, then renamed: readers see all of it or nothing. False where it could not
// be written; nothing is left behind then.
bool write_cache_file(const std::filesystem::path& path, std::string_view bytes);

// Whether a file of the cache that ends in `suffix` may go: an entry, or what a process that died
// while writing left behind. A younger temporary file is one that another process is writing now.
bool may_be_cleared(const std::filesystem::path& path, std::string_view suffix);
// Removes those; gives how many.
std::size_t clear_cache_files(const std::filesystem::path& folder, std::string_view suffix);

}  // namespace flame::jit
