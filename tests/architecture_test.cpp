// The rules of the house, read from its sources: who may include whom, no cycles, no file too long
// to read, no computing on the host, no second list of ops.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "lib/core/op_def.h"
#include "tests/support/source_tree.h"

namespace flame {
namespace {

using test::Include;
using test::SourceFile;

const std::vector<SourceFile>& sources() {
  static const std::vector<SourceFile> files = test::read_sources(FLAME_SOURCE_DIR);
  return files;
}

bool any_prefix(const std::string& path, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& p) { return path.starts_with(p); });
}

// What each part may include from the repository. `lib` sees of kernels/ only the argument structs;
// property_tests judge by the suite's one judge, on its simulated device.
struct Rule {
  std::string folder;
  std::vector<std::string> may;
};
const std::vector<Rule>& rules() {
  static const std::vector<Rule> list = {
      {"lib/core", {"lib/core/"}},
      {"lib", {"lib/", "flame/", "kernels/params.h"}},
      {"reference", {"reference/", "lib/core/"}},
      {"conformance/sim", {"conformance/sim/", "lib/core/", "lib/driver/driver.h", "kernels/"}},
      {"conformance",
       {"conformance/", "lib/", "flame/", "reference/", "reports/record.h", "kernels/params.h",
        "tests/support/"}},
      {"property_tests",
       {"property_tests/", "lib/", "flame/", "reference/", "conformance/runner/",
        "conformance/judge/", "conformance/runner/", "conformance/sim/sim.h", "tests/support/"}},
      {"bench",
       {"bench/", "lib/", "flame/", "reference/", "reports/record.h", "reports/bench_record.h",
        "conformance/sim/", "conformance/runner/", "conformance/judge/", "kernels/",
        "tools/cli/build_info.h"}},
      {"reports", {"reports/", "lib/core/error.h", "lib/core/glob.h"}},
  };
  return list;
}

const Rule* rule_of(const SourceFile& file) {
  for (const Rule& rule : rules())
    if (file.in(rule.folder)) return &rule;
  return nullptr;
}

// The file an include names: from the root, beside the includer, or a public header.
const SourceFile* resolve(const SourceFile& from, const Include& include) {
  static const std::map<std::string, const SourceFile*> by_path = [] {
    std::map<std::string, const SourceFile*> m;
    for (const SourceFile& f : sources()) m[f.path] = &f;
    return m;
  }();
  const std::string beside = from.path.substr(0, from.path.rfind('/') + 1) + include.path;
  for (const std::string& path : {include.path, beside, "lib/include/" + include.path})
    if (auto it = by_path.find(path); it != by_path.end()) return it->second;
  return nullptr;
}

TEST(ArchitectureTest, TheSourcesAreThere) {
  std::set<std::string> parts;
  for (const SourceFile& f : sources()) parts.insert(f.part());
  for (const char* part :
       {"kernels", "lib", "reference", "conformance", "property_tests", "reports"})
    EXPECT_TRUE(parts.contains(part)) << part;
  EXPECT_GT(sources().size(), 60u);
}

TEST(ArchitectureTest, PartsIncludeOnlyWhatTheyMay) {
  int looked_at = 0;
  for (const SourceFile& file : sources()) {
    const Rule* rule = rule_of(file);
    const bool device_code = file.path.ends_with(".cu");  // sees kernels/ from inside
    if (!rule || file.is_test() || device_code) continue;
    for (const Include& include : file.includes) {
      if (!include.quoted) continue;
      ++looked_at;
      EXPECT_TRUE(any_prefix(include.path, rule->may))
          << file.path << ":" << include.line << ": " << rule->folder << "/ may not include \""
          << include.path << "\"";
    }
  }
  EXPECT_GT(looked_at, 100);
}

TEST(ArchitectureTest, KernelsIncludeOnlyKernels) {
  for (const SourceFile& file : sources()) {
    if (!file.in("kernels")) continue;
    for (const Include& include : file.includes) {
      const bool half = include.path == "cuda_fp16.h" || include.path == "cuda_bf16.h";
      const SourceFile* target = include.quoted ? resolve(file, include) : nullptr;
      EXPECT_TRUE(include.quoted ? target && target->in("kernels") : half)
          << file.path << ":" << include.line << ": " << include.path;
    }
    if (file.path == "kernels/ptx.cuh") continue;  // where each instruction has its host model
    const std::string code = test::without_comments(file.text);
    EXPECT_EQ(code.find("asm("), std::string::npos) << file.path << ": inline assembly";
    EXPECT_EQ(code.find("asm volatile"), std::string::npos) << file.path << ": inline assembly";
  }
}

TEST(ArchitectureTest, OutsideLibrariesStayWhereTheyBelong) {
  // A library, and the only folders that may include it.
  const std::vector<std::pair<std::regex, std::vector<std::string>>> table = {
      {std::regex("^(unsupported/)?Eigen/"), {"reference/", "tests/", "conformance/", "bench/"}},
      {std::regex("^boost/"), {"conformance/sim/", "reports/history/"}},
      {std::regex("^(SQLiteCpp/|sqlite3|toml)"), {"reports/history/"}},
      {std::regex("^(cuda|cublas|nvrtc|cuda_runtime|cublasLt|nvJitLink)[A-Za-z_]*\\.h$"),
       {"lib/driver/", "lib/jit/", "lib/blas/", "kernels/", "conformance/sim/", "tools/", "tests/",
        "conformance/witness/", "bench/"}},
      {std::regex("^cupti"), {"conformance/witness/"}},
      {std::regex("^(gtest|gmock)/"),
       {"tests/", "property_tests/", "conformance/", "reference/", "reports/", "tools/", "bench/"}},
      {std::regex("^benchmark/"), {"bench/"}},
      {std::regex("^rapidcheck"), {"property_tests/"}},
  };
  for (const SourceFile& file : sources())
    for (const Include& include : file.includes)
      for (const auto& [library, folders] : table)
        EXPECT_TRUE(!std::regex_search(include.path, library) || any_prefix(file.path, folders))
            << file.path << ":" << include.line << ": " << include.path;
}

