// What other projects' judges say of the same outputs: the formulas and the default tolerances are
// theirs, written anew from their documentation and papers.
#pragma once
#include <string>
#include <vector>

#include "reference/contract.h"

namespace flame::conformance {

// Results of one call with their truths. Without a backward the gradients are empty.
struct Evidence {
  bool threw = false;  // there is nothing to compare: every judge sees that
  std::vector<reference::HostTensor> outputs, gradients, gradients_of_sum;
  std::vector<reference::BoundTensor> output_truth, gradient_truth, gradient_of_sum_truth;
};

// PyTorch: |got - want| <= atol + rtol |want|, the defaults of torch.testing.assert_close by dtype.
bool allclose(const reference::HostTensor& got, const reference::BoundTensor& want);
// ggml's test-backend-ops: sum (got - want)^2 / sum want^2 <= 1e-7; NaN and infinities must agree.
bool ggml_nmse(const reference::HostTensor& got, const reference::BoundTensor& want);
// ggml's gradient mode: mean (a - b) / (a + b) in absolute value <= 1e-4. Two zeros give NaN, and a
// NaN is not above the limit: a tensor with one such element passes whatever else it holds.
bool ggml_asymmetry(const reference::HostTensor& got, const reference::BoundTensor& want);
// JAX's check_grads: allclose with rtol = atol = the dtype's gradient tolerance times the number of
// elements.
bool jax_scaled(const reference::HostTensor& got, const reference::BoundTensor& want);

// "caught", "missed" or "n/a" (nothing that this judge looks at).
struct OtherVerdicts {
  std::string allclose, ggml_nmse, jax_scaled, sum_loss;
};
OtherVerdicts ask_other_judges(const Evidence& evidence);

}  // namespace flame::conformance
