// The kernel cache: what is in its key, and what it does about damage, other processes and folders
// that cannot be written.
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <thread>

#include "tests/support/jit_fixture.h"

extern char** environ;

namespace flame::jit {
namespace {

using JitCacheTest = JitTest;

TEST_F(JitCacheTest, SecondCompileComesFromTheCache) {
  const Compiled first = compiler().compile({"scale.cu", {kScale}, "sm_90a"});
  EXPECT_FALSE(first.from_cache);
  Compiler c = compiler();
  const Compiled second = c.compile({"scale.cu", {kScale}, "sm_90a"});
  EXPECT_TRUE(second.from_cache);
  EXPECT_TRUE(second.image == first.image);
  EXPECT_EQ(second.log, first.log);
  EXPECT_EQ(second.options, first.options);
  ASSERT_EQ(second.entries.size(), 1u);
  EXPECT_EQ(second.entries[0].lowered, first.entries[0].lowered);
  EXPECT_EQ(second.entries[0].resources, first.entries[0].resources);
  EXPECT_EQ(c.cache().stats().hits, 1u);
  EXPECT_EQ(c.cache().stats().misses, 0u);
}

TEST_F(JitCacheTest, EverythingThatMattersIsInTheKey) {
  compiler().compile({"scale.cu", {kScale}, "sm_90a"});
  auto compiles_anew = [&](const Request& request) {
    return !compiler().compile(request).from_cache;
  };
  EXPECT_TRUE(compiles_anew({"scale.cu", {kScale}, "sm_80"}));
  EXPECT_TRUE(compiles_anew({"scale.cu", {"scale<float, 5, true>"}, "sm_90a"}));
  EXPECT_TRUE(compiles_anew({"scale.cu", {kScale}, "sm_90a", {"--maxrregcount=32"}}));
  EXPECT_FALSE(compiles_anew({"scale.cu", {kScale}, "sm_90a"}));
  sources_[2].text = "#pragma once\nconstexpr int kFactor = 4;\n";  // two includes away
  EXPECT_TRUE(compiles_anew({"scale.cu", {kScale}, "sm_90a"}));
  sources_[3].text = "// nothing that scale.cu includes";
  EXPECT_FALSE(compiles_anew({"scale.cu", {kScale}, "sm_90a"}));
}

TEST_F(JitCacheTest, DamagedEntriesAreCompiledAgain) {
  const Compiled good = compiler().compile({"scale.cu", {kScale}, "sm_90a"});
  const fs::path entry = only_entry();
  const std::string intact = read_file(entry);
  auto damaged = [&](const std::string& content) {
    std::ofstream(entry, std::ios::binary | std::ios::trunc) << content;
    Compiler c = compiler();
    const Compiled out = c.compile({"scale.cu", {kScale}, "sm_90a"});
    EXPECT_TRUE(out.image == good.image);
    EXPECT_FALSE(out.from_cache);
    EXPECT_EQ(c.cache().stats().corrupt, 1u);
    EXPECT_EQ(c.cache().stats().misses, 1u);
    EXPECT_TRUE(compiler().compile({"scale.cu", {kScale}, "sm_90a"}).from_cache);  // mended
  };
  testing::internal::CaptureStderr();
  damaged("");
  EXPECT_TRUE(has(testing::internal::GetCapturedStderr(), "damaged"));
  damaged(intact.substr(0, intact.size() / 2));
  damaged(intact + "x");
  std::string flipped = intact;
  flipped[flipped.size() / 2] ^= 1;
  damaged(flipped);
  damaged("__global__ void scale() {}");
}

TEST_F(JitCacheTest, AnEntryUnderAnotherKeyIsNotTaken) {
  compiler().compile({"scale.cu", {kScale}, "sm_80"});
  const fs::path other = only_entry();
  compiler().compile({"scale.cu", {kScale}, "sm_90a"});
  fs::path mine;
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    if (entry.path() != other) mine = entry.path();
  fs::copy_file(other, mine, fs::copy_options::overwrite_existing);
  Compiler c = compiler();
  EXPECT_FALSE(c.compile({"scale.cu", {kScale}, "sm_90a"}).from_cache);
  EXPECT_EQ(c.cache().stats().corrupt, 1u);
}

TEST_F(JitCacheTest, AnUnwritableFolderIsSaidOnceAndIsNoError) {
  const fs::path file = folder_.path() / "file";
  std::ofstream(file) << "in the way";
  Compiler c = compiler(file / "cache");  // even root cannot make a folder in a file
  testing::internal::CaptureStderr();
  c.compile({"scale.cu", {kScale}, "sm_80"});
  c.compile({"scale.cu", {kScale}, "sm_90"});
  const std::string said = testing::internal::GetCapturedStderr();
  const std::size_t at = said.find("cannot be written");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(said.find("cannot be written", at + 1), std::string::npos) << said;
  EXPECT_EQ(c.cache().stats().failed_writes, 2u);
}

TEST_F(JitCacheTest, EntriesAreListedAndCleared) {
  compiler().compile({"scale.cu", {kScale}, "sm_80"});
  std::ofstream(folder_.path() / "mine.txt") << "not the cache's";
  std::ofstream(folder_.path() / "00.flamek") << "damaged";
  std::ofstream(folder_.path() / ".new-1-2-3.flamek") << "being written";
  const fs::path left = folder_.path() / ".new-4-5-6.flamek";
  std::ofstream(left) << "left by a process that died";
  fs::last_write_time(left, fs::file_time_type::clock::now() - std::chrono::hours(2));
  DiskCache cache(folder_.path());
  const std::vector<CacheItem> items = cache.list();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_FALSE(items[0].readable);
  EXPECT_TRUE(items[1].readable);
  EXPECT_EQ(items[1].file, "scale.cu");
  EXPECT_EQ(items[1].arch, "sm_80");
  EXPECT_EQ(items[1].expressions, std::vector<std::string>{kScale});
  EXPECT_EQ(items[1].bytes, fs::file_size(items[1].path));
  EXPECT_EQ(cache.clear(), 3u);
  EXPECT_TRUE(cache.list().empty());
  EXPECT_TRUE(fs::exists(folder_.path() / "mine.txt"));
  EXPECT_TRUE(fs::exists(folder_.path() / ".new-1-2-3.flamek"));
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(JitCacheTest, ManyThreadsShareOneCompiler) {
  Compiler c = compiler();
  std::vector<Compiled> out(8);
  {
    std::vector<std::jthread> threads;
    for (Compiled& mine : out)
      threads.emplace_back([&] { mine = c.compile({"scale.cu", {kScale}, "sm_90a"}); });
  }
  for (const Compiled& each : out) EXPECT_TRUE(each.image == out[0].image);
  const CacheStats stats = c.cache().stats();
  EXPECT_EQ(stats.hits + stats.misses, out.size());
  EXPECT_EQ(stats.corrupt, 0u);
  only_entry();  // no temporary file is left
}

// What each of the processes below runs.
TEST_F(JitCacheTest, DISABLED_OneOfManyProcesses) {
  Compiler c = compiler(std::getenv("FLAME_JIT_TEST_FOLDER"));
  for (int i = 0; i < 20; ++i) {
    c.compile({"scale.cu", {str_cat("scale<float, ", i % 2, ", true>")}, "sm_90a"});
    if (i == 9) c.cache().clear();  // while others read and write
  }
  EXPECT_EQ(c.cache().stats().corrupt, 0u);
  EXPECT_EQ(c.cache().stats().failed_writes, 0u);
}

TEST_F(JitCacheTest, ManyProcessesShareOneFolder) {
  const Variable folder("FLAME_JIT_TEST_FOLDER", folder_.path().string());
  std::array<char*, 4> arguments{const_cast<char*>("jit_cache_test"),
                                 const_cast<char*>("--gtest_filter=*DISABLED_OneOfManyProcesses"),
                                 const_cast<char*>("--gtest_also_run_disabled_tests"), nullptr};
  std::array<pid_t, 4> children{};
  for (pid_t& child : children)
    ASSERT_EQ(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ),
              0);
  for (pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  for (const CacheItem& item : DiskCache(folder_.path()).list()) EXPECT_TRUE(item.readable);
}

TEST(JitEnvironment, TheCacheFolderFollowsTheVariables) {
  const Variable home("HOME", "/h");
  const Variable unset("FLAME_CACHE_DIR", "");
  {
    const Variable xdg("XDG_CACHE_HOME", "/x");
    EXPECT_EQ(default_cache_folder(), "/x/flame");
    const Variable own("FLAME_CACHE_DIR", "/own");
    EXPECT_EQ(default_cache_folder(), "/own");
  }
  const Variable xdg("XDG_CACHE_HOME", "");
  const Variable own("FLAME_CACHE_DIR", "");
  EXPECT_EQ(default_cache_folder(), "/h/.cache/flame");
}

}  // namespace
}  // namespace flame::jit
