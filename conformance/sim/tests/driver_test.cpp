// The driver's own promises: images, argument checks, memory, the ledger, streams, threads.
#include <bit>
#include <cmath>
#include <cstring>
#include <thread>

#include "conformance/sim/tests/device.h"

namespace flame::sim {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

const driver::KernelId kAdd{"good.cu", "add"};

driver::Image text_image(const std::string& text) {
  driver::Image image;
  image.entry = "add";
  image.bytes.resize(text.size());
  std::memcpy(image.bytes.data(), text.data(), text.size());
  return image;
}

TEST(SimImage, RoundTripWhateverTheSpaces) {
  TestDevice device;
  const driver::KernelId spaced{"good.cu", " row_softmax < __nv_bfloat16 ,128 > "};
  const driver::Image image = device.driver->compile(spaced);
  EXPECT_EQ(image.entry, "row_softmax<__nv_bfloat16,128>");
  EXPECT_NO_THROW(device.driver->load(image, {"good.cu", "row_softmax<__nv_bfloat16, 128>"}));
}

TEST(SimImage, UnknownKernels) {
  TestDevice device;
  const auto compiling = [&](const char* file, const char* expression) {
    return [&device, file, expression] { device.driver->compile({file, expression}); };
  };
  EXPECT_THAT(compiling("good.cu", "row_softmax<double, 128>"),
              ThrowsMessage<JitError>(AllOf(HasSubstr("good.cu: row_softmax<double, 128>"),
                                            HasSubstr("none of its "))));
  EXPECT_THAT(compiling("buggy.cu", "add"),
              ThrowsMessage<JitError>(HasSubstr("good.cu exports it")));
  EXPECT_THAT(compiling("nowhere.cu", "nothing"),
              ThrowsMessage<JitError>(HasSubstr("no kernel file of that name")));
}

TEST(SimImage, LiesAreRefused) {
  TestDevice device;
  const auto loading = [&](const driver::Image& image) {
    return [&device, image] { device.driver->load(image, kAdd); };
  };
  EXPECT_THAT(loading({}), ThrowsMessage<JitError>(HasSubstr("is empty")));
  EXPECT_THAT(loading(text_image("__global__ void add(const float* a)")),
              ThrowsMessage<JitError>(HasSubstr("that start with '__global__ void add")));
  EXPECT_THAT(loading(device.driver->compile({"good.cu", "affine"})),
              ThrowsMessage<JitError>(HasSubstr("is of another kernel, good.cu: affine")));
  const driver::Image good = device.driver->compile(kAdd);
  // Not one byte can be changed or lost.
  for (std::size_t i = 0; i < good.bytes.size(); ++i) {
    driver::Image changed = good, cut = good;
    changed.bytes[i] ^= std::byte(0x10);
    cut.bytes.resize(i);
    EXPECT_THROW(device.driver->load(changed, kAdd), JitError) << i;
    EXPECT_THROW(device.driver->load(cut, kAdd), JitError) << i;
  }
  driver::Image longer = good, renamed = good;
  longer.bytes.push_back(std::byte(0));
  renamed.entry = "sub";
  EXPECT_THROW(device.driver->load(longer, kAdd), JitError);
  EXPECT_THAT(loading(renamed), ThrowsMessage<JitError>(HasSubstr("no entry 'sub'")));
}

TEST(SimLaunch, Checks) {
  TestDevice device;
  Array<float> x(device, std::vector<float>(4), "x");
  const float* p = x.data();
  const long long n = 4;
  const int short_n = 4;
  const auto kernel = device.driver->load(device.driver->compile(kAdd), kAdd);
  using Args = std::vector<driver::Arg>;
  const Args good{{&p, 8}, {&p, 8}, {&p, 8}, {&n, 8}};
  const auto launching = [&](driver::KernelHandle k, driver::Launch l, const Args& args) {
    return [&device, k, l, args] { device.driver->launch(k, l, args); };
  };
  EXPECT_THAT(launching(kernel + 7, {}, good),
              ThrowsMessage<DriverError>(HasSubstr("is no kernel of this device")));
  EXPECT_THAT(launching(0, {}, good), ThrowsMessage<DriverError>(HasSubstr("is no kernel")));
  EXPECT_THAT(launching(kernel, {}, Args(good.begin(), good.end() - 1)),
              ThrowsMessage<DriverError>(HasSubstr("add: it takes 4 arguments, got 3")));
  EXPECT_THAT(
      launching(kernel, {}, {good[0], good[1], good[2], {&short_n, 4}}),
      ThrowsMessage<DriverError>(HasSubstr("add: argument 3 has 4 bytes, the kernel's has 8")));
  EXPECT_THAT(launching(kernel, {{1}, {0}}, good),
              ThrowsMessage<DriverError>(HasSubstr("block (0, 1, 1) has 0 threads")));
  EXPECT_THAT(launching(kernel, {{1}, {1025}}, good),
              ThrowsMessage<DriverError>(HasSubstr("has 1025 threads")));
  EXPECT_THAT(launching(kernel, {{1}, {1, 1, 65}}, good), testing::Throws<DriverError>());
  EXPECT_THAT(launching(kernel, {{0}, {32}}, good),
              ThrowsMessage<DriverError>(HasSubstr("grid (0, 1, 1)")));
  EXPECT_THAT(launching(kernel, {{1, 65536}, {32}}, good), testing::Throws<DriverError>());
  EXPECT_THAT(launching(kernel, {{1}, {32}, 227 * 1024 + 1}, good),
              ThrowsMessage<DriverError>(HasSubstr("232449 bytes of dynamic shared memory")));
  EXPECT_THAT(launching(kernel, {{1}, {32}, 0, 99}, good),
              ThrowsMessage<DriverError>(HasSubstr("no live stream")));
  EXPECT_NO_THROW(device.driver->launch(kernel, {{1}, {32}, 227 * 1024}, good));
}

TEST(SimMemory, AllocationsAndLimits) {
  Options options;
  options.memory_limit = 1000;
  TestDevice device(options);
  EXPECT_EQ(device.driver->free_memory(), 1000u);
  void* a = device.driver->allocate(600, "a");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a) % 256, 0u);
  EXPECT_THAT([&] { device.driver->allocate(401, "b"); },
              ThrowsMessage<OutOfMemoryError>(
                  AllOf(HasSubstr("401 bytes for 'b'"), HasSubstr("400 of 1000 free"))));
  EXPECT_THROW(device.driver->allocate(~std::size_t(0), "b"), OutOfMemoryError);
  void* b = device.driver->allocate(400, "b");
  EXPECT_EQ(device.driver->free_memory(), 0u);
  const auto live = device.driver->live_buffers();
  ASSERT_EQ(live.size(), 2u);
  EXPECT_EQ(live[1].label, "b");
  device.driver->deallocate(a);
  device.driver->deallocate(b);
  EXPECT_TRUE(device.driver->live_buffers().empty());
  // deallocate cannot throw; the next call does.
  device.driver->deallocate(a);
  EXPECT_THAT([&] { device.driver->synchronize(0); },
              ThrowsMessage<DriverError>(HasSubstr("'a' (freed)")));
  EXPECT_NO_THROW(device.driver->synchronize(0));
}

