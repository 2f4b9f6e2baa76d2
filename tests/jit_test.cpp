// The JIT on real kernels: NVRTC needs no GPU to compile, and an image can be judged without one.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "lib/core/error.h"
#include "lib/core/op_def.h"
#include "lib/driver/cuda_version.h"
#include "lib/jit/compiler.h"
#include "lib/jit/names.h"

extern char** environ;

namespace flame::jit {
namespace {

namespace fs = std::filesystem;

// A folder of this test's own, gone afterwards.
class Folder {
 public:
  Folder() {
    path_ = fs::temp_directory_path() / str_cat("flame-jit-test-", std::random_device{}());
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Sets an environment variable for one scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

constexpr EmbeddedFile kSources[] = {
    {"scale.cu",
     "#include \"factor.cuh\"\n"
     "template <class T, int N, bool B>\n"
     "__global__ void __launch_bounds__(96) scale(T* x) {\n"
     "  __shared__ T s[96];\n"
     "  s[threadIdx.x] = x[threadIdx.x] * T(N);\n"
     "  __syncthreads();\n"
     "  x[threadIdx.x] = factor(s[95 - threadIdx.x]) + T(B);\n"
     "}\n"},
    {"factor.cuh",
     "  #  include \"deep.cuh\"\n#include \"factor.cuh\"\n"
     "template <class T> __device__ T factor(T v) { return v * T(kFactor); }\n"},
    {"deep.cuh", "#pragma once\nconstexpr int kFactor = 3;\n"},
    {"wrong.cu", "#include \"deep.cuh\"\n__global__ void wrong(float* x) { *x = undeclared; }\n"},
    {"spills.cu",
     "__global__ void spills(double* x) {\n"
     "  double v[64];\n"
     "#pragma unroll\n"
     "  for (int i = 0; i < 64; ++i) v[i] = x[i * 33 + threadIdx.x];\n"
     "  __syncthreads();\n"
     "#pragma unroll\n"
     "  for (int i = 0; i < 64; ++i) x[i * 65 + threadIdx.x] = v[i] * v[63 - i];\n"
     "}\n"},
    {"nothing.cu", "#include \"absent.cuh\"\n__global__ void nothing() {}\n"},
};
// factor.cuh includes itself; its guard is here so that the closure, not the compiler, meets it.
const std::string kGuarded = "#pragma once\n" + std::string(kSources[1].text);
std::vector<EmbeddedFile> sources() {
  std::vector<EmbeddedFile> out(std::begin(kSources), std::end(kSources));
  out[1].text = kGuarded;
  return out;
}

constexpr const char* kScale = "scale<float, 4, true>";

class JitTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GT(nvrtc_version(), 0) << "NVRTC is needed to build FLAME, and for these tests";
  }
  Compiler compiler() { return compiler(folder_.path()); }
  Compiler compiler(const fs::path& cache) {
    return Compiler(std::make_shared<DiskCache>(cache), sources_);
  }
  fs::path only_entry() const {
    fs::path out;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      EXPECT_TRUE(out.empty()) << out << " and " << entry.path();
      out = entry.path();
    }
    return out;
  }

  Folder folder_;
  std::vector<EmbeddedFile> sources_ = sources();
};

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const JitError& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

TEST_F(JitTest, IncludesAreFoundTransitivelyAndOnce) {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : include_closure("scale.cu", sources_))
    names.emplace_back(file.name);
  EXPECT_EQ(names, (std::vector<std::string>{"scale.cu", "factor.cuh", "deep.cuh"}));
  EXPECT_THROW(include_closure("no.cu", sources_), JitError);
}

