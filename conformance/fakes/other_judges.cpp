#include "conformance/fakes/other_judges.h"

#include <cmath>

namespace flame::conformance {

using reference::BoundTensor;
using reference::HostTensor;

namespace {

bool same_form(const HostTensor& got, const BoundTensor& want) {
  return got.defined == want.defined && got.shape == want.shape &&
         got.values.size() == want.values.size();
}

bool within(const HostTensor& got, const BoundTensor& want, double rtol, double atol) {
  if (!same_form(got, want)) return false;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double a = got.values[i], b = double(want.values[i].value);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b) continue;
    if (!(std::fabs(a - b) <= atol + rtol * std::fabs(b))) return false;
  }
  return true;
}

struct Tolerance {
  double rtol, atol;
};

Tolerance pytorch_default(DType t) {
  switch (t) {
    case DType::kFloat16:
      return {1e-3, 1e-5};
    case DType::kBFloat16:
      return {1.6e-2, 1e-5};
    case DType::kFloat32:
      return {1.3e-6, 1e-5};
    case DType::kFloat64:
      return {1e-7, 1e-7};
    default:
      return {0, 0};
  }
}

double jax_gradient_tolerance(DType t) {
  switch (t) {
    case DType::kFloat16:
      return 1e-2;
    case DType::kBFloat16:
      return 1e-1;
    case DType::kFloat32:
      return 2e-3;
    default:
      return 1e-5;
  }
}

using Judge = bool (*)(const HostTensor&, const BoundTensor&);

bool all_pass(const std::vector<HostTensor>& got, const std::vector<BoundTensor>& want,
              Judge judge) {
  if (got.size() != want.size()) return false;
  for (std::size_t i = 0; i < got.size(); ++i)
    if ((got[i].defined || want[i].defined) && !judge(got[i], want[i])) return false;
  return true;
}

const char* word(bool caught) { return caught ? "caught" : "missed"; }

}  // namespace

bool allclose(const HostTensor& got, const BoundTensor& want) {
  const Tolerance t = pytorch_default(got.dtype);
  return within(got, want, t.rtol, t.atol);
}

bool ggml_nmse(const HostTensor& got, const BoundTensor& want) {
  if (!same_form(got, want)) return false;
  double error = 0, size = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double a = got.values[i], b = double(want.values[i].value);
    if (std::isnan(a) || std::isnan(b)) return false;
    if (std::isinf(a) || std::isinf(b)) {
      if (std::isinf(a) && std::isinf(b) && std::signbit(a) == std::signbit(b)) continue;
      return false;
    }
    error += (a - b) * (a - b);
    size += b * b;
  }
  return !(error / size > 1e-7);
}

bool ggml_asymmetry(const HostTensor& got, const BoundTensor& want) {
  if (!same_form(got, want)) return false;
  double sum = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double a = got.values[i], b = double(want.values[i].value);
    sum += std::fabs((a - b) / (a + b));
  }
  return !(sum / double(got.values.size()) > 1e-4);
}

bool jax_scaled(const HostTensor& got, const BoundTensor& want) {
  const double t = jax_gradient_tolerance(got.dtype) * double(got.values.size());
  return within(got, want, t, t);
}

OtherVerdicts ask_other_judges(const Evidence& e) {
  if (e.threw) return {"caught", "caught", "caught", "caught"};
  if (e.outputs.empty()) return {"n/a", "n/a", "n/a", "n/a"};
  OtherVerdicts v;
  v.allclose = word(!all_pass(e.outputs, e.output_truth, allclose) ||
                    !all_pass(e.gradients, e.gradient_truth, allclose));
  v.ggml_nmse = word(!all_pass(e.outputs, e.output_truth, ggml_nmse) ||
                     !all_pass(e.gradients, e.gradient_truth, ggml_asymmetry));
  v.jax_scaled = word(!all_pass(e.outputs, e.output_truth, jax_scaled) ||
                      !all_pass(e.gradients, e.gradient_truth, jax_scaled));
  v.sum_loss = e.gradients_of_sum.empty()
                   ? "n/a"
                   : word(!all_pass(e.gradients_of_sum, e.gradient_of_sum_truth, allclose));
  return v;
}

}  // namespace flame::conformance
