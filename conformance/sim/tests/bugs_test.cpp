// Every kernel with a planted bug is caught, in each build that promises it, with what is needed to
// find the bug.
#include <fstream>

#include "conformance/sim/tests/device.h"

namespace flame::sim {
namespace {

using testing::HasSubstr;

// " at buggy.cu:<line>" of the line marked so.
std::string at_mark(const std::string& name) {
  std::ifstream file(SIM_TEST_KERNELS "/buggy.cu");
  std::string line;
  for (int number = 1; std::getline(file, line); ++number)
    if (line.ends_with("// MARK " + name)) return "buggy.cu:" + std::to_string(number);
  ADD_FAILURE() << "no line is marked " << name;
  return "";
}

constexpr bool kChecked = SimDriver::instrumented();

class Bugs : public testing::TestWithParam<std::uint64_t> {
 protected:
  Options options = with_seed(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Seeds, Bugs, testing::Values(0u, 1u, 12345u));

TEST_P(Bugs, MissingBarrierReadBeforeWrite) {
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(256, 1), "x"), y(device, 256, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "missing_barrier", {1}, {256}, 0, x.data(), y.data(), 256);
  if (kChecked) {
    EXPECT_THAT(fault, HasSubstr("shared array 's'"));
    EXPECT_THAT(fault, HasSubstr(at_mark("missing_barrier")));
  } else {
    EXPECT_EQ(fault, "");
    EXPECT_GE(device.driver->scan(y.data(), y.bytes()).unwritten, 100u);
    EXPECT_THROW(y.read(), DriverError);
  }
}

TEST_P(Bugs, MissingBarrierWriteAfterRead) {
  TestDevice device(options);
  std::vector<float> h(512);
  for (int i = 0; i < 512; ++i) h[i] = float(i % 13);
  Array<float> x(device, h, "x"), y(device, 128, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "missing_second_barrier", {1}, {128}, 0, x.data(), y.data(), 512);
  if (kChecked) {
    EXPECT_THAT(fault, HasSubstr("race: "));
    EXPECT_THAT(fault, HasSubstr("shared array 's'"));
    EXPECT_THAT(fault, HasSubstr("buggy.cu:"));
    return;
  }
  EXPECT_EQ(fault, "");
  const auto got = y.read();
  int wrong = 0;
  for (int t = 0; t < 128; ++t) {
    float want = 0;
    for (int k = 0; k < 512; k += 128)
      for (int j = 0; j < 128; ++j) want += h[k + j] * float(1 + (j ^ t));
    wrong += got[t] != want;
  }
  EXPECT_GE(wrong, 100);
}

TEST_P(Bugs, MissingWarpBarrier) {
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(32, 1), "x"), y(device, 32, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "missing_warp_barrier", {1}, {32}, 0, x.data(), y.data());
  if (kChecked)
    EXPECT_THAT(fault, HasSubstr(at_mark("missing_warp_barrier")));
  else
    EXPECT_GE(device.driver->scan(y.data(), y.bytes()).unwritten, 1u);
}

TEST_P(Bugs, DroppedBarriersOfARightKernel) {
  options.drop_barriers = "block_sums<*>";
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(512, 1), "x"), y(device, 1, "y");
  const std::string fault =
      device.fault_of("good.cu", "block_sums<256>", {1}, {256}, 0, x.data(), y.data(), 512LL);
  if (kChecked) {
    EXPECT_THAT(fault, HasSubstr("shared array 'part'"));
    return;
  }
  const Scan s = device.driver->scan(y.data(), y.bytes());
  EXPECT_EQ(s.unwritten + s.tainted, 1u);
  device.driver->set_drop_barriers("");
  device.launch("good.cu", "block_sums<256>", {1}, {256}, 0, x.data(), y.data(), 512LL);
  EXPECT_EQ(y.read()[0], 512.0f);
}