TEST_F(JitTest, CompilesForEveryArchitecture) {
  Compiler c = compiler();
  for (const char* arch : {"sm_80", "sm_90", "sm_90a", "sm_100", "sm_120"}) {
    const Compiled out = c.compile({"scale.cu", {kScale, "scale<double, 2, false>"}, arch});
    ASSERT_EQ(out.entries.size(), 2u);
    for (const CompiledEntry& e : out.entries) {
      EXPECT_NO_THROW(verify_image(out.image, arch, e.lowered));
      EXPECT_GT(e.resources.registers, 0);
      EXPECT_GT(e.resources.code_bytes, 0u);
      EXPECT_EQ(e.resources.max_threads, 96);
      EXPECT_EQ(e.resources.spill_bytes, 0u);
      EXPECT_EQ(expression_of(e.lowered), normalize_expression(e.expression));
    }
    EXPECT_EQ(out.entries[0].resources.static_shared, 96 * sizeof(float)) << arch;
    EXPECT_EQ(out.entries[1].resources.static_shared, 96 * sizeof(double)) << arch;
  }
}

TEST_F(JitTest, ExportedKernelsCompile) {
  ASSERT_FALSE(embedded_exports().empty());
  Compiler c(std::make_shared<DiskCache>(folder_.path()));
  const EmbeddedExport& first = embedded_exports().front();
  const driver::Image image =
      c.compile({std::string(first.file), std::string(first.expression)}, "sm_90a");
  EXPECT_EQ(expression_of(image.entry), normalize_expression(first.expression));
}

TEST_F(JitTest, SpillsAreTold) {
  const Compiled out =
      compiler().compile({"spills.cu", {"spills"}, "sm_80", {"--maxrregcount=24"}});
  EXPECT_GT(out.entries[0].resources.spill_bytes, 0u);
}

TEST_F(JitTest, BadSourceNamesKernelOptionsLogAndDump) {
  Compiler c = compiler();
  const std::string text = message_of([&] { c.compile({"wrong.cu", {"wrong"}, "sm_90a"}); });
  for (const char* part : {"wrong.cu: wrong", "NVRTC_ERROR_COMPILATION", "-std=c++20", "sm_90a",
                           "undeclared\" is undefined"})
    EXPECT_TRUE(has(text, part)) << part << " is missing in: " << text;
  const std::size_t begin = text.find("dumped to ") + 10;
  const fs::path source = text.substr(begin, text.find(';', begin) - begin);
  EXPECT_EQ(read_file(source), kSources[3].text);
  EXPECT_TRUE(fs::exists(source.parent_path() / "deep.cuh"));
  EXPECT_TRUE(has(read_file(source.parent_path() / "log.txt"), "undeclared"));
  // It failed once, it fails again: no entry was left that could be taken for a kernel.
  EXPECT_THROW(c.compile({"wrong.cu", {"wrong"}, "sm_90a"}), JitError);
  EXPECT_EQ(c.cache().stats().hits, 0u);
}

TEST_F(JitTest, OtherBadRequestsAreJitErrors) {
  Compiler c = compiler();
  EXPECT_TRUE(has(message_of([&] {
                    c.compile({"scale.cu", {"absent<int>"}, "sm_80"});
                  }),
                  "absent"));
  EXPECT_TRUE(has(message_of([&] { c.compile({"scale.cu", {kScale}, "sm_1"}); }), "sm_1"));
  EXPECT_TRUE(has(message_of([&] { c.compile({"no.cu", {"k"}, "sm_80"}); }), "no.cu"));
  EXPECT_TRUE(has(message_of([&] { c.compile({"scale.cu", {}, "sm_80"}); }), "no kernel"));
  EXPECT_TRUE(has(message_of([&] {
                    c.compile({"nothing.cu", {"nothing"}, "sm_80"});
                  }),
                  "absent.cuh"));
}

// ---- images

class ImageTest : public JitTest {
 protected:
  void SetUp() override {
    JitTest::SetUp();
    const Compiled out = compiler().compile({"scale.cu", {kScale}, "sm_90a"});
    image_ = out.image;
    entry_ = out.entries[0].lowered;
  }
  std::string judge(std::span<const std::byte> image, std::string_view arch = "sm_90a") {
    return message_of([&] { verify_image(image, arch, entry_, "scale"); });
  }
  std::vector<std::byte> image_;
  std::string entry_;
};

