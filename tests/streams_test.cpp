// Work on several streams. The simulated device here is deferred: nothing runs until something
// waits for it, and streams that no event orders run in a random order, so that a missing event
// is a wrong result.
#include <gtest/gtest.h>

#include <map>

#include "lib/autograd/apply.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/runtime.h"
#include "tests/support/expect_error.h"
#include "tests/support/null_driver.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using Floats = std::vector<float>;

// Runs `body` on devices that schedule differently; on a GPU, several times on one.
template <class Body>
void on_every_schedule(Body body) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    if (test::on_gpu()) {
      body(test::device());
    } else {
      body(Device(sim::open({.seed = seed, .threads = 1, .deferred = true})));
    }
  }
}

TEST(StreamsTest, AnOpWaitsForTheStreamsOfItsInputs) {
  on_every_schedule([](const Device& device) {
    const Device a = device.on(device.new_stream()), b = device.on(device.new_stream());
    const Tensor x = full({100}, 2, a), y = full({100}, 5, b);
    const Tensor z = x * y;
    EXPECT_EQ(z.device().stream(), a.stream()) << "the first input's";
    EXPECT_EQ(z.to_vector<float>(), Floats(100, 10));
  });
}

TEST(StreamsTest, AChainThatChangesStreams) {
  on_every_schedule([](const Device& device) {
    std::vector<Device> on;
    for (int i = 0; i < 3; ++i) on.push_back(device.on(device.new_stream()));
    Tensor x = full({64}, 1, on[0]);
    for (int i = 0; i < 12; ++i) x = full({64}, 1, on[static_cast<std::size_t>(i) % 3]) + x;
    EXPECT_EQ(x.to_vector<float>(), Floats(64, 13));
  });
}

TEST(StreamsTest, InPlaceChangesAreOrderedToo) {
  on_every_schedule([](const Device& device) {
    const Device a = device.on(device.new_stream()), b = device.on(device.new_stream());
    Tensor x = full({64}, 1, a);
    const Tensor y = full({64}, 3, b);
    x.add_(y);
    const Tensor z = y * x;
    x.copy_(z);
    EXPECT_EQ(x.to_vector<float>(), Floats(64, 12));
  });
}

// A tensor's memory goes back to its own stream when it dies; whoever reads it on another must have
// been waited for.
TEST(StreamsTest, MemoryIsNotReusedWhileAnotherStreamReadsIt) {
  on_every_schedule([](const Device& device) {
    const Device a = device.on(device.new_stream()), b = device.on(device.new_stream());
    const Tensor y = full({256}, 1, b);
    std::vector<Tensor> results;
    for (int i = 0; i < 6; ++i) {
      const Tensor x = full({256}, i, a);
      results.push_back(y + x);  // on b, reads x, which dies before it ran
    }
    for (int i = 0; i < 6; ++i)
      EXPECT_EQ(results[static_cast<std::size_t>(i)].to_vector<float>(), Floats(256, i + 1.f));
  });
}

TEST(StreamsTest, BackwardFollowsItsStreams) {
  on_every_schedule([](const Device& device) {
    const Device a = device.on(device.new_stream()), b = device.on(device.new_stream());
    Tensor x = full({64}, 3, {a, DType::kFloat32, true});
    Tensor w = full({64}, 2, {b, DType::kFloat32, true});
    const Tensor y = (x * w) + (w * x) * x;
    y.backward(ones({64}, device));
    EXPECT_EQ(x.grad().to_vector<float>(), Floats(64, 2 + 2 * 2 * 3));
    EXPECT_EQ(w.grad().to_vector<float>(), Floats(64, 3 + 9));
    y.device().synchronize();
  });
}

