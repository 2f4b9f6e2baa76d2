// Inputs by counter: element e of input k under a seed is a function of (seed, k, e) alone, made of
// integer and exactly rounded operations only, so that every machine draws the same numbers.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/core/error.h"
#include "reference/contract.h"

namespace flame::reference {
namespace {

// SplitMix64's finaliser (Steele, Lea & Flood 2014).
std::uint64_t mix(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

struct Stream {
  std::uint64_t key;

  std::uint64_t bits(std::uint64_t element, std::uint64_t draw = 0) const {
    return mix(mix(key ^ mix(element)) + draw);
  }
  // [0, 1)
  double uniform(std::uint64_t element, std::uint64_t draw = 0) const {
    return static_cast<double>(bits(element, draw) >> 11) * 0x1p-53;
  }
  // Twelve uniforms less six: mean 0, variance 1, near enough to normal, and free of libm.
  double normal(std::uint64_t element) const {
    double sum = -6;
    for (std::uint64_t d = 0; d < 12; ++d) sum += uniform(element, d);
    return sum;
  }
  // Integers in [low, high].
  double integer(std::uint64_t element, double low, double high) const {
    const auto span = static_cast<std::uint64_t>(high - low) + 1;
    return low + static_cast<double>(bits(element) % span);
  }
};

// Counts the values of a floating dtype in their order: neighbours differ by one.
std::int64_t rank_of(DType dtype, double value) {
  const double magnitude = std::fabs(value);
  const double tiny = denorm_min(dtype);
  const double u = unit_roundoff(dtype);
  const double per_binade = 0.5 / u;  // values in [2^k, 2^(k+1))
  const double smallest_normal = tiny * per_binade;
  double rank = 0;
  if (magnitude < smallest_normal) {
    rank = magnitude / tiny;
  } else {
    const int k = std::ilogb(magnitude);
    const int k0 = std::ilogb(smallest_normal);
    rank = per_binade * (1 + k - k0) + (std::ldexp(magnitude, -k) - 1) * per_binade;
  }
  return static_cast<std::int64_t>(value < 0 ? -rank : rank);
}

double value_at(DType dtype, std::int64_t rank) {
  const auto per_binade = static_cast<std::int64_t>(0.5 / unit_roundoff(dtype));
  const std::int64_t magnitude = std::abs(rank);
  const std::int64_t binade = magnitude / per_binade;
  double value = static_cast<double>(magnitude) * denorm_min(dtype);
  if (binade > 0)
    value = std::ldexp(static_cast<double>(per_binade + magnitude % per_binade) * denorm_min(dtype),
                       static_cast<int>(binade - 1));
  return rank < 0 ? -value : value;
}

// n different values of `dtype` in [a, b], evenly spaced where the dtype has them that close,
// else evenly spaced in rank.
std::vector<double> ladder(DType dtype, double a, double b, std::size_t n) {
  std::vector<double> out(n);
  const double steps = n > 1 ? static_cast<double>(n - 1) : 1;
  for (std::size_t i = 0; i < n; ++i)
    out[i] = round_to(dtype, a + (b - a) * (static_cast<double>(i) / steps));
  if (std::adjacent_find(out.begin(), out.end()) == out.end()) return out;
  const std::int64_t low = rank_of(dtype, round_to(dtype, a));
  const std::int64_t high = rank_of(dtype, round_to(dtype, b));
  check<ValueError>(high - low + 1 >= static_cast<std::int64_t>(n), "draw_inputs: ", name(dtype),
                    " has ", high - low + 1, " values in [", a, ", ", b, "], fewer than ", n,
                    " distinct elements");
  for (std::size_t i = 0; i < n; ++i)
    out[i] = value_at(dtype, low + static_cast<std::int64_t>(static_cast<double>(high - low) *
                                                             (static_cast<double>(i) / steps)));
  return out;
}

std::vector<double> draw_distinct(const InputSpec& spec, DType dtype, const Stream& stream,
                                  std::size_t n) {
  const std::vector<double> steps = ladder(dtype, spec.a, spec.b, n);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i)  // Fisher & Yates
    std::swap(order[i - 1], order[stream.bits(i) % i]);
  std::vector<double> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = steps[order[i]];
  return out;
}

double draw_one(const InputSpec& spec, const Stream& s, std::size_t i) {
  switch (spec.domain) {
    case Domain::kNormal:
      return spec.a + (spec.b != 0 ? spec.b : 1) * s.normal(i);
    case Domain::kUniform:
      return spec.a + (spec.b - spec.a) * s.uniform(i);
    case Domain::kAwayFromZero: {
      const double magnitude = spec.a + (spec.b - spec.a) * s.uniform(i);
      return s.bits(i, 1) & 1 ? -magnitude : magnitude;
    }
    case Domain::kIntegers:
      return s.integer(i, spec.a, spec.b);
    case Domain::kIndices:
      return s.integer(i, spec.a, spec.b - 1);
    case Domain::kMask:
      return static_cast<double>(s.bits(i) & 1);
    case Domain::kExplicit:
      return spec.values[i % spec.values.size()];
    case Domain::kDistinct:
      break;
  }
  throw ValueError("draw_inputs: unknown domain");
}

// Rounding must not leave a half-open interval: 0.9999 is 1 in bfloat16.
double round_within(const InputSpec& spec, DType dtype, double value) {
  const double rounded = round_to(dtype, value);
  if (spec.domain == Domain::kUniform && is_floating(dtype) && rounded >= spec.b && spec.b > spec.a)
    return value_at(dtype, rank_of(dtype, rounded) - 1);
  return rounded;
}

}  // namespace

std::vector<HostTensor> draw_inputs(const std::vector<InputSpec>& specs, DType dtype,
                                    std::uint64_t seed) {
  std::vector<HostTensor> out;
  for (std::size_t k = 0; k < specs.size(); ++k) {
    const InputSpec& spec = specs[k];
    HostTensor t{spec.dtype.value_or(dtype), spec.shape, {}, spec.defined};
    if (spec.defined) {
      const auto n = static_cast<std::size_t>(numel(spec.shape));
      const Stream stream{mix(seed) ^ mix(k + 0x5851f42du)};
      check<ValueError>(spec.domain != Domain::kExplicit || !spec.values.empty() || n == 0,
                        "draw_inputs: input ", k, " is explicit and names no values");
      if (spec.domain == Domain::kDistinct) {
        t.values = draw_distinct(spec, t.dtype, stream, n);
      } else {
        t.values.reserve(n);
        for (std::size_t i = 0; i < n; ++i)
          t.values.push_back(round_within(spec, t.dtype, draw_one(spec, stream, i)));
      }
    }
    out.push_back(std::move(t));
  }
  return out;
}

}  // namespace flame::reference
