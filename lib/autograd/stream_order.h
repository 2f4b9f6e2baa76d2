// Orders an op that reads tensors made on other streams. Costs nothing when all share one stream.
#pragma once
#include <span>
#include <vector>

#include "lib/tensor/tensor.h"

namespace flame {

// While it lives, work on `device`'s stream comes after everything queued on the streams of the
// tensors given. When it dies, those streams wait for what was queued here: memory is freed on its
// own stream, so a tensor may die as soon as the op was launched. `device` must outlive it.
class StreamOrder {
 public:
  explicit StreamOrder(const Device& device) : device_(device) {}
  StreamOrder(const Device& device, std::span<const Tensor> tensors) : device_(device) {
    for (const Tensor& t : tensors) after(t);
  }
  ~StreamOrder();
  StreamOrder(const StreamOrder&) = delete;
  StreamOrder& operator=(const StreamOrder&) = delete;

  // An undefined tensor has no stream.
  void after(const Tensor& tensor) {
    if (tensor.defined() && tensor.device().stream() != device_.stream()) wait_for(tensor);
  }

 private:
  void wait_for(const Tensor& tensor);

  const Device& device_;
  std::vector<Stream> others_;
};

}  // namespace flame
