#include "lib/blas/choices.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>
#include <tuple>

#include "lib/core/error.h"
#include "lib/jit/cache_file.h"

namespace flame::blas {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "FLAMEC01";  // the format; a change of it chooses anew
constexpr std::string_view kSuffix = ".flamec";
constexpr std::string_view kLock = ".choices.lock";
constexpr std::uintmax_t kMostBytes = 4096;  // of an entry

// Held by one thread of one process at a time, and let go by the system when that one dies.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder) {
    using std::chrono::steady_clock;
    std::error_code error;
    fs::create_directories(folder, error);
    const fs::path path = folder / kLock;
    file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    const auto until = steady_clock::now() + std::chrono::seconds(2);
    while (file_ >= 0 && !(held_ = ::flock(file_, LOCK_EX | LOCK_NB) == 0)) {
      if ((errno != EWOULDBLOCK && errno != EINTR) || steady_clock::now() > until) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  ~FolderLock() {
    if (file_ >= 0) ::close(file_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  bool held() const { return held_; }

 private:
  int file_ = -1;
  bool held_ = false;
};

std::string serialize(const std::string& key, const Choice& c) {
  jit::Writer w;
  for (const std::string* s : {&key, &c.product, &c.device}) w.text(*s);
  for (std::uint32_t v : c.algorithm) w.number(v);
  return jit::sealed(kMagic, w.take());
}

std::optional<Choice> deserialize(std::string_view bytes, std::string* key) {
  const std::optional<std::string_view> body = jit::unsealed(kMagic, bytes);
  if (!body) return std::nullopt;
  jit::Reader r(*body);
  Choice c;
  for (std::string* s : {key, &c.product, &c.device}) *s = r.text();
  for (std::uint32_t& v : c.algorithm) v = std::uint32_t(r.number());
  if (!r.ok || !r.at_end()) return std::nullopt;
  return c;
}

enum class State { kAbsent, kDamaged, kNotProposed, kKept };

State read(const fs::path& path, const std::string& key, const Choices::Proposed& proposed,
           Algorithm* out) {
  std::error_code error;
  if (fs::symlink_status(path, error).type() == fs::file_type::not_found) return State::kAbsent;
  const std::optional<std::string> bytes = jit::read_cache_file(path, kMostBytes);
  std::string stored_key;
  const std::optional<Choice> choice = bytes ? deserialize(*bytes, &stored_key) : std::nullopt;
  if (!choice || stored_key != key) return State::kDamaged;
  if (!proposed(choice->algorithm)) return State::kNotProposed;
  *out = choice->algorithm;
  return State::kKept;
}

}  // namespace

std::string to_string(const Algorithm& algorithm) {
  std::string out = std::to_string(algorithm[0]);
  for (std::size_t i = 1; i < algorithm.size(); ++i) out += str_cat(".", algorithm[i]);
  return out;
}

Choices::Choices(fs::path folder) : folder_(std::move(folder)) {}

fs::path Choices::path_of(const std::string& key) const {
  return folder_ / (key + std::string(kSuffix));
}

std::optional<Algorithm> Choices::find(const std::string& key, const Proposed& proposed) {
  Algorithm kept{};
  const State state = read(path_of(key), key, proposed, &kept);
  if (state == State::kKept) {
    ++hits_;
    return kept;
  }
  ++misses_;
  if (state == State::kAbsent) return std::nullopt;
  ++refused_;
  complain(str_cat("the kept choice of an algorithm ", path_of(key).string(),
                   state == State::kDamaged ? " is damaged" : " names none that cuBLASLt proposes",
                   " and is made again"));
  return std::nullopt;
}

Algorithm Choices::keep(const std::string& key, const Choice& choice, const Proposed& proposed) {
  {
    const FolderLock lock(folder_);
    Algorithm kept{};
    if (lock.held() && read(path_of(key), key, proposed, &kept) == State::kKept) return kept;
    if (lock.held() && jit::write_cache_file(path_of(key), serialize(key, choice)))
      return choice.algorithm;
  }
  ++failed_writes_;
  complain(str_cat("the choices of algorithms in ", folder_.string(),
                   " cannot be written, so every process makes its own: results of large products "
                   "may differ from process to process in their last bits"));
  return choice.algorithm;
}

std::vector<ChoiceItem> Choices::list() const {
  std::vector<ChoiceItem> out;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != kSuffix || at->path().filename().string()[0] == '.') continue;
    ChoiceItem item{at->path(), 0, {}, false};
    std::string key;
    if (const auto bytes = jit::read_cache_file(item.path, kMostBytes)) {
      item.bytes = bytes->size();
      if (const std::optional<Choice> c = deserialize(*bytes, &key)) {
        item.readable = key == item.path.stem().string();
        item.choice = *c;
      }
    }
    out.push_back(std::move(item));
  }
  std::sort(out.begin(), out.end(), [](const ChoiceItem& a, const ChoiceItem& b) {
    return std::tie(a.choice.product, a.choice.device, a.path) <
           std::tie(b.choice.product, b.choice.device, b.path);
  });
  return out;
}

std::size_t Choices::clear() { return jit::clear_cache_files(folder_, kSuffix); }

void Choices::complain(const std::string& what) {
  if (complained_.exchange(true)) return;
  std::fprintf(stderr, "flame: %s\n", what.c_str());
}

}  // namespace flame::blas
