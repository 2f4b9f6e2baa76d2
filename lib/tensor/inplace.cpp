// The in-place methods: each bumps the storage's version, which is how backward learns of it.
#include "lib/autograd/grad_mode.h"
#include "lib/autograd/stream_order.h"
#include "lib/core/error.h"
#include "lib/ops/binary.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

// Throws unless `t` may be written in place now.
void begin_in_place(const char* op, const Tensor& t) {
  if (grad_enabled() && t.requires_grad()) {
    throw AutogradError(str_cat(
        op, ": ",
        t.is_leaf() ? "a leaf that requires grad cannot be changed in place (use NoGradGuard)"
                    : "a tensor that an op recorded for backward cannot be changed in place"));
  }
  for (std::size_t i = 0; i < t.shape().size(); ++i)
    check<ValueError>(t.strides()[i] != 0 || t.shape()[i] <= 1, op,
                      ": an expanded tensor (stride 0 at dim ", i,
                      ") holds several elements in one place and cannot be written");
}

void check_operand(const char* op, const Tensor& to, const Tensor& from) {
  check<DeviceError>(from.defined(), op, ": the operand is undefined");
  check<DeviceError>(from.device() == to.device(), op, ": tensors are on ", to.device(), " and ",
                     from.device());
  check<ShapeError>(broadcasts_to(from.shape(), to.shape()), op, ": shape ", from.shape(),
                    " does not broadcast to ", to.shape());
}

// What to read: `from`, or a copy of it where it shares memory with `to` in another geometry, so
// that nothing is read after it was written.
Tensor source_for(const Tensor& to, const Tensor& from) {
  const bool same = from.shape() == to.shape() && from.strides() == to.strides() &&
                    from.storage_offset() == to.storage_offset();
  if (from.impl()->storage != to.impl()->storage || same || from.numel() == 0) return from;
  const Tensor copy = make_tensor(from.device(), from.shape(), from.dtype(), "in-place operand");
  copy_into(copy, from);
  return copy;
}

}  // namespace

Tensor& Tensor::fill_(double value) {
  begin_in_place("fill_", *this);
  ++impl_->storage->version;
  if (numel() > 0) fill_into(*this, value);
  return *this;
}

Tensor& Tensor::copy_(const Tensor& from) {
  begin_in_place("copy_", *this);
  check_operand("copy_", *this, from);
  const StreamOrder order(device(), std::span(&from, 1));
  ++impl_->storage->version;
  if (numel() > 0) copy_into(*this, source_for(*this, from));
  return *this;
}

Tensor& Tensor::add_(const Tensor& other, double alpha) {
  begin_in_place("add_", *this);
  check_operand("add_", *this, other);
  check<DTypeError>(is_floating(dtype()) && is_floating(other.dtype()), "add_: dtypes ",
                    name(dtype()), " and ", name(other.dtype()), " must be floating");
  const StreamOrder order(device(), std::span(&other, 1));
  ++impl_->storage->version;
  if (numel() > 0) {
    const NoGradGuard no_grad;
    add_into(*this, other.dtype() == dtype() ? source_for(*this, other) : other.to(dtype()), alpha);
  }
  return *this;
}

}  // namespace flame