TEST_P(Bugs, WritePastTheEnd) {
  for (const std::size_t align : {16u, 256u}) {
    options.align = align;
    TestDevice device(options);
    Array<float> x(device, std::vector<float>(1000), "x"), y(device, 1000, "y");
    const std::string fault =
        device.fault_of("buggy.cu", "write_past_end", {8}, {128}, 0, x.data(), y.data(), 1000);
    EXPECT_THAT(fault, HasSubstr("'y'"));
    EXPECT_THAT(fault, HasSubstr("4000"));
    EXPECT_THAT(fault, HasSubstr("write_past_end"));
    if (align == 16 || kChecked) {
      EXPECT_THAT(fault, HasSubstr("block (7, 0, 0), thread (104, 0, 0)"));
      EXPECT_THAT(fault, HasSubstr(at_mark("write_past_end")));
    }
  }
}

TEST_P(Bugs, WritePastTheEndWithoutProtection) {
  options.protect = false;
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(1000), "x"), y(device, 1000, "y");
  EXPECT_THAT(
      device.fault_of("buggy.cu", "write_past_end", {8}, {128}, 0, x.data(), y.data(), 1000),
      HasSubstr("'y'"));
}

TEST_P(Bugs, ReadPastTheEnd) {
  options.align = 16;
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(1000), "x"), y(device, 1000, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "read_past_end", {8}, {128}, 0, x.data(), y.data(), 1000);
  EXPECT_THAT(fault, HasSubstr("'x' + 4000 (allocation of 4000 bytes)"));
  EXPECT_THAT(fault, HasSubstr(at_mark("read_past_end")));
}

TEST_P(Bugs, WriteBeforeTheStart) {
  TestDevice device(options);
  // 100 bytes end flush with a page; the start lies in the middle of one.
  Array<float> y(device, 25, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "write_before_start", {1}, {32}, 0, y.data(), 25);
  EXPECT_THAT(fault, HasSubstr("'y'"));
  EXPECT_THAT(fault, HasSubstr(kChecked ? at_mark("write_before_start") : "byte -4"));
}

TEST_P(Bugs, UnwrittenElement) {
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(1000, 2), "x"), y(device, 1000, "y");
  device.launch("buggy.cu", "unwritten_tail", {8}, {128}, 0, x.data(), y.data(), 1000);
  const Scan s = device.driver->scan(y.data(), y.bytes());
  EXPECT_EQ(s.words, 1000u);
  EXPECT_EQ(s.unwritten, 1u);
  EXPECT_EQ(s.first_unwritten, 999u);
  try {
    y.read();
    ADD_FAILURE() << "the copy to the host must fail";
  } catch (const DriverError& e) {
    EXPECT_THAT(e.what(), HasSubstr("'y' + 0"));
    EXPECT_THAT(e.what(), HasSubstr("the first at byte 3996"));
  }
}

TEST_P(Bugs, DivergentBarrier) {
  TestDevice device(options);
  Array<float> y(device, 64, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "divergent_barrier", {1}, {64}, 0, y.data());
  EXPECT_THAT(fault, HasSubstr("wait for each other for ever"));
  EXPECT_THAT(fault, HasSubstr("40 at __syncthreads (buggy.cu:"));
}

TEST_P(Bugs, ExitBeforeBarrier) {
  for (const bool strict : {false, true}) {
    options.strict_exit = strict;
    TestDevice device(options);
    Array<float> y(device, 64, "y");
    const std::string fault =
        device.fault_of("buggy.cu", "exit_before_barrier", {1}, {64}, 0, y.data());
    if (!strict)
      EXPECT_EQ(fault, "");
    else
      EXPECT_THAT(fault, HasSubstr("24 exited"));
  }
}

TEST_P(Bugs, LanesDisagree) {
  TestDevice device(options);
  Array<float> y(device, 32, "y");
  EXPECT_THAT(device.fault_of("buggy.cu", "lanes_disagree", {1}, {32}, 0, y.data()),
              HasSubstr("lanes of a warp disagree"));
}

TEST_P(Bugs, ShuffleOutsideMask) {
  TestDevice device(options);
  Array<float> y(device, 32, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "shuffle_outside_mask", {1}, {32}, 0, y.data());
  EXPECT_THAT(fault, HasSubstr("reads a lane that is not in its mask"));
  EXPECT_THAT(fault, HasSubstr(at_mark("shuffle_outside_mask")));
}

TEST_P(Bugs, MaskWithoutCaller) {
  TestDevice device(options);
  Array<float> y(device, 32, "y");
  EXPECT_THAT(device.fault_of("buggy.cu", "mask_without_caller", {1}, {16}, 0, y.data()),
              HasSubstr("omits the calling lane"));
}