TEST(SimMemory, CopiesAreChecked) {
  TestDevice device;
  std::vector<float> host(8);
  Array<float> x(device, host, "x"), y(device, host, "y");
  auto& d = *device.driver;
  EXPECT_THAT([&] { d.copy_to_device(x.data() + 1, host.data(), 32, 0); },
              ThrowsMessage<DriverError>(AllOf(HasSubstr("32 bytes"), HasSubstr("'x' + 4"))));
  EXPECT_THROW(d.copy_to_host(host.data(), x.data() + 1, 32, 0), DriverError);
  EXPECT_THROW(d.copy_on_device(x.data() + 1, y.data(), 32, 0), DriverError);
  EXPECT_THROW(d.copy_on_device(x.data(), host.data(), 32, 0), DriverError);
  EXPECT_THROW(d.fill(x.data(), 0, 33, 0), DriverError);
  EXPECT_THAT([&] { d.copy_to_device(x.data(), y.data(), 32, 0); },
              ThrowsMessage<DriverError>(HasSubstr("device memory where host memory is needed")));
  d.fill(x.data(), 0x3F, 32, 0);
  d.copy_on_device(y.data(), x.data(), 32, 0);
  for (const float v : y.read()) EXPECT_EQ(v, std::bit_cast<float>(0x3F3F3F3Fu));
  EXPECT_NO_THROW(d.copy_to_device(x.data(), host.data(), 0, 0));
}

