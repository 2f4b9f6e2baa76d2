// Rounding, storage and drawing.
#include "reference/host_tensor.h"

#include <gtest/gtest.h>

#include <Eigen/Core>
#include <cstring>
#include <set>

#include "lib/core/error.h"
#include "reference/case_builder.h"
#include "reference/tests/support.h"

namespace flame::reference {
namespace {

constexpr DType kFloats[] = {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16};

// Rounds by the definition: to a multiple of the spacing around the value, ties to even.
double by_definition(DType t, double x) {
  if (!std::isfinite(x) || x == 0) return x;
  const int digits = static_cast<int>(-std::log2(unit_roundoff(t)));
  const int smallest = static_cast<int>(std::log2(denorm_min(t)));
  const double spacing = std::ldexp(1.0, std::max(std::ilogb(x) - digits + 1, smallest));
  const double y = std::nearbyint(x / spacing) * spacing;
  return std::fabs(y) > max_finite(t) ? std::copysign(INFINITY, x) : y;
}

TEST(RoundTo, AgreesWithTheDefinitionEverywhere) {
  const auto mantissas =
      draw_inputs({uniform({20000}, 1, 2), integers({20000}, -160, 130)}, DType::kFloat64, 5);
  for (DType t : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    for (std::size_t i = 0; i < 20000; ++i) {
      double x = std::ldexp(mantissas[0].values[i], static_cast<int>(mantissas[1].values[i]));
      if (t == DType::kFloat16)
        x = std::ldexp(x, -static_cast<int>(mantissas[1].values[i]) * 7 / 8);
      const double want = by_definition(t, i % 2 ? x : -x);
      EXPECT_EQ(round_to(t, i % 2 ? x : -x), want) << name(t) << " " << x;
    }
  }
}

// A detour by float32 would round these twice.
TEST(RoundTo, RoundsOnce) {
  const double tie_and_a_little = 1 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(round_to(DType::kFloat16, tie_and_a_little), 1 + 0x1p-10);
  EXPECT_EQ(round_to(DType::kFloat16, 1 + 0x1p-11), 1);
  EXPECT_EQ(round_to(DType::kBFloat16, 1 + 0x1p-8 + 0x1p-40), 1 + 0x1p-7);
  EXPECT_EQ(round_to(DType::kBFloat16, 1 + 0x1p-8), 1);
  EXPECT_EQ(round_to(DType::kFloat16, 65519.99), 65504);
  EXPECT_EQ(round_to(DType::kFloat16, 65520), INFINITY);
  EXPECT_TRUE(std::signbit(round_to(DType::kFloat16, -0.0)));
  EXPECT_TRUE(std::isnan(round_to(DType::kBFloat16, NAN)));
}

TEST(RoundTo, EveryHalfValueIsItself) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto h = Eigen::numext::bit_cast<Eigen::half>(static_cast<std::uint16_t>(bits));
    const auto b = Eigen::numext::bit_cast<Eigen::bfloat16>(static_cast<std::uint16_t>(bits));
    const auto hd = static_cast<double>(h), bd = static_cast<double>(b);
    if (!std::isnan(hd)) {
      EXPECT_EQ(round_to(DType::kFloat16, hd), hd);
    }
    if (!std::isnan(bd)) {
      EXPECT_EQ(round_to(DType::kBFloat16, bd), bd);
    }
  }
}

TEST(RoundTo, IntegersTruncateAndBoolIsNonzero) {
  EXPECT_EQ(round_to(DType::kInt64, -2.9), -2);
  EXPECT_EQ(round_to(DType::kInt32, 2.9), 2);
  EXPECT_EQ(round_to(DType::kUInt8, 255.5), 255);
  EXPECT_EQ(round_to(DType::kBool, 0.1), 1);
  EXPECT_EQ(round_to(DType::kBool, -0.0), 0);
}

TEST(Storage, RoundTripsAndRefusesWrongSizes) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto t = static_cast<DType>(i);
    const HostTensor x{t, {2, 3}, {0, 1, 1, 0, 1, 1}};
    const auto bytes = encode(x);
    EXPECT_EQ(bytes.size(), 6 * size_of(t));
    const HostTensor back = decode(t, {2, 3}, bytes);
    EXPECT_EQ(back.values, x.values);
    EXPECT_EQ(back.shape, x.shape);
    EXPECT_THROW(decode(t, {2, 2}, bytes), ValueError);
  }
  const auto one = encode({DType::kFloat16, {1}, {1}});
  EXPECT_EQ(static_cast<int>(one[1]), 0x3c);  // little endian 0x3c00
}

