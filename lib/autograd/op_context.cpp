#include "lib/autograd/op_context.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {

Tensor OpContext::make_output(std::size_t i) const {
  return make_tensor(device_, outputs_[i].shape, outputs_[i].dtype, op_.name);
}

Tensor OpContext::temporary(const Shape& shape, DType dtype) const {
  return make_tensor(device_, shape, dtype, "temporary");
}

bool OpContext::needs_any_grad() const {
  return std::find(needs_grad_.begin(), needs_grad_.end(), true) != needs_grad_.end();
}

void OpContext::save(const Tensor& tensor, Reads reads) {
  if (!tensor.defined()) {
    saved_.push_back({});
    return;
  }
  // An alias without grad_fn: a node that kept its own output would keep itself alive.
  saved_.push_back({tensor.detach(), tensor.version(), reads});
}

const Tensor& BackwardContext::saved(std::size_t i) const {
  const SavedTensor& s = saved_[i];
  if (s.tensor.defined())
    check<VersionError>(s.tensor.version() == s.version, op_.name, ": a tensor of shape ",
                        s.tensor.shape(), " saved for backward was changed in place (version ",
                        s.tensor.version(), ", saved at ", s.version, ")");
  return s.tensor;
}

Tensor BackwardContext::temporary(const Shape& shape, DType dtype) const {
  return make_tensor(device_, shape, dtype, "temporary");
}

Tensor BackwardContext::make_gradient(std::size_t i) const {
  return make_tensor(device_, inputs_[i].shape, inputs_[i].dtype, "gradient");
}

}  // namespace flame