TEST(SimMemory, TwoPatternsTellWrittenFromUnwritten) {
  TestDevice device;
  Array<float> x(device, std::vector<float>(100, 2), "x"), y(device, 100, "y");
  for (const std::uint32_t pattern : {kPoison, kPoison2}) {
    device.driver->poison(y.data(), y.bytes(), pattern);
    EXPECT_EQ(device.driver->scan(y.data(), y.bytes(), pattern).unwritten, 100u);
    device.launch("buggy.cu", "unwritten_tail", {1}, {128}, 0, x.data(), y.data(), 100);
    const Scan s = device.driver->scan(y.data(), y.bytes(), pattern);
    EXPECT_EQ(s.unwritten, 1u);
    EXPECT_EQ(s.first_unwritten, 99u);
  }
}

TEST(SimLedger, SaysWhatHappened) {
  TestDevice device;
  Array<float> a(device, std::vector<float>(100), "a"), b(device, std::vector<float>(100), "b"),
      c(device, 100, "c"), idle(device, 100, "idle");
  device.driver->clear_events();
  const auto stream = device.stream = device.driver->create_stream();
  const OpScope op("add");
  device.launch("good.cu", "add", {1}, {32}, 64, a.data(), b.data(), c.data(), 100LL);
  c.read();
  device.driver->synchronize(stream);
  const auto events = device.driver->events();
  ASSERT_EQ(events.size(), 3u);
  const Event& e = events[0];
  EXPECT_EQ(e.kind, EventKind::kLaunch);
  EXPECT_EQ(e.file, "good.cu");
  EXPECT_EQ(e.expression, "add");
  EXPECT_EQ(e.block.x, 32u);
  EXPECT_EQ(e.bytes, 64u);
  EXPECT_EQ(e.stream, stream);
  EXPECT_EQ(e.op, "add");
  const auto ref = [](const std::string& label, const Array<float>& x) {
    return BufferRef{label, reinterpret_cast<std::uintptr_t>(x.data()), x.bytes()};
  };
  EXPECT_THAT(e.reads, testing::UnorderedElementsAre(ref("a", a), ref("b", b)));
  EXPECT_THAT(e.writes, testing::ElementsAre(ref("c", c)));
  EXPECT_EQ(events[1].kind, EventKind::kCopyToHost);
  EXPECT_EQ(events[1].bytes, 400u);
  EXPECT_EQ(events[1].reads, std::vector{ref("c", c)});
  EXPECT_EQ(events[2].kind, EventKind::kSynchronize);
  EXPECT_STREQ(to_string(events[2].kind), "synchronize");
  EXPECT_EQ(device.driver->last_launch().expression, "add");
  device.driver->clear_events();
  EXPECT_TRUE(device.driver->events().empty());
}

TEST(SimLedger, KeepsTheNewest) {
  Options options;
  options.ledger_capacity = 3;
  TestDevice device(options);
  for (int i = 0; i < 10; ++i) device.driver->synchronize(0);
  EXPECT_EQ(device.driver->events().size(), 3u);
  EXPECT_EQ(device.driver->dropped_events(), 7u);
}

TEST(SimStreams, HandlesAreChecked) {
  TestDevice device;
  auto& d = *device.driver;
  const auto stream = d.create_stream();
  const auto from = d.create_event(), to = d.create_event();
  EXPECT_THROW(d.elapsed_ms(from, to), DriverError);
  d.record(from, stream);
  d.wait(0, from);
  d.record(to, 0);
  EXPECT_GE(d.elapsed_ms(from, to), 0.0);
  d.destroy_event(from);
  EXPECT_THROW(d.record(from, stream), DriverError);
  EXPECT_THROW(d.wait(0, from), DriverError);
  d.destroy_stream(stream);
  EXPECT_THROW(d.synchronize(stream), DriverError);
  d.destroy_stream(stream);
  EXPECT_THROW(d.synchronize(0), DriverError);
}

