// Elementwise ops on random shapes that broadcast, with every special value: element i of the
// output depends on the elements that broadcast to it and on nothing else, neither on where they
// lie nor on what lies beside them.
#include <cmath>

#include "property_tests/device_run.h"

namespace flame::property {
namespace {

using reference::Law;

// The case on random shapes that broadcast to one.
LawCase on_random_shapes(LawCase c) {
  const Shape full = *any_shape({.min_rank = 1, .max_rank = 3, .max_size = 9});
  for (auto& spec : c.inputs) {
    if (!spec.defined) continue;
    spec.shape = full;
    for (auto& size : spec.shape)
      if (*rc::gen::inRange(0, 4) == 3) size = 1;
    const auto dropped = *rc::gen::inRange<std::ptrdiff_t>(0, std::ssize(full));
    if (*rc::gen::inRange(0, 3) == 2)
      spec.shape.erase(spec.shape.begin(), spec.shape.begin() + dropped);
  }
  return c;
}

LawCase elementwise_case() {
  return on_random_shapes(*law_case(Law::kElementwise, [](const LawCase& c) {
    return !c.op->inputs.back().list && c.op->kind == OpKind::kCompute;
  }));
}

// As the case draws them, or any floats at all.
std::vector<HostTensor> inputs_of(const LawCase& c) {
  std::vector<HostTensor> out = c.draw();
  if (*rc::gen::inRange(0, 2) == 0) return out;
  for (HostTensor& t : out)
    if (t.defined && is_floating(t.dtype)) t.values = *any_floats(t.dtype, numel(t.shape));
  return out;
}

LawCase with_shapes(LawCase c, const std::vector<HostTensor>& inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) c.inputs[i].shape = inputs[i].shape;
  return c;
}

void expect_same(const std::string& what, const HostTensor& a, const HostTensor& b) {
  RC_ASSERT(a.values.size() == b.values.size());
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const double x = a.values[i], y = b.values[i];
    const bool same = std::isnan(x) ? std::isnan(y) : x == y && std::signbit(x) == std::signbit(y);
    if (!same)
      RC_FAIL(what + ": element " + std::to_string(i) + ": " + std::to_string(x) + " and " +
              std::to_string(y));
  }
}

RC_GTEST_PROP(BroadcastLaws, BroadcastingIsExpanding, ()) {
  const LawCase c = elementwise_case();
  const std::vector<HostTensor> inputs = inputs_of(c);
  const Shape full = c.outputs()[0].shape;
  std::vector<HostTensor> wide;
  for (const HostTensor& t : inputs) wide.push_back(t.defined ? expanded(t, full) : t);
  expect_same("op(a, b) and op(expand a, expand b)", device_forward(c, inputs)[0],
              device_forward(with_shapes(c, wide), wide)[0]);
}

RC_GTEST_PROP(BroadcastLaws, AnElementDependsOnItsOperandsAlone, ()) {
  const LawCase c = elementwise_case();
  const std::vector<HostTensor> inputs = inputs_of(c);
  const Shape full = c.outputs()[0].shape;
  const std::int64_t n = numel(full);
  const auto order = *permutation(n);
  std::vector<HostTensor> flat;
  for (const HostTensor& t : inputs) {
    HostTensor wide = t;
    if (t.defined) {
      wide = expanded(t, full);
      wide.shape = {n};
      wide = permuted(wide, 0, order);
    }
    flat.push_back(wide);
  }
  HostTensor straight = device_forward(c, inputs)[0];
  straight.shape = {n};
  expect_same("P f(x) and f(P x)", permuted(straight, 0, order),
              device_forward(with_shapes(c, flat), flat)[0]);
}

RC_GTEST_PROP(BroadcastLaws, TheLayoutDoesNotMatter, ()) {
  const LawCase c = elementwise_case();
  const std::vector<HostTensor> inputs = inputs_of(c);
  const Layout layout = *rc::gen::element(Layout::kTransposed, Layout::kOffset, Layout::kSliced);
  expect_same(conformance::to_string(layout), device_forward(c, inputs)[0],
              device_forward(c, inputs, layout)[0]);
}

// The gradient of a broadcast operand is the sum of what its expansion gets.
RC_GTEST_PROP(BroadcastLaws, TheGradientOfABroadcastOperandIsASum, ()) {
  const LawCase c =
      on_random_shapes(*rc::gen::suchThat(differentiable_case(), [](const LawCase& k) {
        return has_law(*k.contract, Law::kElementwise) && k.op->kind == OpKind::kCompute;
      }));
  const std::vector<HostTensor> inputs = c.draw();
  const Shape full = c.outputs()[0].shape;
  std::vector<HostTensor> wide;
  for (const HostTensor& t : inputs) wide.push_back(t.defined ? expanded(t, full) : t);
  const std::vector<HostTensor> w = signed_values(c.outputs(), c.seed + 5);
  const auto narrow = judged_backward(c, inputs, w);
  const auto broad = judged_backward(with_shapes(c, wide), wide, w);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!narrow[k].got.defined) continue;
    Side summed(inputs[k].values.size());
    const auto sources = broadcast_sources(inputs[k].shape, full);
    for (std::size_t i = 0; i < sources.size(); ++i)
      summed.add(sources[i], broad[k].got.values[i], broad[k].tolerance[i]);
    Side::expect_equal("gradient of input " + std::to_string(k), Side::of(narrow[k]), summed);
  }
}

}  // namespace
}  // namespace flame::property
