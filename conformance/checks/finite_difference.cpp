// The op's own float64 backward against 4-point differences of its own float64 forward, both on the
// device: <J v, w> = <v, J^T w> for random signed directions v and gradients w.
//
//   D(h) = (f(x - 2h v) - 8 f(x - h v) + 8 f(x + h v) - f(x + 2h v)) / (12 h),   error C h^4
//
// The tolerance is derived. Truncation: D(2h) - D(h) is 15 C h^4, and the whole of it is allowed.
// Rounding: each f by the oracle's bound, through the weights of the formula; the backward by its
// own bound. Steps are powers of two times a power of two near the element (x drawn with float32's
// 24 bits), so that x + h v is exact, and so is the step.
#include <cmath>

#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

using reference::HostTensor;

// v: +- the power of two next to max(|x|, rms), on the differentiable inputs.
std::vector<HostTensor> direction(const CheckContext& x, const std::vector<HostTensor>& inputs,
                                  const std::vector<bool>& along, std::uint64_t salt) {
  std::vector<HostTensor> out = inputs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    double square = 0;
    for (double v : inputs[i].values) square += v * v;
    const double rms =
        inputs[i].values.empty() ? 0 : std::sqrt(square / double(inputs[i].values.size()));
    for (std::size_t k = 0; k < inputs[i].values.size(); ++k) {
      const double size = std::max(std::fabs(inputs[i].values[k]), rms);
      const bool up = mix(mix(x.seed, salt), i * 1000003 + k) % 2 == 0;
      const double step = size > 0 ? std::exp2(std::round(std::log2(size))) : 1.0;
      out[i].values[k] = !along[i] ? 0 : up ? step : -step;
    }
  }
  return out;
}

class Differences {
 public:
  Differences(const CheckContext& x, const std::vector<HostTensor>& inputs,
              const std::vector<HostTensor>& v, const std::vector<HostTensor>& w)
      : x_(x), inputs_(inputs), v_(v), w_(w) {}

  // sum w * f(x + t v).
  long double along(double t) {
    auto moved = inputs_;
    for (std::size_t i = 0; i < moved.size(); ++i)
      for (std::size_t k = 0; k < moved[i].values.size(); ++k)
        if (v_[i].values[k] != 0) moved[i].values[k] += t * v_[i].values[k];
    const auto out = download(x_.implementation.forward(upload_call(x_, x_.rig.device, moved)));
    long double sum = 0;
    for (std::size_t o = 0; o < out.size(); ++o)
      for (std::size_t k = 0; k < out[o].values.size(); ++k)
        if (w_[o].values[k] != 0) sum += (long double)w_[o].values[k] * out[o].values[k];
    return sum;
  }

  struct Estimate {
    long double value = 0;
    double truncation = 0, h = 0;
  };
  Estimate at(double h) {
    const long double one = along(h) - along(-h), two = along(2 * h) - along(-2 * h);
    const long double four = along(4 * h) - along(-4 * h);
    const long double fine = (8 * one - two) / (12 * h), coarse = (8 * two - four) / (24 * h);
    return {fine, double(std::fabs(coarse - fine)), h};
  }

 private:
  const CheckContext& x_;
  const std::vector<HostTensor>&inputs_, &v_, &w_;
};

// sum |w| * bound(f): what the forward may be off by in <w, f>.
double forward_bound(const CheckContext& x, const std::vector<HostTensor>& inputs,
                     const std::vector<HostTensor>& w) {
  double sum = 0;
  const auto truth = x.contract.forward(inputs, case_attrs(x));
  for (std::size_t o = 0; o < truth.size(); ++o)
    for (std::size_t k = 0; k < truth[o].values.size(); ++k)
      if (w[o].values[k] != 0)
        sum += std::fabs(w[o].values[k]) * tolerance(w[o].dtype, truth[o].values[k]);
  return sum;
}

struct Adjoint {
  long double value = 0;  // <v, g>
  double bound = 0;       // what g may be off by in it
  double scale = 0;       // sum |v g|
  std::int64_t elements = 0;
  std::string missing;
};

Adjoint adjoint(const CheckContext& x, const std::vector<Tensor>& gradients,
                const std::vector<HostTensor>& inputs, const std::vector<HostTensor>& v,
                const std::vector<HostTensor>& w) {
  Adjoint a;
  const auto truth = x.contract.backward(inputs, case_attrs(x), w);
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (!truth[i].defined) continue;
    const HostTensor g = download(gradients[i]);
    if (!g.defined || g.values.size() != v[i].values.size()) {
      a.missing = "grad." + input_name(x.op, i) + " is missing or of another shape";
      return a;
    }
    for (std::size_t k = 0; k < g.values.size(); ++k) {
      a.value += (long double)g.values[k] * v[i].values[k];
      a.bound += std::fabs(v[i].values[k]) * tolerance(g.dtype, truth[i].values[k]);
      a.scale += std::fabs(v[i].values[k] * double(truth[i].values[k].value));
      ++a.elements;
    }
  }
  return a;
}

}  // namespace

Outcome check_finite_difference(const CheckContext& x) {
  if (auto why = no_gradient(x)) return not_run(*why);
  if (!x.c.differentiable) return not_run("the case sits on a kink");
  auto inputs = draw(x);
  if (all_empty(output_descs(x, inputs))) return not_run("the output has no elements");
  std::vector<bool> along;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    along.push_back(inputs[i].defined && is_floating(inputs[i].dtype) &&
                    param_of(x.op, i).differentiable);
    if (along[i])
      for (double& value : inputs[i].values) value = reference::round_to(DType::kFloat32, value);
  }
  const Tape tape = x.implementation.record(upload_call(x, x.rig.device, inputs));
  Outcome out = passed(std::int64_t{0});
  out.r = 0;
  const int directions = x.level == Level::kQuick ? 2 : 4;
  for (int d = 0; d < directions; ++d) {
    const auto w =
        draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned, 100 + std::uint64_t(d));
    const auto v = direction(x, inputs, along, 200 + std::uint64_t(d));
    const auto gradients = x.implementation.backward(tape, upload_all(x.rig.device, w));
    const Adjoint want = adjoint(x, gradients, inputs, v, w);
    if (!want.missing.empty()) return failed(want.missing);
    Differences differences(x, inputs, v, w);
    const double per_value = forward_bound(x, inputs, w);
    // The step with the least total error; a kink that a long step crosses shows as truncation.
    Differences::Estimate best;
    double least = INFINITY;
    for (int power : {-6, -9, -12, -15}) {
      const auto e = differences.at(std::exp2(power));
      const double total = e.truncation + 18 * per_value / (12 * e.h);
      if (total < least) best = e, least = total;
    }
    const double bound = least + want.bound + denorm_min(DType::kFloat64);
    const double error = double(std::fabs(best.value - want.value));
    out.compared += want.elements;
    // A tolerance as large as the derivative itself could pass a zero gradient.
    if (!(bound < want.scale) && want.scale > 0)
      return failed(
          str_cat("no step resolves the derivative: tolerance ", bound, ", size ", want.scale));
    const double r = error / bound;
    if (!(r <= out.r)) out.r = r, out.where = str_cat("direction ", d);
    if (!(r <= 1))
      return {records::Verdict::kFail,
              str_cat("<v, J^T w> of backward is ", double(want.value), ", <J v, w> of forward is ",
                      double(best.value), " +- ", bound, " (h = ", best.h, ")"),
              r,
              out.where,
              out.compared,
              {}};
  }
  return out;
}

}  // namespace flame::conformance
