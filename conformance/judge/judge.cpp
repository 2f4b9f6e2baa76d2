#include "conformance/judge/judge.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "lib/core/error.h"

namespace flame::conformance {

using reference::Bound;
using reference::BoundTensor;
using reference::HostTensor;
using reference::round_to;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Judgement refuse(std::string where, std::string reason) {
  Judgement j;
  j.r = kInfinity;
  j.where = std::move(where);
  j.reason = std::move(reason);
  return j;
}

std::string number(double v) {
  std::ostringstream out;
  out.precision(9);
  out << v;
  return out.str();
}

// r of one element; above 1 (or NaN) is a failure. `why` is set where a rule other than the size of
// the error was broken.
double ratio(DType dtype, double got, const Bound& want, bool exact, const char*& why) {
  const long double truth = want.value;
  if (std::isnan(truth) || std::isnan(got)) {
    if (std::isnan(truth) && std::isnan(got)) return 0;
    why = std::isnan(got) ? "NaN where the truth is a number" : "a number where the truth is NaN";
    return kInfinity;
  }
  if (std::isinf(truth)) {
    if (got == double(truth)) return 0;
    why = std::isinf(got) ? "an infinity of the wrong sign" : "finite where the truth is infinite";
    return kInfinity;
  }
  if (exact || !is_floating(dtype)) {
    const double rounded = is_floating(dtype) ? round_to(dtype, double(truth)) : double(truth);
    if (got == rounded) return 0;
    why = "not equal, and this case is exact";
    return kInfinity;
  }
  const double bound = tolerance(dtype, want);
  if (std::isinf(got)) {
    const bool reaches = std::fabs(double(truth)) + bound >= max_finite(dtype);
    if (reaches && std::signbit(got) == std::signbit(double(truth))) return 0;
    why = "an infinity where the truth is finite";
    return kInfinity;
  }
  if (!std::isfinite(bound)) {
    if (got == round_to(dtype, double(truth))) return 0;
    why = "the oracle's own bound is not finite";
    return kInfinity;
  }
  return double(std::fabs((long double)got - truth) / (long double)bound);
}

// Names a loss of precision by the size of the relative errors, when they are alike over most
// elements: a rounding of the inputs to 2^-11 (TF32, float16) or 2^-9 (bfloat16) leaves relative
// errors about a third of that in products and sums of them, whatever their length.
std::string precision_signature(const HostTensor& got, const BoundTensor& want) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double truth = double(want.values[i].value);
    const double error = std::fabs(got.values[i] - truth) / std::fabs(truth);
    if (std::isfinite(error)) errors.push_back(error);
  }
  if (errors.size() < 8) return {};
  std::sort(errors.begin(), errors.end());
  const double low = errors[errors.size() / 4], middle = errors[errors.size() / 2];
  const double high = errors[errors.size() * 3 / 4];
  if (!(high <= 16 * low)) return {};
  const double bits = -std::log2(middle);
  if (got.dtype == DType::kFloat32 && bits > 11.5 && bits <= 15)
    return "; the errors are those of TF32 or float16 where float32 is promised";
  if (got.dtype == DType::kFloat32 && bits > 7.5 && bits <= 11.5)
    return "; the errors are those of bfloat16 where float32 is promised";
  if (got.dtype == DType::kFloat64 && bits > 22 && bits <= 28)
    return "; the errors are those of float32 where float64 is promised";
  return {};
}

std::size_t first_difference(const Bits& a, const Bits& b) {
  const auto at = std::mismatch(a.bytes.begin(), a.bytes.end(), b.bytes.begin()).first;
  return std::size_t(at - a.bytes.begin()) / size_of(a.dtype);
}

}  // namespace

void Judgement::merge(const Judgement& other) {
  const bool worse = !(other.r <= r) || (pass && !other.pass);
  const bool both = pass && other.pass;
  const std::int64_t total = compared + other.compared;
  if (worse) *this = other;
  pass = both;
  compared = total;
}

