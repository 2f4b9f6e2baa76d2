// lib/core: element types, shapes, attributes, the helpers of op_def.h.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "lib/core/attrs.h"
#include "lib/core/dtype.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/core/op_def.h"
#include "lib/core/shape.h"
#include "tests/support/expect_error.h"

namespace flame {
namespace {

using test::expect_error;

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

// Says whether it was ever made into text.
struct Talkative {
  bool* asked;
  friend std::ostream& operator<<(std::ostream& out, const Talkative& t) {
    *t.asked = true;
    return out << "spoken";
  }
};

TEST(ErrorTest, TextIsMadeOnlyWhenSomethingIsWrong) {
  bool asked = false;
  check<ValueError>(true, "all is well: ", Talkative{&asked});
  EXPECT_FALSE(asked);
  expect_error<ValueError>([&] { check<ValueError>(false, "wrong: ", Talkative{&asked}); },
                           {"wrong: spoken"});
}

TEST(ErrorTest, ListsReadAsShapes) {
  EXPECT_EQ(str_cat("shape ", Shape{2, 3}, " and ", Shape{}, " and ", Shape{7}),
            "shape (2, 3) and () and (7)");
}

TEST(DTypeTest, NamesParseBack) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto t = static_cast<DType>(i);
    EXPECT_EQ(parse_dtype(name(t)), t);
    EXPECT_GT(size_of(t), 0u);
    EXPECT_FALSE(device_name(t).empty());
  }
  EXPECT_EQ(parse_dtype("BF16"), DType::kBFloat16);
  EXPECT_EQ(parse_dtype("I64"), DType::kInt64);
  EXPECT_EQ(parse_dtype("float"), std::nullopt);
  EXPECT_EQ(parse_dtype(""), std::nullopt);
}

TEST(DTypeTest, FiguresOfTheFormats) {
  EXPECT_EQ(unit_roundoff(DType::kFloat32), std::numeric_limits<float>::epsilon() / 2.0);
  EXPECT_EQ(unit_roundoff(DType::kFloat64), std::numeric_limits<double>::epsilon() / 2.0);
  EXPECT_EQ(denorm_min(DType::kFloat32), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(denorm_min(DType::kFloat64), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(max_finite(DType::kFloat32), std::numeric_limits<float>::max());
  EXPECT_EQ(max_finite(DType::kFloat64), std::numeric_limits<double>::max());
  // float16 is 1.5.10, bfloat16 is 1.8.7.
  EXPECT_EQ(unit_roundoff(DType::kFloat16), std::ldexp(1.0, -11));
  EXPECT_EQ(denorm_min(DType::kFloat16), std::ldexp(1.0, -24));
  EXPECT_EQ(max_finite(DType::kFloat16), (2 - std::ldexp(1.0, -10)) * std::ldexp(1.0, 15));
  EXPECT_EQ(unit_roundoff(DType::kBFloat16), std::ldexp(1.0, -8));
  EXPECT_EQ(denorm_min(DType::kBFloat16), std::ldexp(1.0, -133));
  EXPECT_EQ(max_finite(DType::kBFloat16), (2 - std::ldexp(1.0, -7)) * std::ldexp(1.0, 127));
  EXPECT_EQ(unit_roundoff(DType::kInt32), 0);
}

TEST(DTypeTest, PromotionIsSymmetricAndLosesNothing) {
  const DType floats[] = {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16};
  for (DType a : floats)
    for (DType b : floats) {
      const DType p = promote(a, b);
      EXPECT_EQ(p, promote(b, a));
      for (DType t : {a, b}) {
        EXPECT_LE(unit_roundoff(p), unit_roundoff(t));
        EXPECT_GE(max_finite(p), max_finite(t));
      }
    }
  EXPECT_EQ(promote(DType::kFloat16, DType::kBFloat16), DType::kFloat32);
}

TEST(DTypeTest, SetsHoldWhatTheyAreGiven) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto t = static_cast<DType>(i);
    EXPECT_TRUE(kAnyDType.has(t));
    EXPECT_EQ(kFloating.has(t), is_floating(t));
    EXPECT_EQ(kIndex.has(t), t == DType::kInt64 || t == DType::kInt32);
    EXPECT_EQ(kMask.has(t), t == DType::kBool || t == DType::kUInt8);
  }
}

TEST(ShapeTest, CountsElements) {
  EXPECT_EQ(numel({}), 1);
  EXPECT_EQ(numel({2, 3, 4}), 24);
  EXPECT_EQ(numel({2, 0, 4}), 0);
  EXPECT_EQ(numel({kMaxInt}), kMaxInt);
}

