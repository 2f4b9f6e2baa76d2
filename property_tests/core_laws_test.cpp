// Laws of the core vocabulary, and of the generators that everything else here relies on.
#include <cmath>
#include <set>

#include "lib/core/attrs.h"
#include "lib/core/error.h"
#include "property_tests/generators.h"
#include "reference/host_tensor.h"

namespace rc {
template <>
struct Arbitrary<flame::DType> {
  static Gen<flame::DType> arbitrary() { return flame::property::any_dtype(); }
};
}  // namespace rc

namespace flame {
void showValue(DType t, std::ostream& out) { out << name(t); }
void showValue(const Attrs& attrs, std::ostream& out) { out << to_string(attrs); }
}  // namespace flame

namespace flame::property {
namespace {

bool same_value(const AttrValue& a, const AttrValue& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  if (!x || !y) return a == b;
  return std::isnan(*x) ? std::isnan(*y) : *x == *y && std::signbit(*x) == std::signbit(*y);
}

RC_GTEST_PROP(CoreLaws, AttributesComeBackFromTheirText, ()) {
  const Attrs attrs = *any_attrs();
  const Attrs back = parse_attrs(to_string(attrs));
  RC_ASSERT(back.items().size() == attrs.items().size());
  for (std::size_t i = 0; i < attrs.items().size(); ++i) {
    RC_ASSERT(back.items()[i].first == attrs.items()[i].first);
    RC_ASSERT(same_value(back.items()[i].second, attrs.items()[i].second));
  }
  RC_ASSERT(to_string(back) == to_string(attrs));
}

// Text with one character changed is refused, or is again the text of some attributes.
RC_GTEST_PROP(CoreLaws, DamagedAttributesAreRefusedOrAreAttributes, ()) {
  std::string text = to_string(*any_attrs());
  RC_PRE(!text.empty());
  text[*rc::gen::inRange<std::size_t>(0, text.size())] =
      *rc::gen::elementOf(std::string("ab \"\\=[],.e0-"));
  try {
    const std::string again = to_string(parse_attrs(text));
    RC_ASSERT(to_string(parse_attrs(again)) == again);
  } catch (const ValueError&) {
    RC_SUCCEED("refused");
  }
}

RC_GTEST_PROP(CoreLaws, RoundingIsIdempotentMonotonicAndNearest, ()) {
  const DType dtype = *floating_dtype();
  const double a = *finite_float(DType::kFloat64), b = *finite_float(DType::kFloat64);
  const double ra = reference::round_to(dtype, a), rb = reference::round_to(dtype, b);
  RC_ASSERT(reference::round_to(dtype, ra) == ra);
  if (a <= b) RC_ASSERT(ra <= rb);
  RC_ASSERT(reference::round_to(dtype, -a) == -ra);
  if (std::isfinite(ra))
    RC_ASSERT(std::fabs(ra - a) <= unit_roundoff(dtype) * std::fabs(a) + denorm_min(dtype) / 2);
}

RC_GTEST_PROP(CoreLaws, StorageBytesComeBackAsValues, ()) {
  const DType dtype = *floating_dtype();
  const std::int64_t n = *rc::gen::inRange<std::int64_t>(0, 20);
  const reference::HostTensor t{dtype, {n}, *any_floats(dtype, n)};
  const reference::HostTensor back = reference::decode(dtype, t.shape, reference::encode(t));
  for (std::size_t i = 0; i < t.values.size(); ++i) {
    if (std::isnan(t.values[i])) {
      RC_ASSERT(std::isnan(back.values[i]));
    } else {
      RC_ASSERT(back.values[i] == t.values[i]);
      RC_ASSERT(std::signbit(back.values[i]) == std::signbit(t.values[i]));
    }
  }
}

RC_GTEST_PROP(CoreLaws, BroadcastIsCommutativeAndIdempotent, ()) {
  const auto [a, b] = *broadcastable_shapes({.min_size = 0});
  const Shape both = broadcast("law", a, b);
  RC_ASSERT(broadcast("law", b, a) == both);
  RC_ASSERT(broadcast("law", both, a) == both);
  RC_ASSERT(broadcasts_to(a, both) && broadcasts_to(b, both));
}

RC_GTEST_PROP(CoreLaws, ContiguousStridesAreContiguous, ()) {
  const Shape shape = *any_shape({.min_size = 0});
  RC_ASSERT(is_contiguous(shape, contiguous_strides(shape)));
}

// A generator that stopped giving special values would let every law here pass on easy numbers.
TEST(GeneratorsTest, FloatsHoldEverySpecialValue) {
  for (DType dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16}) {
    const rc::Gen<double> gen = any_float(dtype);
    std::set<std::string> seen;
    const double smallest_normal = denorm_min(dtype) / unit_roundoff(dtype) / 2;
    rc::Random random(1);
    for (int i = 0; i < 4000; ++i) {
      const double v = gen(random.split()).value();
      EXPECT_TRUE(std::isnan(v) || reference::round_to(dtype, v) == v) << v;
      if (std::isnan(v)) seen.insert("nan");
      if (std::isinf(v)) seen.insert(v < 0 ? "-inf" : "inf");
      if (v == 0) seen.insert(std::signbit(v) ? "-0" : "0");
      if (v != 0 && std::fabs(v) < smallest_normal) seen.insert("subnormal");
      if (std::fabs(v) == max_finite(dtype)) seen.insert("max");
      if (v > 1 && v < 1 + 3 * unit_roundoff(dtype)) seen.insert("1+ulp");
      if (std::fabs(v) > 0.01 && std::fabs(v) < 100) seen.insert("ordinary");
    }
    EXPECT_EQ(seen.size(), 9u) << name(dtype);
  }
}

TEST(GeneratorsTest, ShapesReachEveryRankAndSize) {
  const rc::Gen<Shape> gen = any_shape({.max_rank = 3, .min_size = 0, .max_size = 3});
  std::set<std::size_t> ranks;
  std::set<std::int64_t> sizes;
  rc::Random random(2);
  for (int i = 0; i < 500; ++i) {
    const Shape s = gen(random.split()).value();
    ranks.insert(s.size());
    sizes.insert(s.begin(), s.end());
  }
  EXPECT_EQ(ranks.size(), 4u);
  EXPECT_EQ(sizes.size(), 4u);
}

// Follows the first shrink that keeps `holds` until none does.
template <class T, class Holds>
T minimal(rc::Shrinkable<T> s, Holds holds) {
  for (bool moved = true; moved;) {
    moved = false;
    auto shrinks = s.shrinks();
    while (auto next = shrinks.next()) {
      if (!holds(next->value())) continue;
      s = *next;
      moved = true;
      break;
    }
  }
  return s.value();
}

TEST(GeneratorsTest, TheyShrinkToTheSimplestThatStillFails) {
  rc::Random random(3);
  auto draw_until = [&](const auto& gen, auto holds) {
    for (;;)
      if (auto s = gen(random.split()); holds(s.value())) return minimal(s, holds);
  };
  auto big = [](const Shape& s) { return s.size() >= 2 && s.back() >= 3; };
  EXPECT_EQ(draw_until(any_shape(), big), (Shape{1, 3}));
  auto negative = [](double v) { return v < -0.5; };
  EXPECT_EQ(draw_until(any_float(DType::kFloat32), negative), -1.0);
  auto moves_first = [](const std::vector<std::int64_t>& p) { return p[0] != 0; };
  EXPECT_EQ(draw_until(permutation(4), moves_first), (std::vector<std::int64_t>{1, 0, 2, 3}));
  auto unequal = [](const std::pair<Shape, Shape>& p) { return p.first != p.second; };
  const auto pair = draw_until(broadcastable_shapes(), unequal);
  EXPECT_LE(pair.first.size() + pair.second.size(), 2u);
}

}  // namespace
}  // namespace flame::property