TEST_F(ImageTest, SourceTextIsNotMachineCode) {
  EXPECT_EQ(judge(image_), "");
  EXPECT_TRUE(has(judge(bytes_of(kSources[0].text)), "source text instead of machine code"));
  EXPECT_TRUE(has(judge(bytes_of("//\n// Generated by NVIDIA NVVM Compiler\n.version 9.0\n")),
                  "source text instead of machine code"));
  EXPECT_TRUE(has(judge({}), "is empty"));
}

TEST_F(ImageTest, ForeignImagesAreRejected) {
  EXPECT_TRUE(has(judge(image_, "sm_90"), "is for sm_90a, not for sm_90"));
  EXPECT_TRUE(has(judge(image_, "sm_80"), "is for sm_90a, not for sm_80"));
  const std::string host = read_file("/proc/self/exe");
  EXPECT_TRUE(has(judge(bytes_of(host)), "not for a CUDA device"));
  EXPECT_TRUE(has(message_of([&] { verify_image(image_, "sm_90a", "other"); }), "no kernel other"));
  const Compiled plain = compiler().compile({"scale.cu", {kScale}, "sm_90"});
  EXPECT_TRUE(has(judge(plain.image), "is for sm_90, not for sm_90a"));
}

TEST_F(ImageTest, EmptiedCodeIsRejected) {
  // The code of the kernel, found by its own bytes, set to zero.
  const std::string_view all(reinterpret_cast<const char*>(image_.data()), image_.size());
  const Resources r = read_resources(image_, entry_);
  std::vector<std::byte> emptied = image_;
  bool rejected = false;
  for (std::size_t at = 0; at + r.code_bytes <= all.size() && !rejected; at += 128) {
    emptied = image_;
    std::fill_n(emptied.begin() + long(at), r.code_bytes, std::byte{0});
    rejected = has(judge(emptied), "has no code in it");
  }
  EXPECT_TRUE(rejected);
}

TEST_F(ImageTest, CutOffAnywhereIsRejected) {
  for (std::size_t size = 0; size < image_.size(); size += size < 128 ? 1 : 37)
    EXPECT_NE(judge(std::span(image_).first(size)), "") << size << " of " << image_.size();
}

TEST_F(ImageTest, AnyBytesAreJudgedWithoutHarm) {
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> bytes = image_;
    for (int i = 0; i < 4; ++i) {
      // Mostly in the header and the section table, where offsets are.
      const std::size_t at = round % 2 ? random() % 64 : bytes.size() - 1 - random() % 2048;
      bytes[at] = std::byte(random());
    }
    try {
      verify_image(bytes, "sm_90a", entry_);
    } catch (const JitError&) {
    }
    read_resources(bytes, entry_);
  }
}

// ---- the cache

