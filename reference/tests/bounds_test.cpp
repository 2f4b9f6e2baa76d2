// Bounds are honest: no float32 evaluation in any order leaves them. And tight: the worst error
// seen is within a factor of 50 of its bound, for every op.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "reference/tests/support.h"

namespace flame::reference {
namespace {

using test::label;

constexpr SumOrder kOrders[] = {SumOrder::kSequential, SumOrder::kPairwise, SumOrder::kLanes32};

struct Worst {
  double r = 0;
  std::size_t rounded = 0;  // elements whose bound is not zero
};

// r = |got - want| / (u error + denorm_min), as a float32 accumulator is judged.
void compare(const std::string& what, const std::vector<HostTensor>& got,
             const std::vector<BoundTensor>& want, Worst& worst) {
  const double u = unit_roundoff(DType::kFloat32);
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t k = 0; k < got.size(); ++k) {
    ASSERT_EQ(got[k].defined, want[k].defined) << what;
    // An integer output is exact or wrong; float32 arithmetic cannot show which.
    if (!want[k].defined || !is_floating(got[k].dtype)) continue;
    ASSERT_EQ(got[k].values.size(), want[k].values.size()) << what;
    for (std::size_t i = 0; i < got[k].values.size(); ++i) {
      const Bound& w = want[k].values[i];
      const double g = got[k].values[i];
      ASSERT_FALSE(std::isnan(w.error)) << what << " element " << i;
      if (!std::isfinite(w.value)) {
        EXPECT_EQ(w.error, 0) << what;
        EXPECT_TRUE(std::isnan(w.value) ? std::isnan(g) : g == static_cast<double>(w.value))
            << what << " element " << i << ": " << g << " for " << double(w.value);
        continue;
      }
      const double off = static_cast<double>(std::fabs(g - w.value));
      const double r = off / (u * w.error + denorm_min(DType::kFloat32));
      EXPECT_TRUE(r <= 1) << what << " input or output " << k << " element " << i << ": " << g
                          << " for " << double(w.value) << ", " << r << " of the bound";
      if (w.error == 0) continue;
      worst.r = std::max(worst.r, r);
      ++worst.rounded;
    }
  }
}

TEST(Bounds, HoldForEveryHonestOrderAndAreTight) {
  std::map<std::string, Worst> forward, backward;
  for (const Contract* c : all_contracts()) {
    Worst f, b;
    for (const Case& k : c->cases()) {
      if (!k.quick || !k.dtypes.has(DType::kFloat32)) continue;
      for (std::uint64_t seed : {1, 2, 3}) {
        const auto inputs = draw_inputs(k.inputs, DType::kFloat32, seed);
        const auto want = c->forward(inputs, k.attrs);
        for (SumOrder order : kOrders)
          compare(label(*c, k), c->plain_forward(inputs, k.attrs, order), want, f);
        if (!c->backward || (!k.differentiable && !k.pinned_gradient)) continue;
        const auto grads = test::signed_gradients(want, DType::kFloat32, seed + 100);
        const auto gradient = c->backward(inputs, k.attrs, grads);
        for (SumOrder order : kOrders)
          compare(label(*c, k) + " backward", c->plain_backward(inputs, k.attrs, grads, order),
                  gradient, b);
      }
    }
    forward[std::string(c->op)] = f;
    backward[std::string(c->op)] = b;
  }
  std::printf("%-12s %10s %10s\n", "worst r of", "forward", "backward");
  for (const auto& [op, f] : forward) {
    const Worst& b = backward[op];
    std::printf("%-12s %10.3f %10.3f\n", op.c_str(), f.r, b.r);
    EXPECT_TRUE(f.rounded == 0 || f.r >= 1.0 / 50) << op << ": the forward bound is too loose";
    EXPECT_TRUE(b.rounded == 0 || b.r >= 1.0 / 50) << op << ": the backward bound is too loose";
  }
}

// A bound that float32 keeps must not have room for TF32 or bfloat16: the designed inputs show it.
TEST(Bounds, LeaveNoRoomForShorterInputs) {
  for (const char* op : {"matmul", "conv2d"}) {
    const Contract& c = find_contract(op);
    const auto cases = c.cases();
    const auto k = std::find_if(cases.begin(), cases.end(),
                                [](const Case& x) { return x.name == "precision"; });
    ASSERT_NE(k, cases.end()) << op;
    auto inputs = draw_inputs(k->inputs, DType::kFloat32, 1);
    const auto want = c.forward(inputs, k->attrs);
    for (HostTensor& t : inputs)  // 11 significant bits, to nearest: what TF32 keeps
      for (double& v : t.values) v = std::rint(v * 0x1p10) * 0x1p-10;
    const auto got = c.plain_forward(inputs, k->attrs, SumOrder::kSequential);
    for (std::size_t i = 0; i < want[0].values.size(); ++i) {
      const Bound& w = want[0].values[i];
      const double u = unit_roundoff(DType::kFloat32);
      EXPECT_GT(static_cast<double>(std::fabs(got[0].values[i] - w.value)),
                10 * u * (w.error + std::fabs(static_cast<double>(w.value))))
          << op;
    }
  }
}

}  // namespace
}  // namespace flame::reference