TEST(ShapeTest, RefusesWhatDoesNotFit) {
  expect_error<ShapeError>([] { numel({2, -3}); }, {"(2, -3)", "negative"});
  expect_error<ShapeError>([] { numel({1, 1, 1, 1, 1, 1, 1, 1, 1}); }, {"9 dims", "8"});
  EXPECT_EQ(numel(Shape(kMaxDims, 1)), 1);
}

TEST(ShapeTest, OverflowIsAnErrorWhereverItHappens) {
  expect_error<ShapeError>([] { numel({kMaxInt, 2}); }, {"(9223372036854775807, 2)", "overflow"});
  expect_error<ShapeError>([] { numel({std::int64_t{1} << 32, std::int64_t{1} << 31}); });
  EXPECT_EQ(numel({std::int64_t{1} << 31, std::int64_t{1} << 31}), std::int64_t{1} << 62);
  // The bytes overflow where the count does not.
  EXPECT_EQ(numel({std::int64_t{1} << 61}), std::int64_t{1} << 61);
  expect_error<ShapeError>([] { numel({std::int64_t{1} << 61}, 4); }, {"4-byte"});
  // A zero elsewhere does not hide it: the strides would overflow.
  expect_error<ShapeError>([] { numel({0, kMaxInt, kMaxInt}); });
}

TEST(ShapeTest, StridesAreRowMajor) {
  EXPECT_EQ(contiguous_strides({2, 3, 4}), (Strides{12, 4, 1}));
  EXPECT_EQ(contiguous_strides({}), Strides{});
  EXPECT_TRUE(is_contiguous({2, 3, 4}, {12, 4, 1}));
  EXPECT_FALSE(is_contiguous({2, 3}, {1, 2}));
  EXPECT_FALSE(is_contiguous({2, 3}, {0, 1}));
  EXPECT_TRUE(is_contiguous({1, 3}, {77, 1})) << "the stride of a size 1 says nothing";
  EXPECT_TRUE(is_contiguous({0, 3}, {5, 7})) << "nothing to be out of order";
}

TEST(ShapeTest, Broadcasts) {
  EXPECT_EQ(broadcast("op", {3, 1}, {4}), (Shape{3, 4}));
  EXPECT_EQ(broadcast("op", {}, {2, 3}), (Shape{2, 3}));
  EXPECT_EQ(broadcast("op", {1}, {0}), Shape{0});
  expect_error<ShapeError>(
      [] {
        broadcast("blend", {2, 3}, {2, 4});
      },
      {"blend", "(2, 3)", "(2, 4)", "3 and 4"});
  expect_error<ShapeError>([] { broadcast("blend", {0}, {2}); }, {"blend", "(0)", "(2)"});
  EXPECT_TRUE(broadcasts_to({3, 1}, {2, 3, 4}));
  EXPECT_FALSE(broadcasts_to({2, 3, 4}, {3, 4}));
  EXPECT_FALSE(broadcasts_to({2}, {1}));
}

TEST(ShapeTest, NormalizesDims) {
  EXPECT_EQ(normalize_dim("op", -1, 3), 2);
  EXPECT_EQ(normalize_dim("op", 0, 0), 0) << "a scalar has the dims 0 and -1, as in PyTorch";
  expect_error<IndexError>([] { normalize_dim("fold", 3, 3); }, {"fold", "dim 3", "[-3, 2]"});
  expect_error<IndexError>([] { normalize_dim("fold", -4, 3); }, {"fold", "dim -4"});
  EXPECT_EQ(normalize_dims("op", {}, 3), (std::vector{0, 1, 2}));
  const IntList some{-1, 0};
  EXPECT_EQ(normalize_dims("op", some, 3), (std::vector{0, 2}));
  const IntList twice{1, -2};
  expect_error<ValueError>([&] { normalize_dims("fold", twice, 3); }, {"fold", "twice"});
}

TEST(AttrsTest, GettersSayWhatIsWrong) {
  const Attrs a{{"dim", std::int64_t{2}}, {"eps", 1e-5},           {"mode", std::string("trunc")},
                {"flag", true},           {"dims", IntList{0, 1}}, {"none", std::monostate{}}};
  EXPECT_EQ(a.get_int("dim"), 2);
  EXPECT_EQ(a.get_double("dim"), 2.0);
  EXPECT_EQ(a.get_double("eps"), 1e-5);
  EXPECT_EQ(a.get_string("mode"), "trunc");
  EXPECT_TRUE(a.get_bool("flag"));
  EXPECT_EQ(a.get_ints("dim"), IntList{2});
  EXPECT_EQ(a.get_ints("none"), IntList{});
  EXPECT_EQ(a.get_ints("dim", 3), (IntList{2, 2, 2}));
  EXPECT_FALSE(a.has("none"));
  EXPECT_NE(a.find("none"), nullptr);
  expect_error<ValueError>([&] { a.get_int("eps"); }, {"eps", "1e-05", "integer"});
  expect_error<ValueError>([&] { a.get_int("gone"); }, {"gone", "missing"});
  expect_error<ValueError>([&] { a.get_bool("dim"); }, {"dim", "2", "bool"});
  expect_error<ValueError>([&] { a.get_string("flag"); }, {"flag", "true", "string"});
  expect_error<ValueError>([&] { a.get_double("mode"); }, {"mode", "trunc", "number"});
  expect_error<ValueError>([&] { a.get_ints("dims", 3); }, {"dims", "2 values", "3"});
}