TEST_F(JitTest, SecondCompileComesFromTheCache) {
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

TEST_F(JitTest, EverythingThatMattersIsInTheKey) {
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

TEST_F(JitTest, DamagedEntriesAreCompiledAgain) {
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

TEST_F(JitTest, AnEntryUnderAnotherKeyIsNotTaken) {
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

TEST_F(JitTest, AnUnwritableFolderIsSaidOnceAndIsNoError) {
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

TEST_F(JitTest, EntriesAreListedAndCleared) {
  compiler().compile({"scale.cu", {kScale}, "sm_80"});
  std::ofstream(folder_.path() / "mine.txt") << "not the cache's";
  std::ofstream(folder_.path() / "00.flamek") << "damaged";
  DiskCache cache(folder_.path());
  const std::vector<CacheItem> items = cache.list();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_FALSE(items[0].readable);
  EXPECT_TRUE(items[1].readable);
  EXPECT_EQ(items[1].file, "scale.cu");
  EXPECT_EQ(items[1].arch, "sm_80");
  EXPECT_EQ(items[1].expressions, std::vector<std::string>{kScale});
  EXPECT_EQ(items[1].bytes, fs::file_size(items[1].path));
  EXPECT_EQ(cache.clear(), 2u);
  EXPECT_TRUE(cache.list().empty());
  EXPECT_TRUE(fs::exists(folder_.path() / "mine.txt"));
}

TEST_F(JitTest, ManyThreadsShareOneCompiler) {
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
TEST_F(JitTest, DISABLED_OneOfManyProcesses) {
  Compiler c = compiler(std::getenv("FLAME_JIT_TEST_FOLDER"));
  for (int i = 0; i < 20; ++i) {
    c.compile({"scale.cu", {str_cat("scale<float, ", i % 2, ", true>")}, "sm_90a"});
    if (i == 9) c.cache().clear();  // while others read and write
  }
  EXPECT_EQ(c.cache().stats().corrupt, 0u);
  EXPECT_EQ(c.cache().stats().failed_writes, 0u);
}

TEST_F(JitTest, ManyProcessesShareOneFolder) {
  const Variable folder("FLAME_JIT_TEST_FOLDER", folder_.path().string());
  std::array<char*, 4> arguments{const_cast<char*>("jit_test"),
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

TEST_F(JitTest, KernelsAreDumpedWhenAsked) {
  Folder dump;
  const Variable asked("FLAME_DUMP_KERNELS", dump.path().string());
  for (int round = 0; round < 2; ++round) {  // the second one from the cache
    const Compiled out = compiler().compile({"scale.cu", {kScale}, "sm_90a"});
    fs::path folder;
    for (const auto& entry : fs::directory_iterator(dump.path())) folder = entry.path();
    EXPECT_EQ(read_file(folder / "scale.cu"), kSources[0].text);
    EXPECT_TRUE(fs::exists(folder / "deep.cuh"));
    EXPECT_EQ(read_file(folder / "kernel.cubin").size(), out.image.size());
    EXPECT_TRUE(has(read_file(folder / "log.txt"), kScale));
    fs::remove_all(folder);
  }
}

// ---- names and versions

TEST(JitNames, LoweredNamesComeBackAsExpressions) {
  const std::array<std::pair<const char*, const char*>, 6> pairs{{
      {"_Z1kI3Exp6__halfLi32ELb1EEvPKT0_PS2_x", "k<Exp,__half,32,true>"},
      {"_Z5plainIxEvPT_x", "plain<longlong>"},
      {"_Z5plainIhEvPT_x", "plain<unsignedchar>"},
      {"_Z1kILj4ELm5EEvv", "k<4,5>"},
      {"_Z6simplePf", "simple"},
      {"sm90_xmma_gemm", "sm90_xmma_gemm"},
  }};
  for (const auto& [lowered, expression] : pairs) EXPECT_EQ(expression_of(lowered), expression);
}

TEST(CudaVersions, AnOlderDriverIsRefusedWithBothVersions) {
  EXPECT_NO_THROW(driver::require_driver(13000, 13000));
  EXPECT_NO_THROW(driver::require_driver(13000, 13010));  // same major version
  EXPECT_NO_THROW(driver::require_driver(13000, 12040));
  EXPECT_NO_THROW(driver::require_driver(12040, 0));
  try {
    driver::require_driver(12080, 13000);
    FAIL() << "an old driver was taken";
  } catch (const NoDeviceError& e) {
    EXPECT_TRUE(has(e.what(), "12.8") && has(e.what(), "13.0")) << e.what();
  }
  EXPECT_EQ(driver::arch_of(9, 0), "sm_90a");
  EXPECT_EQ(driver::arch_of(8, 9), "sm_89");
  EXPECT_EQ(driver::arch_of(10, 0), "sm_100");
  EXPECT_EQ(driver::arch_of(12, 0), "sm_120");
}

TEST(CudaDevice, WithoutAGpuThereIsATypedError) {
  if (driver::cuda_device_count() > 0)
    EXPECT_THROW(driver::open_cuda(driver::cuda_device_count()), ValueError);
  else
    EXPECT_THROW(driver::open_cuda(0), NoDeviceError);
}

}  // namespace
}  // namespace flame::jit
