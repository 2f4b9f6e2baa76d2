// Right kernels give right results, whatever the order of threads.
#include <cmath>
#include <cstring>
#include <numeric>

#include "conformance/sim/tests/device.h"

namespace flame::sim {
namespace {

struct Setting {
  std::string name;
  Options options;
};

std::vector<Setting> settings() {
  std::vector<Setting> out;
  for (const std::uint64_t seed : {0u, 1u, 12345u})
    out.push_back({"seed_" + std::to_string(seed), with_seed(seed)});
  Options open_memory;
  open_memory.protect = false;
  out.push_back({"unprotected", open_memory});
  Options deferred = with_seed(7);
  deferred.deferred = true;
  out.push_back({"deferred", deferred});
  Options two;
  two.threads = 2;
  out.push_back({"two_threads", two});
  return out;
}

class Good : public testing::TestWithParam<Setting> {
 protected:
  TestDevice device{GetParam().options};
};
INSTANTIATE_TEST_SUITE_P(Settings, Good, testing::ValuesIn(settings()),
                         [](const auto& setting) { return setting.param.name; });

TEST_P(Good, VectorizedAddWithTail) {
  const long long n = 100003;
  const auto a = random_floats(n, 1), b = random_floats(n, 2);
  Array<float> da(device, a, "a"), db(device, b, "b"), dc(device, n, "c");
  device.launch("good.cu", "add", {unsigned((n + 1023) / 1024)}, {256}, 0, da.data(), db.data(),
                dc.data(), n);
  const auto c = dc.read();
  for (long long i = 0; i < n; ++i) ASSERT_EQ(c[i], a[i] + b[i]) << i;
}

TEST_P(Good, ShufflesAndStaticSharedMemory) {
  const long long n = 100001;
  std::vector<float> x(n);
  for (long long i = 0; i < n; ++i) x[i] = float(i % 17);
  Array<float> dx(device, x, "x"), out(device, 8, "out");
  device.launch("good.cu", "block_sums<256>", {8}, {256}, 0, dx.data(), out.data(), n);
  const auto sums = out.read();
  // Small integers: every order of summation is exact.
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), 0.0),
            std::accumulate(x.begin(), x.end(), 0.0));
}

TEST_P(Good, TheLastBlockAddsUp) {
  Array<float> x(device, std::vector<float>(512, 2), "x"), partial(device, 512, "partial");
  Array<float> out(device, 1, "out");
  Array<unsigned> ticket(device, std::vector<unsigned>(1), "ticket");
  for (int i = 0; i < 2; ++i)
    device.launch("good.cu", "sum_by_last", {8}, {64}, 0, x.data(), partial.data(), ticket.data(),
                  out.data());
  EXPECT_EQ(out.read()[0], 1024.0f);
  EXPECT_EQ(ticket.read()[0], 0u);
}

TEST_P(Good, SoftmaxInDynamicSharedMemory) {
  const int rows = 33, columns = 517;
  const auto x = random_floats(std::size_t(rows) * columns);
  Array<float> dx(device, x, "x"), dy(device, x.size(), "y");
  device.launch("good.cu", "row_softmax<float, 128>", {unsigned(rows)}, {128}, columns * 4,
                dx.data(), dy.data(), columns);
  const auto y = dy.read();
  for (int r = 0; r < rows; ++r) {
    double sum = 0;
    for (int c = 0; c < columns; ++c) sum += std::exp(double(x[r * columns + c]));
    for (int c = 0; c < columns; ++c) {
      const double want = std::exp(double(x[r * columns + c])) / sum;
      ASSERT_NEAR(y[r * columns + c], want, 1e-5 * want);
    }
  }
}

