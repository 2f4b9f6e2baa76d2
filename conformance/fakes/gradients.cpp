// Fakes whose gradients are wrong.
#include <algorithm>
#include <map>

#include "conformance/fakes/fake.h"

namespace flame::conformance {
namespace {

using reference::HostTensor;
using reference::round_to;

template <Edit kEdit>
class EditedGradients : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grads) override {
    return edited(Decorator::backward(tape, grads), kEdit);
  }
};

template <class T>
std::unique_ptr<Implementation> make(Implementation& inner) {
  return std::make_unique<T>(inner);
}

void zero(HostTensor& t, std::uint64_t) { std::fill(t.values.begin(), t.values.end(), 0.0); }
void negated(HostTensor& t, std::uint64_t) {
  for (double& v : t.values) v = -v;
}
void tripled(HostTensor& t, std::uint64_t) {
  for (double& v : t.values) v = round_to(t.dtype, 3 * v);
}
// The values of the transpose in the shape of the gradient.
void transposed(HostTensor& t, std::uint64_t) { std::reverse(t.values.begin(), t.values.end()); }
void in_float32(HostTensor& t, std::uint64_t) {
  for (double& v : t.values) v = round_to(DType::kFloat32, v);
}
void first_row_everywhere(HostTensor& t, std::uint64_t) {
  if (t.shape.empty() || t.shape[0] < 2 || t.values.empty()) return;
  const std::size_t row = t.values.size() / std::size_t(t.shape[0]);
  for (std::size_t i = row; i < t.values.size(); ++i) t.values[i] = t.values[i % row];
}

// No gradient for the last input that is due one.
class MissingForOne : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grads) override {
    auto gradients = Decorator::backward(tape, grads);
    for (std::size_t i = gradients.size(); i-- > 0;) {
      if (!gradients[i].defined()) continue;
      gradients[i] = {};
      break;
    }
    return gradients;
  }
};

// A gradient of ones, whatever was asked for.
class IgnoresGradOutput : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grads) override {
    return Decorator::backward(tape, edited(grads, [](HostTensor& t, std::uint64_t) {
                                 std::fill(t.values.begin(), t.values.end(), 1.0);
                               }));
  }
};

// Adds to the gradients of the last call where it should assign.
class AccumulatesGradients : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grads) override {
    auto gradients = Decorator::backward(tape, grads);
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined()) continue;
      HostTensor host = download(gradients[i]);
      auto& sum = sums_[{i, host.shape}];
      sum.resize(host.values.size(), 0.0);
      for (std::size_t k = 0; k < sum.size(); ++k) {
        sum[k] += host.values[k];
        host.values[k] = round_to(host.dtype, sum[k]);
      }
      gradients[i] = upload(gradients[i].device(), host);
    }
    return gradients;
  }

 private:
  std::map<std::pair<std::size_t, Shape>, std::vector<double>> sums_;
};

}  // namespace

std::vector<Fake> gradient_fakes() {
  const auto grad = Shows::kGradient;
  return {
      {"gradient_zero", "every gradient is 0", "gradient_support", grad, needs_gradient,
       make<EditedGradients<zero>>},
      {"gradient_missing", "one input gets no gradient", "gradient_support", grad, needs_gradient,
       make<MissingForOne>},
      {"gradient_negated", "gradients with the wrong sign", "backward", grad, needs_gradient,
       make<EditedGradients<negated>>},
      {"gradient_tripled", "gradients three times too large", "backward", grad, needs_gradient,
       make<EditedGradients<tripled>>},
      {"gradient_transposed", "the right gradients at the wrong places", "backward", grad,
       needs_gradient, make<EditedGradients<transposed>>},
      {"gradient_first_row", "the first row's gradient for every row", "backward", grad,
       needs_gradient, make<EditedGradients<first_row_everywhere>>},
      {"ignores_grad_output", "differentiates the sum of the outputs, whatever was asked for",
       "backward", grad, needs_gradient, make<IgnoresGradOutput>},
      {"gradient_accumulates", "adds to its last gradient where it should assign", "backward",
       Shows::kBehaviour, needs_gradient, make<AccumulatesGradients>},
      {"gradient_in_float32", "float64 gradients computed in float32", "finite_difference", grad,
       needs_gradient, make<EditedGradients<in_float32>>, nullptr, Layout::kContiguous,
       DType::kFloat64},
  };
}

}  // namespace flame::conformance