TEST_P(Bugs, UseAfterFree) {
  TestDevice device(options);
  float* gone = nullptr;
  {
    Array<float> x(device, 64, "gone");
    gone = x.data();
  }
  Array<float> y(device, 64, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "unwritten_tail", {1}, {64}, 0, gone, y.data(), 64);
  EXPECT_THAT(fault, HasSubstr(kChecked ? "out of bounds" : "invalid read"));
  EXPECT_THAT(fault, HasSubstr("'gone' (freed)"));
}

TEST_P(Bugs, PastDynamicSharedMemory) {
  TestDevice device(options);
  Array<float> y(device, 64, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "past_dynamic_shared", {1}, {64}, 128, y.data());
  EXPECT_THAT(fault, HasSubstr("dynamic shared memory + "));
  EXPECT_THAT(fault, HasSubstr("of 128 bytes"));
  EXPECT_THAT(fault, HasSubstr(at_mark("past_dynamic_shared")));
}

TEST_P(Bugs, MisalignedVector) {
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(8), "x"), y(device, 8, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "misaligned_vector", {1}, {1}, 0, x.data(), y.data());
  EXPECT_THAT(fault, HasSubstr("aligned"));
  EXPECT_THAT(fault, HasSubstr(at_mark("misaligned_vector")));
}

TEST_P(Bugs, StackOverflow) {
  TestDevice device(options);
  Array<float> y(device, std::vector<float>(1), "y");
  EXPECT_THAT(device.fault_of("buggy.cu", "stack_overflow", {1}, {1}, 0, y.data()),
              HasSubstr("past the end of the thread's stack"));
}

TEST_P(Bugs, DivisionByZero) {
  TestDevice device(options);
  Array<int> y(device, 32, "y");
  EXPECT_THAT(device.fault_of("buggy.cu", "divide_by_zero", {1}, {32}, 0, y.data(), 0),
              HasSubstr("integer division by zero"));
}

TEST_P(Bugs, Trap) {
  TestDevice device(options);
  Array<float> y(device, 32, "y");
  const std::string fault = device.fault_of("buggy.cu", "traps", {2}, {32}, 0, y.data(), 5);
  EXPECT_THAT(fault, HasSubstr("thread (5, 0, 0): __trap()"));
  EXPECT_THAT(fault, HasSubstr(at_mark("traps")));
}

// After any fault the device goes on.
TEST_P(Bugs, DeviceStaysUsable) {
  TestDevice device(options);
  Array<float> y(device, 64, "y");
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(device.fault_of("buggy.cu", "divergent_barrier", {4}, {64}, 0, y.data()), "");
    EXPECT_NE(device.fault_of("buggy.cu", "traps", {2}, {32}, 0, y.data(), 5), "");
    EXPECT_EQ(device.fault_of("buggy.cu", "traps", {1}, {64}, 0, y.data(), -1), "");
    EXPECT_EQ(y.read(), std::vector<float>(64, 1.0f));
  }
}

// What only the instrumented build sees. That the plain one does not is the reason for it.
TEST_P(Bugs, LostUpdate) {
  TestDevice device(options);
  Array<float> v(device, std::vector<float>(64, 1), "v"), out(device, std::vector<float>(1), "out");
  const std::string fault =
      device.fault_of("buggy.cu", "lost_update", {1}, {64}, 0, v.data(), out.data());
  if (!kChecked) {
    EXPECT_EQ(fault, "");
    EXPECT_EQ(out.read()[0], 64.0f);
    return;
  }
  EXPECT_THAT(fault, HasSubstr("race: "));
  EXPECT_THAT(fault, HasSubstr("'out' + 0"));
  EXPECT_THAT(fault, HasSubstr(at_mark("lost_update")));
}

TEST_P(Bugs, BlocksThatDependOnEachOther) {
  TestDevice device(options);
  Array<float> y(device, std::vector<float>(9), "y");
  const std::string fault = device.fault_of("buggy.cu", "chained_blocks", {8}, {32}, 0, y.data());
  if (kChecked) {
    EXPECT_THAT(fault, HasSubstr("race: "));
    EXPECT_THAT(fault, HasSubstr(at_mark("chained_blocks")));
  } else if (GetParam() != 0) {
    EXPECT_NE(y.read()[8], 8.0f);  // another order of blocks shows it here too
  }
}

