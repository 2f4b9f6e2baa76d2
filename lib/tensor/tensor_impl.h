// What a Tensor points at.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>

#include "lib/tensor/tensor.h"

namespace flame {

namespace autograd {
struct Node;
}

// Device memory and the count of in-place changes, shared by all views.
struct Storage {
  Storage(const Device& device, std::size_t bytes, std::string_view label);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Device device;
  std::size_t bytes;
  void* data;
  std::atomic<std::int64_t> version{0};
};

struct TensorImpl {
  std::shared_ptr<Storage> storage;
  Shape shape;
  Strides strides;          // in elements
  std::int64_t offset = 0;  // in elements
  std::int64_t numel = 0;
  DType dtype = DType::kFloat32;
  bool contiguous = true;

  bool requires_grad = false;               // set by the user on a leaf
  std::shared_ptr<autograd::Node> grad_fn;  // the op that made it, when recorded
  int output_index = 0;                     // which of its outputs
  std::mutex grad_mutex;
  Tensor grad;
};

// Contiguous, uninitialised.
Tensor make_tensor(const Device& device, const Shape& shape, DType dtype,
                   std::string_view label = "tensor");
// An alias of `of`'s storage with another geometry, outside the graph.
Tensor make_view(const Tensor& of, const Shape& shape, const Strides& strides, std::int64_t offset);

}  // namespace flame
