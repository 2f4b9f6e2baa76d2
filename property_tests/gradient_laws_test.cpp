// Laws of every backward, tried on every differentiable op of the manifest.
#include <cmath>
#include <limits>

#include "property_tests/device_run.h"
#include "tests/support/test_device.h"

namespace flame::property {
namespace {

rc::Gen<Layout> some_layout() {
  return rc::gen::element(Layout::kContiguous, Layout::kTransposed, Layout::kSliced);
}

std::vector<HostTensor> tangents_of(const LawCase& c) {
  std::vector<HostTensor> out = signed_values(c.input_descs(), c.seed + 77);
  for (std::size_t i = 0; i < out.size(); ++i) out[i].defined = differentiable(c, i);
  return out;
}

// An inner product and what it may be off by: terms exact, their sum rounded in long double.
struct Product {
  long double value = 0, size = 0, tolerance = 0;
  void add(long double a, long double b, long double tolerance_of_term) {
    value += a * b;
    size += std::fabs(a * b);
    tolerance += tolerance_of_term;
  }
  long double error(std::size_t terms) const {
    return tolerance + std::numeric_limits<long double>::epsilon() * size * (1 + terms);
  }
};

// <J v, w> by the oracle's dual numbers, <v, J^T w> by the device's backward: two programs that
// share nothing. Catches every missing, misplaced or wrongly scaled term.
RC_GTEST_PROP(GradientLaws, BackwardIsTheAdjointOfTheDerivative, ()) {
  const LawCase c = *differentiable_case();
  const Layout layout = *some_layout();
  const std::vector<HostTensor> inputs = c.draw(), tangents = tangents_of(c);
  const std::vector<HostTensor> w = signed_values(c.outputs(), c.seed + 5);
  const HostTensor jv = c.contract->jvp(inputs, c.attrs, tangents)[0];
  RC_ASSERT(jv.values.size() == w[0].values.size());
  Product left, right;
  const double u = unit_roundoff(DType::kFloat64);  // jv is handed over as doubles
  for (std::size_t i = 0; i < jv.values.size(); ++i)
    left.add(jv.values[i], w[0].values[i], u * std::fabs(jv.values[i] * w[0].values[i]));
  std::size_t terms = jv.values.size();
  const std::vector<Judged> g = judged_backward(c, inputs, w, layout);
  for (std::size_t k = 0; k < g.size(); ++k) {
    if (!g[k].got.defined) continue;
    terms += g[k].tolerance.size();
    for (std::size_t i = 0; i < g[k].tolerance.size(); ++i) {
      const double v = tangents[k].values[i];
      right.add(v, g[k].got.values[i], std::fabs(v) * g[k].tolerance[i]);
    }
  }
  RC_LOG() << "<Jv, w> = " << left.value << ", <v, J^T w> = " << right.value << ", allowed "
           << left.error(terms) + right.error(terms) << '\n';
  RC_ASSERT(std::isfinite(left.value));
  RC_ASSERT(std::fabs(left.value - right.value) <= left.error(terms) + right.error(terms));
}

// J^T (2 g - 3 h) = 2 J^T g - 3 J^T h; the combination is exact in every dtype.
RC_GTEST_PROP(GradientLaws, BackwardIsLinearInTheGradient, ()) {
  const LawCase c = *differentiable_case();
  const Layout layout = *some_layout();
  const std::vector<HostTensor> inputs = c.draw();
  const TensorDesc out = c.outputs()[0];
  const HostTensor g = small_integers(out, c.seed + 1), h = small_integers(out, c.seed + 2);
  HostTensor both = g;
  for (std::size_t i = 0; i < g.values.size(); ++i)
    both.values[i] = 2 * g.values[i] - 3 * h.values[i];
  const auto of_both = judged_backward(c, inputs, {both}, layout);
  const auto of_g = judged_backward(c, inputs, {g}, layout);
  const auto of_h = judged_backward(c, inputs, {h}, layout);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!of_both[k].got.defined) continue;
    Side::expect_equal("gradient of input " + std::to_string(k), Side::of(of_both[k]),
                       Side::of(of_g[k], 2).add(of_h[k], -3));
  }
}

// A gradient asked for alone is the gradient asked for together with the others, bit for bit.
RC_GTEST_PROP(GradientLaws, EachGradientStandsAlone, ()) {
  const LawCase c = *differentiable_case();
  const std::vector<HostTensor> inputs = c.draw();
  const std::vector<HostTensor> w = signed_values(c.outputs(), c.seed + 5);
  const std::vector<HostTensor> together = device_backward(c, inputs, w);
  const Device& device = test::device();
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!together[k].defined) continue;
    std::vector<Tensor> leaves;
    for (const HostTensor& h : inputs) leaves.push_back(conformance::upload(device, h));
    const std::vector<Tensor> wanted{leaves[k].set_requires_grad()};
    const std::vector<Tensor> outputs = apply(*c.op, leaves, c.attrs);
    const std::vector<Tensor> seeds{conformance::upload(device, w[0])};
    const HostTensor alone = conformance::download(grad(outputs, wanted, seeds)[0]);
    RC_ASSERT(reference::encode(alone) == reference::encode(together[k]));
  }
}

}  // namespace
}  // namespace flame::property
