// Laws of values. An op obeys the laws that its contract states; which ops those are is not known
// here.
#include <cmath>

#include "lib/core/error.h"
#include "property_tests/device_run.h"

namespace flame::property {
namespace {

using reference::Law;

bool first_is_plain(const LawCase& c) {
  return !c.inputs.empty() && c.inputs[0].defined && !c.op->inputs[0].list &&
         is_floating(c.inputs[0].dtype.value_or(c.dtype)) && numel(c.inputs[0].shape) > 0;
}

// The dim that the law is about, as a plain index of input 0; nothing without one.
std::optional<std::size_t> dim_of(const LawCase& c) {
  const AttrValue* dim = c.attrs.find("dim");
  const auto* index = dim ? std::get_if<std::int64_t>(dim) : nullptr;
  if (!index || c.inputs[0].shape.empty()) return std::nullopt;
  return normalize_dim("law", *index, c.inputs[0].shape.size());
}

// f(2 x - 3 y) = 2 f(x) - 3 f(y) in the inputs named; small integers, so that 2 x - 3 y is exact.
void expect_linear(const LawCase& c, const std::vector<std::size_t>& varied) {
  std::vector<HostTensor> x = c.draw(), y = x, both = x;
  for (std::size_t k : varied) {
    x[k] = small_integers(c.input_descs()[k], c.seed + 11 + k);
    y[k] = small_integers(c.input_descs()[k], c.seed + 112 + k);
    both[k] = x[k];
    for (std::size_t i = 0; i < x[k].values.size(); ++i)
      both[k].values[i] = 2 * x[k].values[i] - 3 * y[k].values[i];
  }
  const Judged fb = judged_forward(c, both), fx = judged_forward(c, x), fy = judged_forward(c, y);
  Side::expect_equal("f(2 x - 3 y)", Side::of(fb), Side::of(fx, 2).add(fy, -3));
}

// Linear in all tensors that gradients flow into, taken together. A number in a tensor's place is a
// constant, and what has one is not linear.
RC_GTEST_PROP(ValueLaws, LinearOpsAreLinear, ()) {
  const LawCase c = *law_case(Law::kLinear, [](const LawCase& k) {
    for (std::size_t i = 0; i < k.inputs.size(); ++i)
      if (!k.inputs[i].defined && param_of(*k.op, i).scalar) return false;
    return differentiable(k, 0);
  });
  std::vector<std::size_t> varied;
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    if (differentiable(c, i)) varied.push_back(i);
  expect_linear(c, varied);
}

RC_GTEST_PROP(ValueLaws, BilinearOpsAreLinearInEach, ()) {
  const LawCase c = *law_case(Law::kBilinear, [](const LawCase& k) {
    return first_is_plain(k) && k.inputs.size() > 1 && k.inputs[1].defined;
  });
  // What is added to the product is not linear: without it.
  RC_PRE(c.inputs.size() < 3 || !c.inputs[2].defined);
  expect_linear(c, {*rc::gen::inRange<std::size_t>(0, 2)});
}

// One integer is added to each line along dim, another to the next.
RC_GTEST_PROP(ValueLaws, ShiftsAlongTheDimChangeNothing, ()) {
  const LawCase c = *law_case(Law::kShiftInvariant, [](const LawCase& k) {
    return first_is_plain(k) && dim_of(k).has_value();
  });
  std::vector<HostTensor> x = c.draw();
  x[0] = small_integers(c.input_descs()[0], c.seed + 3);
  std::vector<HostTensor> shifted = x;
  Shape lines = x[0].shape;
  lines[*dim_of(c)] = 1;
  const HostTensor shifts = expanded(small_integers({c.dtype, lines}, c.seed + 4), x[0].shape);
  for (std::size_t i = 0; i < shifts.values.size(); ++i)
    shifted[0].values[i] += 8 * shifts.values[i];
  Side::expect_equal("f(x + c) and f(x)", Side::of(judged_forward(c, shifted)),
                     Side::of(judged_forward(c, x)));
}

RC_GTEST_PROP(ValueLaws, PermutationsGoThrough, ()) {
  const LawCase c = *law_case(Law::kPermutationEquivariant, [](const LawCase& k) {
    return first_is_plain(k) && dim_of(k).has_value() && k.outputs()[0].shape == k.inputs[0].shape;
  });
  const std::size_t dim = *dim_of(c);
  const auto order = *permutation(c.inputs[0].shape[dim]);
  std::vector<HostTensor> x = c.draw(), moved = x;
  moved[0] = permuted(x[0], dim, order);
  Judged fx = judged_forward(c, x);
  HostTensor bounds = fx.got;
  bounds.values = fx.tolerance;
  const Judged moved_after{permuted(fx.got, dim, order), permuted(bounds, dim, order).values};
  Side::expect_equal("f(P x) and P f(x)", Side::of(judged_forward(c, moved)),
                     Side::of(moved_after));
}

// The case with dim 0 of input 0 twice as long, when that doubles the output's.
std::optional<LawCase> doubled(const LawCase& c) {
  if (!first_is_plain(c) || c.inputs[0].shape.empty()) return std::nullopt;
  if (const auto dim = dim_of(c); dim && *dim == 0) return std::nullopt;
  LawCase twice = c;
  twice.inputs[0].shape[0] *= 2;
  try {
    const Shape one = c.outputs()[0].shape, two = twice.outputs()[0].shape;
    if (one.empty() || two.size() != one.size() || two[0] != 2 * one[0]) return std::nullopt;
    if (!std::equal(one.begin() + 1, one.end(), two.begin() + 1)) return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
  return twice;
}

RC_GTEST_PROP(ValueLaws, ABatchIsItsPartsConcatenated, ()) {
  const LawCase c = *law_case(Law::kBatchIsConcatenation,
                              [](const LawCase& k) { return doubled(k).has_value(); });
  const LawCase twice = *doubled(c);
  std::vector<HostTensor> x = c.draw(), y = x, both = x;
  y[0] = c.draw(1)[0];
  both[0] = concatenated(x[0], y[0]);
  const Judged fx = judged_forward(c, x), fy = judged_forward(c, y);
  Judged parts{concatenated(fx.got, fy.got), fx.tolerance};
  parts.tolerance.insert(parts.tolerance.end(), fy.tolerance.begin(), fy.tolerance.end());
  Side::expect_equal("f([x; y]) and [f(x); f(y)]", Side::of(judged_forward(twice, both)),
                     Side::of(parts));
}

}  // namespace
}  // namespace flame::property
