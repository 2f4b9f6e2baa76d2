#include "lib/jit/cache.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "lib/core/error.h"
#include "lib/jit/cache_file.h"

namespace flame::jit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "FLAMEK03";  // the format; a change of it starts a new cache
constexpr std::string_view kSuffix = ".flamek";

std::string serialize(const std::string& key, const Compiled& c) {
  Writer w;
  w.text(key);
  for (const std::string* s : {&c.file, &c.arch, &c.options, &c.log}) w.text(*s);
  w.number(c.entries.size());
  for (const CompiledEntry& e : c.entries) {
    w.text(e.expression);
    w.text(e.lowered);
    const Resources& r = e.resources;
    for (std::uint64_t v :
         {std::uint64_t(r.registers), std::uint64_t(r.max_threads), std::uint64_t(r.static_shared),
          std::uint64_t(r.stack_bytes), std::uint64_t(r.spill_bytes), std::uint64_t(r.code_bytes),
          std::uint64_t(r.parameters)})
      w.number(v);
  }
  w.text({reinterpret_cast<const char*>(c.image.data()), c.image.size()});
  return sealed(kMagic, w.take());
}

std::optional<Compiled> deserialize(std::string_view bytes, std::string* key) {
  const std::optional<std::string_view> body = unsealed(kMagic, bytes);
  if (!body) return std::nullopt;
  Reader r(*body);
  Compiled c;
  *key = r.text();
  for (std::string* s : {&c.file, &c.arch, &c.options, &c.log}) *s = r.text();
  const std::uint64_t count = r.number();
  for (std::uint64_t i = 0; i < count && r.ok; ++i) {
    CompiledEntry e;
    e.expression = r.text();
    e.lowered = r.text();
    e.resources.registers = int(r.number());
    e.resources.max_threads = int(r.number());
    for (std::size_t* v :
         {&e.resources.static_shared, &e.resources.stack_bytes, &e.resources.spill_bytes,
          &e.resources.code_bytes, &e.resources.parameters})
      *v = r.number();
    c.entries.push_back(std::move(e));
  }
  const std::string_view image = r.text();
  const auto* begin = reinterpret_cast<const std::byte*>(image.data());
  c.image.assign(begin, begin + image.size());
  c.from_cache = true;
  if (!r.ok || !r.at_end()) return std::nullopt;
  return c;
}

}  // namespace

std::string content_key(const std::vector<std::string_view>& parts) {
  Writer w;
  for (std::string_view part : parts) w.text(part);
  return digest(w.take());
}

fs::path default_cache_folder() {
  auto variable = [](const char* name) -> fs::path {
    const char* value = std::getenv(name);
    return value ? value : "";
  };
  if (fs::path folder = variable("FLAME_CACHE_DIR"); !folder.empty()) return folder;
  if (fs::path folder = variable("XDG_CACHE_HOME"); !folder.empty()) return folder / "flame";
  if (fs::path folder = variable("HOME"); !folder.empty()) return folder / ".cache" / "flame";
  std::error_code error;
  const fs::path temporary = fs::temp_directory_path(error);
  return (error ? fs::path("/tmp") : temporary) / str_cat("flame-", getuid());
}

DiskCache::DiskCache(fs::path folder) : folder_(std::move(folder)) {}

std::optional<Compiled> DiskCache::load(const std::string& key) {
  const fs::path path = folder_ / (key + std::string(kSuffix));
  const std::optional<std::string> bytes = read_cache_file(path);
  std::string stored_key;
  std::optional<Compiled> out;
  if (bytes) {
    out = deserialize(*bytes, &stored_key);
    if (out && stored_key != key) out.reset();
    if (!out) {
      ++corrupt_;
      complain(str_cat("the cached kernel ", path.string(), " is damaged and is compiled again"));
    }
  }
  ++(out ? hits_ : misses_);
  return out;
}

void DiskCache::store(const std::string& key, const Compiled& compiled) {
  if (write_cache_file(folder_ / (key + std::string(kSuffix)), serialize(key, compiled))) return;
  ++failed_writes_;
  complain(str_cat("the kernel cache ", folder_.string(),
                   " cannot be written, so kernels are compiled anew in every process"));
}

std::vector<CacheItem> DiskCache::list() const {
  std::vector<CacheItem> out;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != kSuffix || at->path().filename().string()[0] == '.') continue;
    CacheItem item{at->path(), 0, {}, {}, {}, false};
    std::string key;
    if (const std::optional<std::string> bytes = read_cache_file(item.path)) {
      item.bytes = bytes->size();
      if (const std::optional<Compiled> c = deserialize(*bytes, &key)) {
        item.readable = key == item.path.stem().string();
        item.file = c->file;
        item.arch = c->arch;
        for (const CompiledEntry& e : c->entries) item.expressions.push_back(e.expression);
      }
    }
    out.push_back(std::move(item));
  }
  std::sort(out.begin(), out.end(), [](const CacheItem& a, const CacheItem& b) {
    return std::tie(a.file, a.arch, a.expressions, a.path) <
           std::tie(b.file, b.arch, b.expressions, b.path);
  });
  return out;
}

std::size_t DiskCache::clear() { return clear_cache_files(folder_, kSuffix); }

CacheStats DiskCache::stats() const { return {hits_, misses_, corrupt_, failed_writes_}; }

void DiskCache::complain(const std::string& what) {
  if (complained_.exchange(true)) return;
  std::fprintf(stderr, "flame: %s\n", what.c_str());
}

}  // namespace flame::jit
