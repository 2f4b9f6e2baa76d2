// Orders an op that reads tensors made on other streams. Costs nothing when all share one stream.
#pragma once
#include <span>
#include <vector>

#include "lib/tensor/tensor.h"

namespace flame {

// While it lives, work on `device`'s stream comes after everything queued on the streams of
// `tensors`. When it dies, those streams wait for what was queued here: memory is freed on its own
// stream, so a tensor may die as soon as the op was launched.
class StreamOrder {
 public:
  StreamOrder(const Device& device, std::span<const Tensor> tensors);
  ~StreamOrder();
  StreamOrder(const StreamOrder&) = delete;
  StreamOrder& operator=(const StreamOrder&) = delete;

 private:
  Device device_;
  std::vector<Stream> others_;
};

}  // namespace flame
