// Derivatives: dual numbers against finite differences, and the tape against dual numbers.
#include <gtest/gtest.h>

#include "reference/tests/support.h"

namespace flame::reference {
namespace {

using test::label;

constexpr DType kWide = DType::kFloat64;

// Every quick case whose derivative exists, in float64.
template <class F>
void for_each_smooth_case(F f) {
  for (const Contract* c : all_contracts()) {
    if (!c->backward) continue;
    for (const Case& k : c->cases()) {
      if (!k.quick || !k.dtypes.has(kWide) || !k.differentiable) continue;
      const auto inputs = draw_inputs(k.inputs, kWide, 7);
      bool floating = false;
      for (const HostTensor& t : inputs) floating = floating || (t.defined && is_floating(t.dtype));
      if (floating) f(*c, k, inputs);
    }
  }
}

std::vector<std::vector<long double>> values(const std::vector<BoundTensor>& tensors) {
  std::vector<std::vector<long double>> out;
  for (const BoundTensor& t : tensors) {
    auto& v = out.emplace_back();
    for (const Bound& b : t.values) v.push_back(b.value);
  }
  return out;
}

// The forward's value `step` along the directions.
std::vector<std::vector<long double>> moved(const Contract& c, const Case& k,
                                            std::vector<HostTensor> inputs,
                                            const std::vector<HostTensor>& directions,
                                            double step) {
  for (std::size_t t = 0; t < inputs.size(); ++t)
    if (directions[t].defined)
      for (std::size_t i = 0; i < inputs[t].values.size(); ++i)
        inputs[t].values[i] += step * directions[t].values[i];
  return values(c.forward(inputs, k.attrs));
}

TEST(Derivatives, DualNumbersAgreeWithFourPointDifferences) {
  const double h = 0x1p-17;
  std::size_t compared = 0;
  for_each_smooth_case([&](const Contract& c, const Case& k, const std::vector<HostTensor>& in) {
    // Conversions to shorter types are steps; their derivative is by definition that of identity.
    if (c.op == "to") return;
    const auto directions = test::directions(in, 3);
    const auto jvp = c.jvp(in, k.attrs, directions);
    const auto p1 = moved(c, k, in, directions, h), m1 = moved(c, k, in, directions, -h);
    const auto p2 = moved(c, k, in, directions, 2 * h), m2 = moved(c, k, in, directions, -2 * h);
    for (std::size_t t = 0; t < jvp.size(); ++t) {
      double scale = 0;
      for (double v : jvp[t].values) scale = std::max(scale, std::fabs(v));
      for (std::size_t i = 0; i < jvp[t].values.size(); ++i) {
        const auto fd =
            static_cast<double>((8 * (p1[t][i] - m1[t][i]) - (p2[t][i] - m2[t][i])) / (12 * h));
        EXPECT_NEAR(jvp[t].values[i], fd, 1e-8 * scale) << label(c, k) << " element " << i;
        ++compared;
      }
    }
  });
  EXPECT_GT(compared, 20000u);
}

TEST(Derivatives, TapeIsTheTransposeOfDualNumbers) {
  std::size_t compared = 0;
  for_each_smooth_case([&](const Contract& c, const Case& k, const std::vector<HostTensor>& in) {
    const auto directions = test::directions(in, 5);
    const auto jvp = c.jvp(in, k.attrs, directions);
    const auto weights = test::signed_gradients(c.forward(in, k.attrs), kWide, 11);
    const auto gradient = c.backward(in, k.attrs, weights);
    long double left = 0, right = 0, size = 0;
    for (std::size_t t = 0; t < jvp.size(); ++t)
      for (std::size_t i = 0; i < jvp[t].values.size(); ++i) {
        left += static_cast<long double>(jvp[t].values[i]) * weights[t].values[i];
        size += std::fabs(static_cast<long double>(jvp[t].values[i]) * weights[t].values[i]);
      }
    for (std::size_t t = 0; t < in.size(); ++t) {
      EXPECT_EQ(gradient[t].defined, in[t].defined && is_floating(in[t].dtype)) << label(c, k);
      if (!gradient[t].defined) continue;
      ASSERT_EQ(gradient[t].values.size(), in[t].values.size()) << label(c, k);
      for (std::size_t i = 0; i < gradient[t].values.size(); ++i) {
        right += gradient[t].values[i].value * directions[t].values[i];
        size += std::fabs(gradient[t].values[i].value * directions[t].values[i]);
        ++compared;
      }
    }
    EXPECT_LE(std::fabs(left - right), 1e-13L * size) << label(c, k);
  });
  EXPECT_GT(compared, 20000u);
}

// The documented conventions at kinks, element by element.
TEST(Derivatives, ConventionsAtKinks) {
  const auto gradient = [](const char* op, std::vector<HostTensor> in, const Attrs& attrs,
                           const Shape& out) {
    const HostTensor ones{kWide, out, std::vector<double>(static_cast<std::size_t>(numel(out)), 1)};
    std::vector<std::vector<double>> all;
    for (const BoundTensor& t : find_contract(op).backward(in, attrs, std::vector{ones})) {
      auto& v = all.emplace_back();
      for (const Bound& b : t.values) v.push_back(static_cast<double>(b.value));
    }
    return all;
  };
  using V = std::vector<double>;
  EXPECT_EQ(gradient("relu", {{kWide, {3}, {0, -1, 2}}}, {}, {3})[0], (V{0, 0, 1}));
  EXPECT_EQ(gradient("amax", {{kWide, {4}, {2, 1, 2, 0}}}, {}, {})[0], (V{0.5, 0, 0.5, 0}));
  EXPECT_EQ(gradient("max_pool2d", {{kWide, {1, 2, 2}, {1, 3, 3, 3}}},
                     {{"kernel_size", std::int64_t{2}}}, {1, 1, 1})[0],
            (V{0, 1, 0, 0}));
  const auto pow = gradient("pow", {{kWide, {3}, {0, 0, 2}}, {kWide, {3}, {0, 2, 0}}}, {}, {3});
  EXPECT_EQ(pow[0], (V{0, 0, 0}));
  EXPECT_EQ(pow[1], (V{0, 0, std::log(2.0)}));
  const auto div = gradient("div", {{kWide, {2}, {7, -7}}, {kWide, {2}, {2, 2}}},
                            {{"rounding_mode", std::string("floor")}}, {2});
  EXPECT_EQ(div[0], (V{0, 0}));
  EXPECT_EQ(div[1], (V{0, 0}));
}

}  // namespace
}  // namespace flame::reference
