// Tensor's autograd methods and flame::grad.
#include "lib/autograd/apply.h"
#include "lib/autograd/engine.h"
#include "lib/autograd/node.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"

namespace flame {
namespace {

// The gradient to start from: as given, or a one for a single element.
Tensor seed_gradient(const char* what, const Tensor& output, const Tensor& given) {
  check<AutogradError>(output.requires_grad(), what,
                       ": the tensor is not part of a graph (no input required grad)");
  if (!given.defined()) {
    check<AutogradError>(output.numel() == 1, what, ": a tensor of shape ", output.shape(),
                         " needs an explicit gradient; only one element has a default");
    return ones(output.shape(), {output.device(), output.dtype()});
  }
  check<ShapeError>(given.shape() == output.shape(), what, ": the gradient has shape ",
                    given.shape(), ", the tensor ", output.shape());
  check<DTypeError>(given.dtype() == output.dtype(), what, ": the gradient is ", given.dtype(),
                    ", the tensor ", output.dtype());
  check<DeviceError>(given.device() == output.device(), what, ": the gradient is on ",
                     given.device(), ", the tensor on another device, ", output.device());
  return given.requires_grad() ? given.detach() : given;
}

}  // namespace

bool Tensor::requires_grad() const {
  return impl_ && (impl_->requires_grad || impl_->grad_fn != nullptr);
}

bool Tensor::is_leaf() const { return !impl_ || impl_->grad_fn == nullptr; }

Tensor& Tensor::set_requires_grad(bool on) {
  check<AutogradError>(defined(), "set_requires_grad: the tensor is undefined");
  check<AutogradError>(is_leaf(),
                       "set_requires_grad: only a leaf can be told; this tensor of shape ", shape(),
                       " was made by an op");
  check<AutogradError>(!on || is_floating(dtype()), "set_requires_grad: dtype ", dtype(),
                       " has no gradient");
  impl_->requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const {
  check<AutogradError>(defined(), "grad: the tensor is undefined");
  std::lock_guard lock(impl_->grad_mutex);
  return impl_->grad;
}

void Tensor::set_grad(Tensor grad) {
  check<AutogradError>(defined(), "set_grad: the tensor is undefined");
  if (grad.defined())
    check<ShapeError>(grad.shape() == shape() && grad.dtype() == dtype(),
                      "set_grad: the gradient has shape ", grad.shape(), " and dtype ",
                      grad.dtype(), ", the tensor shape ", shape(), " and dtype ", dtype());
  if (grad.defined())
    check<DeviceError>(grad.device() == device(), "set_grad: the gradient is on another device, ",
                       grad.device(), ", than the tensor, ", device());
  std::lock_guard lock(impl_->grad_mutex);
  impl_->grad = std::move(grad);
}

void Tensor::backward(const Tensor& gradient, bool retain_graph) const {
  check<AutogradError>(defined(), "backward: the tensor is undefined");
  const autograd::Root root{*this, seed_gradient("backward", *this, gradient)};
  autograd::run_backward(std::span(&root, 1), std::nullopt, retain_graph);
}

Tensor Tensor::detach() const {
  check<AutogradError>(defined(), "detach: the tensor is undefined");
  return make_view(*this, shape(), strides(), storage_offset());
}

Tensors grad(std::span<const Tensor> outputs, std::span<const Tensor> inputs,
             std::span<const Tensor> grad_outputs, bool retain_graph) {
  check<ValueError>(grad_outputs.empty() || grad_outputs.size() == outputs.size(),
                    "grad: ", grad_outputs.size(), " gradients for ", outputs.size(), " outputs");
  InlineVector<autograd::Root, 1> roots;
  roots.reserve(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check<AutogradError>(outputs[i].defined(), "grad: output ", i, " is undefined");
    roots.push_back({outputs[i], seed_gradient("grad", outputs[i],
                                               grad_outputs.empty() ? Tensor() : grad_outputs[i])});
  }
  for (std::size_t i = 0; i < inputs.size(); ++i)
    check<AutogradError>(inputs[i].requires_grad(), "grad: input ", i, " does not require grad");
  return autograd::run_backward(roots, inputs, retain_graph);
}

}  // namespace flame