TEST_P(Bugs, CounterWithoutFence) {
  for (const bool before : {false, true}) {
    for (const bool after : {false, true}) {
      TestDevice device(options);
      Array<float> x(device, std::vector<float>(256, 1), "x"), partial(device, 256, "partial");
      Array<float> out(device, 1, "out");
      Array<unsigned> ticket(device, std::vector<unsigned>(1), "ticket");
      const std::string fault =
          device.fault_of("buggy.cu", "missing_fence", {4}, {64}, 0, x.data(), partial.data(),
                          ticket.data(), out.data(), before, after);
      if (!kChecked || (before && after)) {
        EXPECT_EQ(fault, "");
        EXPECT_EQ(out.read()[0], 256.0f);
        continue;
      }
      EXPECT_THAT(fault, HasSubstr("race: read of what "));
      EXPECT_THAT(fault, HasSubstr(at_mark("missing_fence")));
    }
  }
}

TEST_P(Bugs, FenceBeforeBarrier) {
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(256, 1), "x"), partial(device, 256, "partial");
  Array<float> out(device, 1, "out");
  Array<unsigned> ticket(device, std::vector<unsigned>(1), "ticket");
  const std::string fault = device.fault_of("buggy.cu", "fence_before_barrier", {4}, {64}, 0,
                                            x.data(), partial.data(), ticket.data(), out.data());
  if (kChecked) {
    EXPECT_THAT(fault, HasSubstr("race: read of what "));
    EXPECT_THAT(fault, HasSubstr(at_mark("fence_before_barrier")));
  }
}

// A counter that an earlier launch left behind: the block that seems to be the last one reads what
// nobody wrote yet.
TEST_P(Bugs, StaleCounter) {
  TestDevice device(options);
  Array<float> x(device, std::vector<float>(256, 1), "x"), partial(device, 256, "partial");
  Array<float> out(device, 1, "out");
  Array<unsigned> ticket(device, std::vector<unsigned>(1, 1), "ticket");
  const std::string fault = device.fault_of("good.cu", "sum_by_last", {4}, {64}, 0, x.data(),
                                            partial.data(), ticket.data(), out.data());
  if (kChecked) {
    EXPECT_THAT(fault, HasSubstr("read of uninitialised memory"));
    return;
  }
  const Scan s = device.driver->scan(out.data(), out.bytes());
  EXPECT_EQ(s.unwritten + s.tainted, 1u);
}

TEST_P(Bugs, HostPointer) {
  TestDevice device(options);
  std::vector<float> host(64, 1);
  Array<float> y(device, 64, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "reads_unwritten", {1}, {64}, 0, host.data(), y.data());
  if (!kChecked) {
    EXPECT_EQ(fault, "");
    return;
  }
  EXPECT_THAT(fault, HasSubstr("read through a host pointer"));
  EXPECT_THAT(fault, HasSubstr(at_mark("reads_unwritten")));
}

TEST_P(Bugs, ReadOfUnwritten) {
  TestDevice device(options);
  Array<float> x(device, 64, "x"), y(device, 64, "y");
  const std::string fault =
      device.fault_of("buggy.cu", "reads_unwritten", {1}, {64}, 0, x.data(), y.data());
  if (!kChecked) {
    EXPECT_EQ(device.driver->scan(y.data(), y.bytes()).tainted, 64u);
    return;
  }
  EXPECT_THAT(fault, HasSubstr("read of uninitialised memory"));
  EXPECT_THAT(fault, HasSubstr(at_mark("reads_unwritten")));
}

using HostDeathTest = testing::Test;
TEST(HostDeathTest, TouchesDeviceMemory) {
  TestDevice device;
  Array<float> x(device, std::vector<float>(64, 1), "activations");
  const OpScope op("relu_backward");
  volatile float* p = x.data();
  EXPECT_DEATH((void)p[3],
               "the host read device memory .* = 'activations' \\+ 12 .* during op "
               "'relu_backward'");
  EXPECT_DEATH(p[3] = 1, "the host wrote to device memory");
}

}  // namespace
}  // namespace flame::sim
