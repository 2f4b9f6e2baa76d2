// Tensor: a cheap handle to device memory. Copies share; views alias; nothing reaches the host but
// by item(), to_vector() and copy_to_host().
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "lib/core/attrs.h"
#include "lib/core/dtype.h"
#include "lib/core/shape.h"
#include "lib/core/tensor_desc.h"
#include "lib/tensor/device.h"

namespace flame {

struct TensorImpl;  // lib/tensor/tensor_impl.h

// Where and as what a tensor is made: randn({2, 3}, device) or randn({2, 3}, {device, kBFloat16}).
struct TensorOptions {
  TensorOptions(Device device, DType dtype = DType::kFloat32, bool requires_grad = false)
      : device(std::move(device)), dtype(dtype), requires_grad(requires_grad) {}
  Device device;
  DType dtype;
  bool requires_grad;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: PyTorch's None
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

  bool defined() const { return impl_ != nullptr; }
  // All accessors throw DeviceError on an undefined tensor.
  const Shape& shape() const;
  const Strides& strides() const;  // in elements; 0 where expanded
  std::int64_t size(std::int64_t dim) const;
  std::int64_t dim() const;
  std::int64_t numel() const;
  std::int64_t storage_offset() const;  // in elements
  DType dtype() const;
  const Device& device() const;
  TensorDesc desc() const;  // {.defined = false} for an undefined tensor
  bool is_contiguous() const;
  // Device address of the first element; nullptr when empty. Not for the host to dereference.
  void* data() const;

  // -- readback: these block
  // Row-major, as stored. `bytes` must be numel * element size, else ValueError.
  void copy_to_host(void* to, std::size_t bytes) const;
  // T is float, double, int64_t, int32_t, uint8_t or uint16_t (the bits of a half type); bool is
  // read as uint8_t. Throws DTypeError when T does not fit the dtype.
  template <class T>
  std::vector<T> to_vector() const;
  // The one element of a tensor of numel 1, of any dtype.
  double item() const;

  // -- autograd
  bool requires_grad() const;
  // On a leaf of floating dtype. Throws AutogradError elsewhere.
  Tensor& set_requires_grad(bool on = true);
  bool is_leaf() const;
  Tensor grad() const;  // undefined before backward
  void set_grad(Tensor grad);
  void zero_grad() { set_grad({}); }
  // Adds d(this)/d(leaf) * gradient into the grad of every leaf below. `gradient` may be left out
  // for a tensor of one element. The graph is freed unless retain_graph. Iterative: any depth.
  void backward(const Tensor& gradient = {}, bool retain_graph = false) const;
  // The same memory outside the graph.
  Tensor detach() const;

  // -- in place: the version counter goes up, so that a backward that saved this tensor throws
  // VersionError. A leaf that requires grad may only be changed under NoGradGuard.
  Tensor& fill_(double value);
  Tensor& zero_() { return fill_(0); }
  Tensor& copy_(const Tensor& from);  // broadcasts and converts
  Tensor& add_(const Tensor& other, double alpha = 1);
  std::int64_t version() const;

  // -- the views, as methods (see flame/ops.h)
  Tensor reshape(const IntList& shape) const;
  Tensor transpose(std::int64_t dim0, std::int64_t dim1) const;
  Tensor permute(const IntList& dims) const;
  Tensor expand(const IntList& size) const;
  Tensor narrow(std::int64_t dim, std::int64_t start, std::int64_t length) const;
  Tensor select(std::int64_t dim, std::int64_t index) const;
  Tensor squeeze(const IntList& dim = {}) const;
  Tensor unsqueeze(std::int64_t dim) const;
  Tensor contiguous() const;
  Tensor to(DType dtype) const;

  const std::shared_ptr<TensorImpl>& impl() const { return impl_; }

 private:
  std::shared_ptr<TensorImpl> impl_;
};

// A number as an argument; keeps int64 exact.
class Number {
 public:
  Number(double v) : value_(v) {}
  Number(float v) : value_(double(v)) {}
  Number(int v) : value_(std::int64_t{v}) {}
  Number(std::int64_t v) : value_(v) {}
  AttrValue attr() const {
    if (auto* i = std::get_if<std::int64_t>(&value_)) return *i;
    return std::get<double>(value_);
  }

 private:
  std::variant<std::int64_t, double> value_;
};

// A tensor, or a number that acts as a scalar of the other operand's dtype.
class Operand {
 public:
  Operand(Tensor tensor) : tensor_(std::move(tensor)) {}
  Operand(Number number) : number_(number) {}
  Operand(double v) : number_(v) {}
  Operand(int v) : number_(v) {}
  const Tensor& tensor() const { return tensor_; }  // undefined for a number
  const std::optional<Number>& number() const { return number_; }

 private:
  Tensor tensor_;
  std::optional<Number> number_;
};

// -- making tensors (full, arange, rand, ... are ops: see flame/ops.h)
// Uninitialised.
Tensor empty(const Shape& size, const TensorOptions& options);
Tensor zeros(const Shape& size, const TensorOptions& options);
Tensor ones(const Shape& size, const TensorOptions& options);
// Copies row-major host data; `bytes` must be numel * element size, else ValueError.
Tensor from_host(const void* data, std::size_t bytes, const Shape& size,
                 const TensorOptions& options);
// float, double, int64_t, int32_t or uint8_t values; options.dtype must be T's.
template <class T>
Tensor tensor(std::span<const T> values, const Shape& size, const TensorOptions& options);
// tensor({1, 2, 3}, {3}, device): floats.
Tensor tensor(std::initializer_list<float> values, const Shape& size, const Device& device);

}  // namespace flame