TEST_P(Good, Bfloat16) {
  const int columns = 64;
  // Equal elements: every one becomes exactly 1/64.
  std::vector<std::uint16_t> x(columns, 0x4000);
  Array<std::uint16_t> dx(device, x, "x"), dy(device, columns, "y");
  device.launch("good.cu", "row_softmax<__nv_bfloat16,128>", {1}, {128}, columns * 4, dx.data(),
                dy.data(), columns);
  for (const std::uint16_t v : dy.read()) EXPECT_EQ(v, 0x3C80);
}

TEST_P(Good, TiledMatmul) {
  const int m = 65, n = 50, k = 37;
  std::vector<float> a(m * k), b(k * n);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = float(int(i * 7 % 11) - 5);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = float(int(i * 5 % 13) - 6);
  Array<float> da(device, a, "a"), db(device, b, "b"), dc(device, m * n, "c");
  device.launch("good.cu", "tiled_matmul<16>", {4, 5}, {16, 16}, 0, da.data(), db.data(), dc.data(),
                m, n, k);
  const auto c = dc.read();
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      float want = 0;
      for (int p = 0; p < k; ++p) want += a[i * k + p] * b[p * n + j];
      ASSERT_EQ(c[i * n + j], want) << i << ", " << j;
    }
}

TEST_P(Good, StructByValue) {
  struct {
    float scale, shift;
    int n;
  } p{2, 1, 100};
  std::vector<float> x(100);
  std::iota(x.begin(), x.end(), 0.0f);
  Array<float> dx(device, x, "x"), dy(device, 100, "y");
  device.launch("good.cu", "affine", {1}, {128}, 0, static_cast<const float*>(dx.data()), dy.data(),
                p);
  const auto y = dy.read();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(y[i], 2.0f * float(i) + 1);
}

TEST_P(Good, Atomics) {
  const int n = 50000;
  std::vector<int> values(n), want(13);
  unsigned long long total = 0;
  for (int i = 0; i < n; ++i) {
    values[i] = i * 7 % 13;
    ++want[values[i]];
    total += values[i];
  }
  Array<int> dv(device, values, "values"), counts(device, std::vector<int>(13), "counts");
  Array<unsigned long long> sum(device, std::vector<unsigned long long>(1), "sum");
  device.launch("good.cu", "histogram", {unsigned(n + 127) / 128}, {128}, 0, dv.data(),
                counts.data(), sum.data(), n);
  EXPECT_EQ(counts.read(), want);
  EXPECT_EQ(sum.read()[0], total);
}

TEST_P(Good, NeighbouringBytes) {
  const int n = 1001;
  const auto x = random_floats(n);
  Array<float> dx(device, x, "x");
  Array<unsigned char> dy(device, n, "y");
  device.launch("good.cu", "is_positive", {8}, {128}, 0, dx.data(), dy.data(), n);
  const auto y = dy.read();
  for (int i = 0; i < n; ++i) EXPECT_EQ(y[i], x[i] > 0);
}

TEST_P(Good, AsynchronousCopies) {
  const auto x = random_floats(256);
  Array<float> dx(device, x, "x"), dy(device, 256, "y");
  device.launch("good.cu", "async_reverse", {1}, {128}, 0, dx.data(), dy.data(), 2);
  const auto y = dy.read();
  for (int i = 0; i < 256; ++i) EXPECT_EQ(y[i], x[i / 128 * 128 + 127 - i % 128]);
  // One group is never waited for.
  EXPECT_THAT(device.fault_of("good.cu", "async_reverse", {1}, {128}, 0, dx.data(), dy.data(), 1),
              testing::HasSubstr("never waited for"));
  EXPECT_EQ(device.fault_of("good.cu", "async_reverse", {1}, {128}, 0, dx.data(), dy.data(), 2),
            "");
}

TEST_P(Good, NoArguments) {
  device.launch("good.cu", "no_arguments", {3, 2, 2}, {32, 2, 2}, 0);
  device.driver->synchronize(0);
  EXPECT_EQ(device.driver->last_launch().expression, "no_arguments");
}

}  // namespace
}  // namespace flame::sim