// y = x + x on one stream, z = y + y on another, with or without the event between them.
float chain(std::uint64_t seed, bool ordered) {
  Options options = with_seed(seed);
  options.deferred = true;
  options.report_unwritten = false;
  TestDevice device(options);
  auto& d = *device.driver;
  Array<float> x(device, std::vector<float>{1}, "x"), y(device, 1, "y"), z(device, 1, "z");
  const auto first = d.create_stream(), second = d.create_stream();
  const auto made = d.create_event();
  d.synchronize(0);
  device.stream = first;
  device.launch("good.cu", "add", {1}, {1}, 0, x.data(), x.data(), y.data(), 1LL);
  d.record(made, first);
  if (ordered) d.wait(second, made);
  device.stream = second;
  try {
    device.launch("good.cu", "add", {1}, {1}, 0, y.data(), y.data(), z.data(), 1LL);
    return z.read()[0];
  } catch (const DriverError&) {
    return NAN;  // the instrumented build names the read
  }
}

TEST(SimStreams, DeferredWorkNeedsItsEvents) {
  int right_by_luck = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(chain(seed, true), 4.0f) << seed;
    right_by_luck += chain(seed, false) == 4.0f;
  }
  EXPECT_NE(chain(0, false), 4.0f);
  EXPECT_LT(right_by_luck, 20);
}

TEST(SimStreams, DeferredFaultsComeWhenForced) {
  Options options;
  options.deferred = true;
  TestDevice device(options);
  Array<float> y(device, 32, "y");
  EXPECT_NO_THROW(device.launch("buggy.cu", "traps", {1}, {32}, 0, y.data(), 3));
  EXPECT_THAT([&] { device.driver->synchronize(0); },
              ThrowsMessage<DriverError>(HasSubstr("__trap()")));
  EXPECT_NO_THROW(device.driver->synchronize(0));
}

TEST(SimThreads, EightAtOnceOnOneDevice) {
  TestDevice device;
  std::vector<std::thread> threads;
  std::vector<int> wrong(8, -1);
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&device, &wrong, t] {
      wrong[t] = 0;
      for (int i = 0; i < 50; ++i) {
        const std::vector<float> h(300, float(t * 100 + i));
        Array<float> x(device, h, "x"), y(device, 300, "y"), s(device, 2, "s");
        device.launch("good.cu", "add", {1}, {128}, 0, x.data(), x.data(), y.data(), 300LL);
        device.launch("good.cu", "block_sums<256>", {2}, {256}, 0, y.data(), s.data(), 300LL);
        const auto sums = s.read();
        wrong[t] += sums[0] + sums[1] != 600.0f * float(t * 100 + i);
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_THAT(wrong, testing::Each(0));
  EXPECT_TRUE(device.driver->live_buffers().empty());
}

TEST(SimThreads, ADeviceEach) {
  std::vector<std::thread> threads;
  std::vector<std::string> faults(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&faults, t] {
      TestDevice device;
      for (int i = 0; i < 20; ++i) {
        Array<float> y(device, 32, str_cat("y", t));
        faults[t] = device.fault_of("buggy.cu", "write_past_end", {2048}, {32}, 0, y.data(),
                                    y.data(), 1 << 20);
      }
    });
  for (auto& t : threads) t.join();
  for (int t = 0; t < 4; ++t) EXPECT_THAT(faults[t], HasSubstr(str_cat("'y", t, "'")));
}

TEST(SimThreads, NotAfterFork) {
  TestDevice device;
  EXPECT_EXIT(
      {
        try {
          device.driver->allocate(1, "x");
        } catch (const DriverError&) {
          std::_Exit(3);
        }
        std::_Exit(0);
      },
      testing::ExitedWithCode(3), "");
}

TEST(SimKernels, SameNameInTwoFiles) {
  TestDevice device;
  Array<int> y(device, 1, "y");
  device.launch("same_name_a.cu", "which", {1}, {1}, 0, y.data());
  EXPECT_EQ(y.read()[0], 1);
  device.launch("same_name_b.cu", "which", {1}, {1}, 0, y.data());
  EXPECT_EQ(y.read()[0], 2);
}

}  // namespace
}  // namespace flame::sim
