// Compiled kernels on disk. Shared safely by concurrent processes; never the cause of an error: an
// entry that cannot be read is compiled again, a folder that cannot be written is done without.
#pragma once
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lib/jit/image.h"

namespace flame::jit {

// One kernel of a compiled image.
struct CompiledEntry {
  std::string expression;  // "unary_forward<Exp, float>"
  std::string lowered;     // its name in the image
  Resources resources;
};

// One run of the compiler.
struct Compiled {
  std::string file;     // "unary.cu"
  std::string arch;     // "sm_90a"
  std::string options;  // separated by spaces
  std::string log;
  std::vector<CompiledEntry> entries;
  std::vector<std::byte> image;
  bool from_cache = false;  // not stored
  double seconds = 0;       // of compiling; 0 from the cache. Not stored
};

struct CacheStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;   // compiled; corrupt ones are counted here too
  std::uint64_t corrupt = 0;  // entries whose content was not what was stored
  std::uint64_t failed_writes = 0;
};

// One file of the cache.
struct CacheItem {
  std::filesystem::path path;
  std::uintmax_t bytes = 0;
  std::string file, arch;
  std::vector<std::string> expressions;
  bool readable = true;  // false: corrupt
};

// 32 hexadecimal digits (XXH3, 128 bits) of the parts; how they are cut matters too.
std::string content_key(const std::vector<std::string_view>& parts);

// $FLAME_CACHE_DIR, $XDG_CACHE_HOME/flame, ~/.cache/flame, or a folder in the temporary one.
std::filesystem::path default_cache_folder();

class DiskCache {
 public:
  explicit DiskCache(std::filesystem::path folder = default_cache_folder());

  // The entry of `key` (of content_key), if there is one and its content is intact. Counts.
  std::optional<Compiled> load(const std::string& key);
  // Stores under a temporary name, then renames: readers see all of it or nothing.
  void store(const std::string& key, const Compiled& compiled);

  std::vector<CacheItem> list() const;  // by file name; includes unreadable ones
  std::size_t clear();                  // files removed; touches no file that is not the cache's
  CacheStats stats() const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void complain(const std::string& what);

  std::filesystem::path folder_;
  std::atomic<std::uint64_t> hits_{0}, misses_{0}, corrupt_{0}, failed_writes_{0};
  std::atomic<bool> complained_{false};
};

}  // namespace flame::jit
