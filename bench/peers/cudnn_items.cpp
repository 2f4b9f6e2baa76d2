// Items in cuDNN's words.
#include <algorithm>

#include "bench/peers/cudnn.h"
#include "lib/ops/ops.h"

namespace flame::bench {
namespace {

std::optional<int> type_of(const Item& item) {
  const DType dtype = item.inputs.empty() ? DType::kInt32 : item.inputs[0].dtype;
  if (item.outputs[0].dtype != dtype) return std::nullopt;
  if (dtype == DType::kBFloat16) return cudnn::kBFloat16;
  if (dtype != DType::kFloat32) return std::nullopt;
  return item.tf32 ? cudnn::kTf32 : cudnn::kFloat32;
}

template <class To, std::size_t N>
void copy(const IntList& from, To (&to)[N]) {
  std::transform(from.begin(), from.end(), to, [](std::int64_t v) { return To(v); });
}

bool is_one(const IntList& list) { return list == IntList{1, 1}; }

}  // namespace

std::optional<cudnn::Convolution> cudnn_convolution_of(const Item& item) {
  const auto type = type_of(item);
  if (item.op != &conv2d_def() || !type) return std::nullopt;
  if (item.inputs[0].shape.size() != 4) return std::nullopt;
  if (item.inputs.size() > 2 && item.inputs[2].defined) return std::nullopt;
  cudnn::Convolution c{.type = *type};
  copy(item.inputs[0].shape, c.x);
  copy(item.inputs[1].shape, c.w);
  copy(item.outputs[0].shape, c.y);
  copy(item.attrs.get_ints("stride", 2), c.stride);
  copy(item.attrs.get_ints("padding", 2), c.padding);
  copy(item.attrs.get_ints("dilation", 2), c.dilation);
  return c;
}

std::optional<cudnn::Pooling> cudnn_pooling_of(const Item& item) {
  const auto type = type_of(item);
  if (item.op != &max_pool2d_def() || !type) return std::nullopt;
  if (item.inputs[0].shape.size() != 4 || item.attrs.get_bool("ceil_mode") ||
      !is_one(item.attrs.get_ints("dilation", 2)))
    return std::nullopt;
  cudnn::Pooling p{.type = *type};
  copy(item.inputs[0].shape, p.x);
  copy(item.outputs[0].shape, p.y);
  const IntList window = item.attrs.get_ints("kernel_size", 2);
  copy(window, p.window);
  copy(item.attrs.get_ints("stride").empty() ? window : item.attrs.get_ints("stride", 2), p.stride);
  copy(item.attrs.get_ints("padding", 2), p.padding);
  return p;
}

std::optional<cudnn::Softmax> cudnn_softmax_of(const Item& item) {
  const auto type = type_of(item);
  if (item.op != &softmax_def() || !type) return std::nullopt;
  const Shape& shape = item.inputs[0].shape;
  const auto rank = std::int64_t(shape.size());
  std::int64_t dim = item.attrs.get_int("dim");
  dim += dim < 0 ? rank : 0;
  if (rank == 0) return std::nullopt;
  cudnn::Softmax s{.type = *type, .outer = 1, .size = int(shape[std::size_t(dim)]), .inner = 1};
  for (std::int64_t d = 0; d < rank; ++d)
    if (d != dim) (d < dim ? s.outer : s.inner) *= int(shape[std::size_t(d)]);
  return s;
}

}  // namespace flame::bench