// Blocks that share an output count who of them comes last, in words of their stream: sums that run
// at once on several streams must not count in each other's, and leave their own at zero.
TEST(StreamsTest, SumsOfSeveralStreamsCountApart) {
  constexpr std::int64_t kSize = 1 << 19;
  on_every_schedule([](const Device& device) {
    std::vector<Device> on;
    for (int i = 0; i < 3; ++i) on.push_back(device.on(device.new_stream()));
    std::vector<Tensor> x, total;
    for (const Device& d : on) x.push_back(full({kSize}, 1, d));
    for (int i = 0; i < 6; ++i) total.push_back(sum(x[static_cast<std::size_t>(i) % 3]));
    for (const Tensor& t : total) EXPECT_EQ(t.to_vector<float>(), Floats(1, kSize));
    Runtime& runtime = device.runtime();
    EXPECT_NE(runtime.tickets(on[0].stream()), runtime.tickets(on[1].stream()));
    for (const Device& d : on) {
      std::vector<std::uint32_t> tickets(Runtime::kTickets, 1);
      runtime.driver().copy_to_host(tickets.data(), runtime.tickets(d.stream()),
                                    tickets.size() * sizeof(std::uint32_t), d.stream());
      EXPECT_EQ(tickets, std::vector<std::uint32_t>(Runtime::kTickets, 0));
    }
  });
}

TEST(StreamsTest, AStreamOutlivesItsName) {
  on_every_schedule([](const Device& device) {
    Tensor x;
    {
      const Device a = device.on(device.new_stream());
      x = full({8}, 4, a);
    }
    EXPECT_EQ((x * x).to_vector<float>(), Floats(8, 16));
  });
}

TEST(StreamsTest, FaultsOfAnyStreamAreReported) {
  on_every_schedule([](const Device& device) {
    const Device a = device.on(device.new_stream());
    const std::int64_t nine = 9;
    const Tensor index = tensor(std::span(&nine, 1), {1}, {a, DType::kInt64});
    const Tensor bad = gather(full({3}, 1, a), 0, index);
    test::expect_error<IndexError>([&] { a.synchronize(); }, {"gather", "9"});
    a.synchronize();
  });
}

TEST(StreamsTest, AFreshStreamIsNotTheDefaultOne) {
  const Device& device = test::device();
  const Stream one = device.new_stream(), two = device.new_stream();
  EXPECT_NE(one.handle(), 0u);
  EXPECT_NE(one.handle(), two.handle());
  EXPECT_EQ(device.stream(), 0u);
  EXPECT_TRUE(device.on(one) == device) << "a stream does not make another device";
}

// What was launched before each launch that may start early.
class EarlyDriver final : public test::NullDriver {
 public:
  driver::KernelHandle load(const driver::Image& image, const driver::KernelId& id) override {
    const driver::KernelHandle handle = NullDriver::load(image, id);
    names_[handle] = id.expression;
    return handle;
  }
  void launch(driver::KernelHandle handle, const driver::Launch& how,
              std::span<const driver::Arg> args) override {
    NullDriver::launch(handle, how, args);
    if (how.early) before_early.push_back(last_);
    last_ = names_[handle];
  }
  std::vector<std::string> before_early;

 private:
  std::map<driver::KernelHandle, std::string> names_;
  std::string last_;
};

// A kernel that starts early waits for the words alone: nothing that made its input may come
// before it without them between.
TEST(StreamsTest, SoftmaxStartsEarlyBehindItsWordsOnly) {
  const auto driver = std::make_shared<EarlyDriver>();
  const Device device{driver};
  const auto early_of = [&](const Shape& shape, DType dtype, std::int64_t dim) {
    driver->before_early.clear();
    const Tensor x = full(shape, 1, {device, dtype}).set_requires_grad();
    softmax(x * x, dim).backward(full(shape, 1, {device, dtype}));
    return driver->before_early;
  };
  const std::vector<std::string> both(2, "softmax_words");
  EXPECT_EQ(early_of({2, 40000}, DType::kFloat32, 1), both);
  EXPECT_EQ(early_of({2, 40001}, DType::kBFloat16, 1), both);
  EXPECT_EQ(early_of({2000, 64}, DType::kFloat32, 0), both);
  EXPECT_EQ(early_of({2, 8192}, DType::kBFloat16, 1), std::vector<std::string>()) << "one block";
  EXPECT_EQ(early_of({200, 64}, DType::kFloat32, 0), std::vector<std::string>()) << "one block";
  EXPECT_EQ(early_of({2, 100}, DType::kFloat32, 1), std::vector<std::string>());
}

}  // namespace
}  // namespace flame
