// The record of a compiled kernel: what is written is read, and what cannot be is refused.
#include "reports/kernel_record.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "lib/core/error.h"

namespace flame::records {
namespace {

KernelRecord a_kernel() {
  return {
      "unary.cu", "unary_forward<Exp, float>", "sm_90a", "NVRTC 13.0", 0.75, 40, 256, 1024, 16, 8,
      4096};
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string line = to_line(a_kernel());
  const std::size_t at = line.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return line.replace(at, from.size(), to);
}

TEST(KernelRecordTest, WhatIsWrittenIsRead) {
  const std::string line = to_line(a_kernel());
  EXPECT_EQ(to_line(parse_kernel(line)), line);
  const KernelRecord k = parse_kernel(line);
  EXPECT_EQ(k.kernel, "unary_forward<Exp, float>");
  EXPECT_EQ(k.seconds, 0.75);
  EXPECT_EQ(k.registers, 40);
  EXPECT_EQ(k.spill_bytes, 8);
  EXPECT_EQ(k.code_bytes, 4096);
}

TEST(KernelRecordTest, WhatCannotBeIsRefused) {
  EXPECT_NO_THROW(parse_kernel(replaced("0.75", "-1.0")));
  for (const char* seconds : {"-2.0", "\"nan\"", "\"inf\"", "null"})
    EXPECT_THROW(parse_kernel(replaced("0.75", seconds)), FileError) << seconds;
  EXPECT_THROW(parse_kernel(replaced("\"registers\":40", "\"registers\":-1")), FileError);
  EXPECT_THROW(parse_kernel(replaced("\"registers\":40,", "")), FileError);
  EXPECT_THROW(parse_kernel(replaced("\"registers\":40", "\"registers\":40,\"x\":1")), FileError);
  EXPECT_THROW(parse_kernel(replaced("\"code_bytes\":4096", "\"code_bytes\":0")), FileError);
  EXPECT_THROW(parse_kernel(replaced("\"file\":\"unary.cu\"", "\"file\":\"\"")), FileError);
  EXPECT_THROW(parse_kernel(replaced("flame-kernel/1", "flame-kernel/2")), FileError);
  EXPECT_THROW(parse_kernel("{"), FileError);
}

TEST(KernelRecordTest, AFolderIsReadWholeOrRefused) {
  const auto root = std::filesystem::path(::testing::TempDir()) / "flame_kernel_record";
  std::filesystem::remove_all(root);
  EXPECT_FALSE(has_kernels(root.string()));
  KernelRecord other = a_kernel();
  other.arch = "sm_80";
  write_kernels(root.string(), {a_kernel(), other});
  EXPECT_TRUE(has_kernels(root.string()));
  EXPECT_EQ(read_kernels(root.string()).size(), 2u);
  write_kernels(root.string(), {a_kernel(), other, a_kernel()});
  try {
    read_kernels(root.string());
    FAIL() << "the same kernel twice";
  } catch (const FileError& e) {
    EXPECT_NE(std::string(e.what()).find("kernels.jsonl:3"), std::string::npos) << e.what();
  }
  EXPECT_THROW(write_kernels("/dev/null/x", {a_kernel()}), FileError);
  std::filesystem::remove_all(root);
}

}  // namespace
}  // namespace flame::records
