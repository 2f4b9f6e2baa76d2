#include "bench/roofs.h"

#include <gtest/gtest.h>

namespace flame::bench {
namespace {

const Limits kH200{.copy = 4800, .read = 4800, .teraflops = 989.5};
const Limits kMeasured{.copy = 4000, .read = 4500, .teraflops = 790};

TEST(DatasheetTest, IsFoundByTheDevicesName) {
  ASSERT_NE(datasheet_of("NVIDIA H200"), nullptr);
  EXPECT_EQ(datasheet_of("NVIDIA H200")->gigabytes_per_second, 4800);
  EXPECT_EQ(datasheet_of("NVIDIA H100 80GB HBM3")->gigabytes_per_second, 3350);
  EXPECT_EQ(datasheet_of("NVIDIA H100 PCIe")->gigabytes_per_second, 2000);
  EXPECT_EQ(datasheet_of("some other card"), nullptr);
}

TEST(ShareTest, WorkAtTheRoofHasAShareOfOne) {
  // 1 GB read and 1 GB written at 4000 GB/s take 0.5 ms; 9 GB read alone take 2 ms.
  EXPECT_DOUBLE_EQ(*share_of(kMeasured, {.read = 1e9, .written = 1e9}, 0.5), 1);
  EXPECT_DOUBLE_EQ(*share_of(kMeasured, {.read = 9e9}, 4), 0.5);
  EXPECT_DOUBLE_EQ(*share_of(kMeasured, {.written = 4e9}, 1), 1);
  // A product is under the lower of its two roofs: 790 TFLOP/s here.
  EXPECT_DOUBLE_EQ(*share_of(kMeasured, {.flops = 790e9, .read = 1e8, .written = 1e8}, 2), 0.5);
  EXPECT_FALSE(share_of({}, {.read = 1}, 1).has_value());
}

// 32 MB copied in 10 us, 64 MB in 16, 1024 MB in 250; reads of 64 MB in 15 us, of 1024 MB in 230.
Roofs sized() {
  Roofs roofs;
  roofs.copies = {{32e6, 0.010}, {64e6, 0.016}, {1024e6, 0.250}};
  roofs.reads = {{64e6, 0.015}, {1024e6, 0.230}};
  roofs.fills = {{64e6, 0.014}, {1024e6, 0.220}};
  return roofs;
}

TEST(SameSizeTest, IsMeasuredAgainstACopyOfAsManyBytes) {
  EXPECT_DOUBLE_EQ(*share_of_same_size(sized(), {.read = 32e6, .written = 32e6}, 0.016), 1);
  EXPECT_DOUBLE_EQ(*share_of_same_size(sized(), {.read = 32e6, .written = 32e6}, 0.032), 0.5);
  // Between two sizes on the line through them, above the largest at its rate.
  EXPECT_DOUBLE_EQ(*share_of_same_size(sized(), {.read = 24e6, .written = 24e6}, 0.013), 1);
  EXPECT_DOUBLE_EQ(*share_of_same_size(sized(), {.read = 1024e6, .written = 1024e6}, 0.500), 1);
  EXPECT_FALSE(share_of_same_size(sized(), {.read = 8e6, .written = 8e6}, 0.01).has_value());
  EXPECT_FALSE(share_of_same_size(sized(), {.view = true}, 0.01).has_value());
}

TEST(SameSizeTest, ReadsAndFillsHaveTheirOwn) {
  EXPECT_DOUBLE_EQ(*share_of_same_size(sized(), {.read = 64e6}, 0.015), 1);
  EXPECT_DOUBLE_EQ(*share_of_same_size(sized(), {.written = 64e6}, 0.014), 1);
  // Three quarters as in a copy of 64 MB, a quarter as in a read of 64 MB.
  EXPECT_NEAR(
      *share_of_same_size(sized(), {.read = 40e6, .written = 24e6}, 0.75 * 0.016 + 0.25 * 0.015), 1,
      1e-12);
  EXPECT_FALSE(share_of_same_size(sized(), {.read = 32e6}, 0.01).has_value());
}

TEST(BeatenTest, ARowThatIsFasterThanTheProbeIsNamed) {
  // 9 GB read at 4500 GB/s take 2 ms.
  EXPECT_FALSE(beaten_probe(kMeasured, {.read = 9e9}, 2, 0.001, 0, "gemm").has_value());
  EXPECT_FALSE(beaten_probe(kMeasured, {.read = 9e9}, 1.96, 0.02, 0, "gemm").has_value())
      << "within noise";
  const auto beaten = beaten_probe(kMeasured, {.read = 9e9}, 1.8, 0.001, 0, "gemm");
  ASSERT_TRUE(beaten.has_value());
  EXPECT_EQ(beaten->probe, "read");
  EXPECT_NEAR(beaten->by, 0.11, 0.01);
  EXPECT_EQ(beaten_probe(kMeasured, {.read = 4e9, .written = 4e9}, 1.8, 0, 0, "gemm")->probe,
            "copy");
  EXPECT_EQ(beaten_probe(kMeasured, {.flops = 790e9}, 0.9, 0, 0, "gemm_bf16")->probe, "gemm_bf16");
}

TEST(BeatenTest, WhatTheCacheMayHoldBeatsNothing) {
  const std::size_t l2 = 50u << 20;
  // A copy of 201 MB in 45 us is 4470 GB/s, but 52 MB of it may not have been written yet.
  const Traffic copy{.read = 100.5e6, .written = 100.5e6};
  EXPECT_FALSE(beaten_probe(kMeasured, copy, 0.045, 0, l2, "gemm").has_value());
  EXPECT_TRUE(beaten_probe(kMeasured, copy, 0.045, 0, 0, "gemm").has_value());
  EXPECT_FALSE(beaten_probe(kMeasured, {.view = true}, 0.001, 0, l2, "gemm").has_value());
}

TEST(ImpossibleTest, AboveTheMemorysRateFails) {
  const Traffic copy{.read = 4.8e9, .written = 4.8e9};  // 2 ms at 4800 GB/s
  EXPECT_EQ(impossible(copy, 2.01, Temperature::kCold, 0, kMeasured, kH200), "");
  EXPECT_NE(impossible(copy, 1.99, Temperature::kCold, 0, kMeasured, kH200), "");
}

TEST(ImpossibleTest, WhatTheCacheMayHoldIsNotCounted) {
  const std::size_t l2 = 50u << 20;
  const Traffic fill{.written = 64e6};  // of which the L2 can hold 52 MB when it ends
  EXPECT_EQ(impossible(fill, 0.01, Temperature::kCold, l2, kMeasured, kH200), "");
  EXPECT_NE(impossible(fill, 0.001, Temperature::kCold, l2, kMeasured, kH200), "");
  const Traffic hot{.read = 48e6, .written = 48e6};
  EXPECT_EQ(impossible(hot, 0.005, Temperature::kHot, l2, kMeasured, kH200), "");
  EXPECT_NE(impossible(hot, 0.005, Temperature::kCold, l2, kMeasured, kH200), "");
}

TEST(ImpossibleTest, ColdReadsAllComeFromMemory) {
  const std::size_t l2 = 50u << 20;
  const Traffic read{.read = 96e6};  // 0.02 ms at 4800 GB/s
  EXPECT_EQ(impossible(read, 0.0201, Temperature::kCold, l2, kMeasured, kH200), "");
  EXPECT_NE(impossible(read, 0.0199, Temperature::kCold, l2, kMeasured, kH200), "");
  EXPECT_EQ(impossible(read, 0.0199, Temperature::kHot, l2, kMeasured, kH200), "");
  // But backward may find there what forward has read.
  const Traffic both{.read = 96e6, .passes = 2};
  EXPECT_EQ(impossible(both, 0.0199, Temperature::kCold, l2, kMeasured, kH200), "");
  EXPECT_NE(impossible(both, 0.005, Temperature::kCold, l2, kMeasured, kH200), "");
}

TEST(ImpossibleTest, WhatForwardMayHaveNotedNeedNotBeReadAgain) {
  const Traffic reads_again{.read = 4.8e9, .written = 4.8e9};  // 2 ms at 4800 GB/s
  const Traffic kept{.read = 4.8e9, .written = 4.8e9, .kept = 4.8e9};
  EXPECT_NE(impossible(reads_again, 1.2, Temperature::kCold, 0, kMeasured, kH200), "");
  EXPECT_EQ(impossible(kept, 1.2, Temperature::kCold, 0, kMeasured, kH200), "");
  EXPECT_NE(impossible(kept, 0.99, Temperature::kCold, 0, kMeasured, kH200), "");
  EXPECT_TRUE(beaten_probe(kMeasured, reads_again, 1.2, 0, 0, "gemm").has_value());
  EXPECT_FALSE(
      beaten_probe(kMeasured, {.read = 4.5e9, .written = 4.5e9, .kept = 4.5e9}, 2.1, 0, 0, "gemm")
          .has_value());
}

TEST(ImpossibleTest, NothingMovedIsNotImpossible) {
  EXPECT_EQ(impossible({.view = true}, 0.001, Temperature::kCold, 0, kMeasured, kH200), "");
  EXPECT_FALSE(share_of(kMeasured, {.view = true}, 0.001).has_value());
}

TEST(ImpossibleTest, AboveTheTensorCoresFails) {
  const Traffic product{.flops = 989.5e9};
  EXPECT_EQ(impossible(product, 1.01, Temperature::kHot, 0, kMeasured, kH200), "");
  EXPECT_NE(impossible(product, 0.99, Temperature::kHot, 0, kMeasured, kH200), "");
}

TEST(ImpossibleTest, AnUnknownCardIsHeldToItsOwnRoofs) {
  const Traffic read{.read = 4.5e9};
  EXPECT_EQ(impossible(read, 0.9, Temperature::kCold, 0, kMeasured, std::nullopt), "");
  EXPECT_NE(impossible(read, 0.8, Temperature::kCold, 0, kMeasured, std::nullopt), "");
}

TEST(ImpossibleTest, NoTimeIsNoTime) {
  EXPECT_NE(impossible({}, 0, Temperature::kCold, 0, kMeasured, kH200), "");
}

}  // namespace
}  // namespace flame::bench