// Depth first; reports each cycle once, as the way around it.
struct CycleFinder {
  std::map<const SourceFile*, int> state;  // 1: on the way, 2: done
  std::vector<const SourceFile*> way;
  std::vector<std::string> cycles;

  void visit(const SourceFile& file) {
    state[&file] = 1;
    way.push_back(&file);
    for (const Include& include : file.includes) {
      const SourceFile* to = include.quoted ? resolve(file, include) : nullptr;
      if (!to) continue;
      if (state[to] == 1) {
        std::string text = to->path;
        for (auto it = std::find(way.begin(), way.end(), to) + 1; it != way.end(); ++it)
          text += " -> " + (*it)->path;
        cycles.push_back(text + " -> " + to->path);
      } else if (state[to] == 0) {
        visit(*to);
      }
    }
    way.pop_back();
    state[&file] = 2;
  }
};

TEST(ArchitectureTest, NoIncludeCycles) {
  CycleFinder finder;
  for (const SourceFile& file : sources())
    if (finder.state[&file] == 0) finder.visit(file);
  for (const std::string& cycle : finder.cycles) ADD_FAILURE() << cycle;
}

TEST(ArchitectureTest, QuotedIncludesExist) {
  for (const SourceFile& file : sources()) {
    if (file.in("tools")) continue;
    for (const Include& include : file.includes) {
      // Generated: from a kernel's text, from the state of the checkout.
      if (include.path.ends_with("_source.h") || include.path.ends_with("build_info.h")) continue;
      if (include.quoted && rule_of(file) && any_prefix(include.path, rule_of(file)->may)) {
        EXPECT_NE(resolve(file, include), nullptr)
            << file.path << ":" << include.line << ": \"" << include.path << "\"";
      }
    }
  }
}

TEST(ArchitectureTest, FilesAreShortEnoughToRead) {
  for (const SourceFile& file : sources()) {
    const bool umbrella = file.path == "lib/include/flame/flame.h";
    EXPECT_LE(file.lines, umbrella ? 30 : file.in("kernels") ? 300 : 400) << file.path;
  }
}

TEST(ArchitectureTest, HeadersAreGuardedOnce) {
  for (const SourceFile& file : sources()) {
    const bool header = file.path.ends_with(".h") || file.path.ends_with(".cuh");
    const bool guarded = file.text.find("#pragma once") != std::string::npos;
    EXPECT_TRUE(guarded || !header) << file.path;
  }
}

// The library reaches the device through lib/driver alone, and an op never brings data to the host.
TEST(ArchitectureTest, OpsComputeOnTheDevice) {
  struct Ban {
    std::string folder;
    std::regex token;
  };
  const std::vector<Ban> bans = {
      {"lib/ops", std::regex("\\b(copy_to_host|to_vector|item)\\b")},
      {"lib/autograd", std::regex("\\b(copy_to_host|to_vector|item)\\b")},
      {"lib/nn", std::regex("\\b(copy_to_host|to_vector|item)\\b")},
      {"lib/optim", std::regex("\\b(copy_to_host|to_vector|item)\\b")},
  };
  const std::regex raw("\\b(cudaMalloc|cudaMemcpy|cudaLaunch|cuMem|cuLaunch)\\w*");
  for (const SourceFile& file : sources()) {
    if (!file.in("lib")) continue;
    const std::string code = test::without_comments(file.text);
    std::smatch found;
    for (const Ban& ban : bans)
      EXPECT_FALSE(file.in(ban.folder) && std::regex_search(code, found, ban.token))
          << file.path << " uses " << found.str();
    const bool seam = file.in("lib/driver") || file.in("lib/jit") || file.in("lib/blas");
    EXPECT_FALSE(!seam && std::regex_search(code, found, raw))
        << file.path << " uses " << found.str();
  }
}

TEST(ArchitectureTest, NothingIsLeftForLater) {
  const std::regex later("\\b(TODO|FIXME|XXX|HACK)\\b");
  for (const SourceFile& file : sources()) {
    if (file.path == "tests/architecture_test.cpp") continue;
    std::smatch found;
    EXPECT_FALSE(std::regex_search(file.text, found, later)) << file.path << ": " << found.str();
  }
}

// Conformance, properties, benchmarks and reports iterate the manifest: an op's name in quotes
// there would be the start of a second list. A few names are also words that those parts need for
// other things: levels, layouts, record fields, statistics.
TEST(ArchitectureTest, OpsAreNamedInTheManifestOnly) {
  const std::set<std::string_view> words = {"full", "where",      "mean",     "sum",
                                            "to",   "contiguous", "select",   "narrow",
                                            "add",  "expand",     "transpose"};
  std::vector<std::string> names;
  for (const OpDef* op : all_ops())
    if (!words.contains(op->name)) names.push_back("\"" + std::string(op->name) + "\"");
  ASSERT_GT(names.size(), 15u);
  for (const SourceFile& file : sources()) {
    const bool iterates = file.in("conformance") || file.in("property_tests") || file.in("bench") ||
                          file.in("reports");
    if (!iterates || file.is_test()) continue;
    const std::string code = test::without_comments(file.text);
    for (const std::string& name : names)
      EXPECT_EQ(code.find(name), std::string::npos) << file.path << " names the op " << name;
  }
}

}  // namespace
}  // namespace flame