TEST(AttrsTest, SetReplacesAndKeepsTheOrder) {
  Attrs a{{"b", std::int64_t{1}}, {"a", std::int64_t{2}}};
  a.set("b", 0.5);
  EXPECT_EQ(to_string(a), "b=0.5 a=2");
}

TEST(AttrsTest, TextKeepsTheKind) {
  const Attrs a{{"whole", 2.0},
                {"zero", -0.0},
                {"inf", -std::numeric_limits<double>::infinity()},
                {"text", std::string("a \"quoted\" \\ = [1]")},
                {"empty", std::string()},
                {"list", IntList{}},
                {"big", std::numeric_limits<std::int64_t>::min()},
                {"tiny", std::numeric_limits<double>::denorm_min()}};
  const Attrs back = parse_attrs(to_string(a));
  EXPECT_EQ(back, a) << to_string(a);
  EXPECT_TRUE(std::signbit(back.get_double("zero")));
}

TEST(AttrsTest, GarbageIsRefused) {
  for (const char* text : {"a", "a=", "=1", "a=1]", "a=[1", "a=[1,]", "a=[x]", "a=\"x", "a=1,b=2",
                           "a=\"x\"b=2", "a=[1]b=2", "a=1.2.3", "a=99999999999999999999", "a=--1",
                           "a=truer", "a=nope", "a=\"x\\", "a=[1 2]", "a=1e999"})
    expect_error<ValueError>([&] { parse_attrs(text); }, {text});
}

OpDef toy_op() {
  OpDef op;
  op.name = "toy";
  op.inputs = {{.name = "input"}, {.name = "exponent", .scalar = true, .alias = "other"}};
  op.attrs = {{"dim"}, {"eps", 0.5}};
  return op;
}

TEST(OpDefTest, CompletesAttributes) {
  const Attrs full =
      complete_attrs(toy_op(), {{"other", std::int64_t{3}}, {"dim", std::int64_t{1}}});
  EXPECT_EQ(full.get_int("exponent"), 3) << "an alias becomes the name";
  EXPECT_EQ(full.get_int("dim"), 1);
  EXPECT_EQ(full.get_double("eps"), 0.5);
  EXPECT_EQ(complete_attrs(toy_op(), full), full) << "completing twice changes nothing";
  expect_error<ValueError>([] { complete_attrs(toy_op(), {}); }, {"toy", "dim", "missing"});
  expect_error<ValueError>(
      [] {
        complete_attrs(toy_op(), {{"dim", std::int64_t{1}}, {"axis", std::int64_t{7}}});
      },
      {"toy", "axis", "7", "unknown"});
}

TEST(OpDefTest, ExpressionsCompareWithoutSpaces) {
  EXPECT_EQ(normalize_expression(" f < Exp,\t__half >\n"), "f<Exp,__half>");
}

TEST(OpDefTest, GlobsMatch) {
  EXPECT_TRUE(glob_match("unary<Exp,*>", "unary<Exp,float>"));
  EXPECT_FALSE(glob_match("unary<Exp,*>", "unary<Relu,float>"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("a?c", "abc"));
  EXPECT_FALSE(glob_match("a?c", "ac"));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_TRUE(glob_match("*ab*ab", "ababab"));
  for (const char* text : {"sum", "mean", "mean_of"}) EXPECT_TRUE(glob_match("@(sum|mean*)", text));
  EXPECT_FALSE(glob_match("@(sum|mean)", "summean"));
  EXPECT_FALSE(glob_match("@(sum|mean)", ""));
  EXPECT_TRUE(glob_match("a@(|b)@(c|d)", "ad"));
  EXPECT_FALSE(glob_match("a@(|b)@(c|d)", "abb"));
  EXPECT_TRUE(glob_match("@(sum", "@(sum")) << "not closed: no choice";
  // Exponential in a matcher that backtracks naively.
  EXPECT_FALSE(glob_match("*a*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
}

}  // namespace
}  // namespace flame