std::string position(const Shape& shape, std::int64_t flat) {
  if (shape.empty()) return {};
  std::vector<std::int64_t> at(shape.size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    at[d] = shape[d] > 0 ? flat % shape[d] : 0;
    flat = shape[d] > 0 ? flat / shape[d] : 0;
  }
  std::string out = "[";
  for (std::size_t d = 0; d < at.size(); ++d) out += (d ? ", " : "") + std::to_string(at[d]);
  return out + "]";
}

double tolerance(DType dtype, const Bound& want) {
  return unit_roundoff(accumulator(dtype)) * want.error +
         unit_roundoff(dtype) * std::fabs(double(want.value)) + denorm_min(dtype);
}

Judgement judge(std::string_view name, const HostTensor& got, const BoundTensor& want, bool exact) {
  const std::string label(name);
  if (got.defined != want.defined)
    return refuse(label, label + (got.defined ? " exists where there should be none"
                                              : " is missing: undefined where a value is due"));
  if (got.shape != want.shape)
    return refuse(label, str_cat(label, " has shape ", flame::to_string(got.shape),
                                 ", the truth has ", flame::to_string(want.shape)));
  if (got.values.size() != want.values.size())
    return refuse(label, str_cat(label, ": ", got.values.size(), " elements to compare with ",
                                 want.values.size()));
  Judgement j;
  j.pass = true;
  j.r = 0;
  j.where = label;
  if (!want.defined) return j;
  if (want.values.empty() && flame::numel(want.shape) != 0)
    return refuse(label, label + ": zero elements were compared");
  std::int64_t wrong = 0;
  const char* first_why = nullptr;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const char* why = nullptr;
    const double r = ratio(got.dtype, got.values[i], want.values[i], exact, why);
    ++j.compared;
    const bool ok = r <= 1;
    wrong += !ok;
    // The first of equals stands, and a failure is never replaced by a pass.
    const bool is_worst = i == 0 || !(r <= j.r);
    if (!is_worst) continue;
    j.r = std::isnan(r) ? kInfinity : r;
    j.where = label + position(want.shape, std::int64_t(i));
    j.got = got.values[i];
    j.want = double(want.values[i].value);
    j.bound = is_floating(got.dtype) ? tolerance(got.dtype, want.values[i]) : 0;
    first_why = why;
  }
  j.pass = wrong == 0;
  if (!j.pass)
    j.reason = str_cat(wrong, " of ", j.compared, " elements wrong; at ", j.where, " got ",
                       number(j.got), ", want ", number(j.want), " +- ", number(j.bound),
                       first_why ? str_cat(" (", first_why, ")") : "",
                       exact ? "" : precision_signature(got, want));
  return j;
}

Judgement judge_same(std::string_view name, const Bits& got, const Bits& want) {
  const std::string label(name);
  if (got.defined != want.defined || got.dtype != want.dtype || got.shape != want.shape)
    return refuse(label, label + ": two runs differ in shape, dtype or definedness");
  Judgement j;
  j.pass = true;
  j.r = 0;
  j.where = label;
  const std::size_t size = size_of(got.dtype);
  j.compared = std::int64_t(got.bytes.size() / size);
  if (got.bytes == want.bytes) return j;
  std::int64_t wrong = 0;
  for (std::size_t i = std::size_t(j.compared); i-- > 0;) {
    if (std::memcmp(&got.bytes[i * size], &want.bytes[i * size], size) == 0) continue;
    ++wrong;
    j.where = label + position(got.shape, std::int64_t(i));
  }
  j.pass = false;
  j.r = kInfinity;
  j.got = reference::decode(got.dtype, got.shape, got.bytes).values[first_difference(got, want)];
  j.want = reference::decode(got.dtype, got.shape, want.bytes).values[first_difference(got, want)];
  j.reason = str_cat(wrong, " of ", j.compared, " elements differ in their bits; first at ",
                     j.where, ": ", number(j.got), " and ", number(j.want));
  return j;
}

}  // namespace flame::conformance