std::vector<InputSpec> every_domain() {
  return {normal({1000}, 2, 1),
          uniform({1000}, -1, 3),
          away_from_zero({1000}, 0.5, 2),
          distinct({1000}, -4, 4),
          integers({1000}, -5, 5),
          indices({1000}, 17),
          mask({1000}),
          explicit_values({1000}, {1, 2, 3})};
}

TEST(Draw, SameSeedSameNumbersOtherSeedOthers) {
  for (DType t : kFloats) {
    const auto a = draw_inputs(every_domain(), t, 9), b = draw_inputs(every_domain(), t, 9),
               c = draw_inputs(every_domain(), t, 10);
    for (std::size_t k = 0; k < a.size(); ++k) {
      EXPECT_EQ(a[k].values, b[k].values);
      if (k < 7) {
        EXPECT_NE(a[k].values, c[k].values) << k;
      }
    }
  }
}

// Pinned, so that a change of the generator cannot go unseen: records name seeds.
TEST(Draw, KnownNumbers) {
  const auto x = draw_inputs({integers({6}, 0, 999)}, DType::kFloat64, 1);
  const auto y = draw_inputs({normal({2})}, DType::kFloat64, 1);
  EXPECT_EQ(x[0].values, (std::vector<double>{126, 383, 223, 686, 932, 366}));
  EXPECT_EQ(y[0].values, (std::vector<double>{-0x1.00197466d4856p-1, 0x1.84093b4f90d9cp-3}));
}

TEST(Draw, DomainsAreKept) {
  for (DType t : kFloats) {
    const auto in = draw_inputs(every_domain(), t, 3);
    double sum = 0, squares = 0;
    for (double x : in[0].values) {
      sum += x;
      squares += x * x;
    }
    EXPECT_NEAR(sum / 1000, 1, 0.3);
    EXPECT_NEAR(squares / 1000 - sum * sum / 1e6, 4, 0.8);
    for (double x : in[1].values) EXPECT_TRUE(x >= -1 && x < 3) << name(t) << " " << x;
    int negative = 0;
    for (double x : in[2].values) {
      EXPECT_TRUE(std::fabs(x) >= 0.5 && std::fabs(x) <= 2) << x;
      negative += x < 0;
    }
    EXPECT_TRUE(negative > 400 && negative < 600);
    for (double x : in[3].values) EXPECT_TRUE(x >= -4 && x <= 4);
    EXPECT_EQ(std::set<double>(in[3].values.begin(), in[3].values.end()).size(), 1000u) << name(t);
    EXPECT_FALSE(std::is_sorted(in[3].values.begin(), in[3].values.end()));
    for (double x : in[4].values) EXPECT_TRUE(x == std::rint(x) && std::fabs(x) <= 5);
    EXPECT_EQ(in[5].dtype, DType::kInt64);
    EXPECT_EQ(std::set<double>(in[5].values.begin(), in[5].values.end()).size(), 17u);
    EXPECT_EQ(in[6].dtype, DType::kBool);
    EXPECT_EQ(in[7].values[4], 2);
    for (const HostTensor& h : in)
      for (double x : h.values) EXPECT_EQ(round_to(h.dtype, x), x);
  }
}

TEST(Draw, DistinctFillsShortTypesToTheBrim) {
  // bfloat16 has 129 values in [1, 2].
  const auto full = draw_inputs({distinct({129}, 1, 2)}, DType::kBFloat16, 1);
  EXPECT_EQ(std::set<double>(full[0].values.begin(), full[0].values.end()).size(), 129u);
  EXPECT_THROW(draw_inputs({distinct({130}, 1, 2)}, DType::kBFloat16, 1), ValueError);
  // Evenly spaced where there is room.
  auto wide = draw_inputs({distinct({9}, -4, 4)}, DType::kFloat16, 1)[0].values;
  std::sort(wide.begin(), wide.end());
  for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(wide[i], static_cast<double>(i) - 4);
}

}  // namespace
}  // namespace flame::reference
