// Which algorithm a product takes, on disk beside the compiled kernels, so that every process takes
// the same one and rounds alike. Never the cause of an error, and never trusted: what is damaged,
// or names an algorithm that cuBLASLt does not propose for the product now, is chosen and written
// anew; a folder that cannot be written is done without, and each process then chooses for itself.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/jit/cache.h"

namespace flame::blas {

// An algorithm as cuBLASLt's attributes tell it: identifier, tile, parts of k, how they are added,
// order of tiles, custom option, stages, inner shape, cluster.
using Algorithm = std::array<std::uint32_t, 9>;
std::string to_string(const Algorithm& algorithm);

struct Choice {
  std::string product;  // for people: "bfloat16 8192 x 768 x 768"
  std::string device;   // likewise
  Algorithm algorithm{};
};

struct ChoiceStats {
  std::uint64_t hits = 0, misses = 0;
  std::uint64_t refused = 0;  // damaged, or no algorithm that is proposed now; misses as well
  std::uint64_t failed_writes = 0;
};

// One file.
struct ChoiceItem {
  std::filesystem::path path;
  std::uintmax_t bytes = 0;
  Choice choice;
  bool readable = true;  // false: damaged
};

class Choices {
 public:
  // Whether an algorithm is one of those proposed now.
  using Proposed = std::function<bool(const Algorithm&)>;

  explicit Choices(std::filesystem::path folder = jit::default_cache_folder());

  // What is kept under `key` (of jit::content_key).
  std::optional<Algorithm> find(const std::string& key, const Proposed& proposed);
  // Keeps a choice unless another process was first. Gives the one that counts from here on.
  Algorithm keep(const std::string& key, const Choice& choice, const Proposed& proposed);

  std::vector<ChoiceItem> list() const;  // by product
  std::size_t clear();                   // files removed
  ChoiceStats stats() const { return {hits_, misses_, refused_, failed_writes_}; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path path_of(const std::string& key) const;
  void complain(const std::string& what);

  std::filesystem::path folder_;
  std::atomic<std::uint64_t> hits_{0}, misses_{0}, refused_{0}, failed_writes_{0};
  std::atomic<bool> complained_{false};
};

}  // namespace flame::blas
