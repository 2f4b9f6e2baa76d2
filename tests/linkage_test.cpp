// What the library is made of, read from its symbols and from the kernels it carries.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "lib/core/glob.h"
#include "lib/core/op_def.h"
#include "lib/jit/embedded.h"
#include "tests/support/source_tree.h"

namespace flame {
namespace {

std::vector<std::string> symbols_of(const std::string& library) {
  const std::string command = std::string(FLAME_NM) + " -C \"" + library + "\" 2>/dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::vector<std::string> out;
  std::string line;
  for (int c; pipe && (c = std::fgetc(pipe.get())) != EOF;) {
    if (c != '\n') {
      line += static_cast<char>(c);
    } else {
      out.push_back(std::move(line));
      line.clear();
    }
  }
  return out;
}

// The product cannot compute on the host or fall back to the simulator: it does not hold them.
TEST(LinkageTest, TheLibraryHoldsNoOracleNoSimulatorAndNoTests) {
  const std::vector<std::string> symbols = symbols_of(FLAME_LIBRARY);
  ASSERT_GT(symbols.size(), 500u) << FLAME_LIBRARY;
  const std::regex foreign(
      "\\b(Eigen|simcu|boost|testing|rc|flame::sim|flame::reference|flame::conformance)::");
  bool has_tensor = false;
  for (const std::string& symbol : symbols) {
    EXPECT_FALSE(std::regex_search(symbol, foreign)) << symbol;
    has_tensor |= symbol.find("flame::Tensor::backward") != std::string::npos;
  }
  EXPECT_TRUE(has_tensor) << "these are not the library's symbols";
}

// CUDA is opened at run time, so that a program starts without a driver.
TEST(LinkageTest, TheLibraryNeedsNoCudaLibraryToLink) {
  const std::regex cuda("^ +U (cu|nvrtc|cublas|cuda)[A-Z]\\w*$");
  for (const std::string& symbol : symbols_of(FLAME_LIBRARY))
    EXPECT_FALSE(std::regex_search(symbol, cuda)) << symbol;
}

std::string kernel_name(std::string_view expression) {
  return std::string(expression.substr(0, expression.find('<')));
}

// All of lib/ as one text without comments: where kernels are launched from.
const std::string& library_code() {
  static const std::string code = [] {
    std::string all;
    for (const test::SourceFile& file : test::read_sources(FLAME_SOURCE_DIR))
      if (file.in("lib")) all += test::without_comments(file.text);
    return all;
  }();
  return code;
}

TEST(LinkageTest, EveryExportedKernelIsLaunchedBySomeOp) {
  std::set<std::string> names;
  for (const jit::EmbeddedExport& e : jit::embedded_exports())
    names.insert(kernel_name(e.expression));
  ASSERT_GT(names.size(), 10u);
  for (const std::string& name : names)
    EXPECT_NE(library_code().find("\"" + name), std::string::npos)
        << "kernel " << name << " is exported, and nothing in lib/ names it";
}

// Kernels, and the functors that they are made with.
TEST(LinkageTest, EveryKernelNamedInTheLibraryIsExported) {
  std::set<std::string> names;
  const std::regex identifier("[A-Za-z_]\\w*");
  for (const jit::EmbeddedExport& e : jit::embedded_exports()) {
    const std::string text(e.expression);
    for (std::sregex_iterator it(text.begin(), text.end(), identifier), end; it != end; ++it)
      names.insert(it->str());
  }
  const std::regex named("\\bexpression\\(\\s*\"(\\w+)\"");
  const std::string& code = library_code();
  int found = 0;
  for (std::sregex_iterator it(code.begin(), code.end(), named), end; it != end; ++it, ++found)
    EXPECT_TRUE(names.contains((*it)[1].str())) << (*it)[1].str() << " is launched, never exported";
  EXPECT_GT(found, 5);
}

TEST(LinkageTest, EveryKernelFileNamedInTheLibraryIsEmbedded) {
  std::set<std::string> files;
  for (const jit::EmbeddedFile& f : jit::embedded_files()) {
    files.insert(std::string(f.name));
    EXPECT_GT(f.text.size(), 20u) << f.name << " is empty";
  }
  const std::regex named("\"(\\w+\\.cu)\"");
  const std::string& code = library_code();
  for (std::sregex_iterator it(code.begin(), code.end(), named), end; it != end; ++it)
    EXPECT_TRUE(files.contains((*it)[1].str())) << (*it)[1].str();
}

TEST(LinkageTest, WhatOpsSayTheyLaunchIsExported) {
  std::vector<std::string> exported;
  for (const jit::EmbeddedExport& e : jit::embedded_exports())
    exported.push_back(normalize_expression(e.expression));
  const auto is_exported = [&](std::string_view glob) {
    return std::any_of(exported.begin(), exported.end(), [&](const std::string& e) {
      return glob_match(normalize_expression(glob), e);
    });
  };
  for (const OpDef* op : all_ops()) {
    bool ours = false;
    for (const auto* globs : {&op->kernels, &op->backward_kernels})
      for (std::string_view glob : *globs) {
        // A product may be the vendor library's: its kernels are not ours to export.
        const bool vendor = glob.starts_with('*') || glob.starts_with("nvjet");
        EXPECT_TRUE(vendor || is_exported(glob)) << op->name << " says it launches " << glob;
        ours |= !vendor;
      }
    EXPECT_TRUE(ours || op->kind == OpKind::kView) << op->name << " launches no kernel of ours";
  }
}

TEST(LinkageTest, NoExportTwice) {
  std::set<std::string> seen;
  for (const jit::EmbeddedExport& e : jit::embedded_exports())
    EXPECT_TRUE(seen.insert(normalize_expression(e.expression)).second) << e.expression;
}

}  // namespace
}  // namespace flame
