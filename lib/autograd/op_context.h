// What an op's forward and backward may use. They get no other way to the device.
#pragma once
#include <span>
#include <vector>

#include "lib/core/op_def.h"
#include "lib/tensor/launch.h"
#include "lib/tensor/tensor.h"

namespace flame {

// Whether backward reads all of a tensor that was kept for it, or only parts that values ask for.
enum class Reads : unsigned char { kAll, kParts };

// A tensor kept for backward: an alias outside the graph, and the version it had.
struct SavedTensor {
  Tensor tensor;
  std::int64_t version = 0;
  Reads reads = Reads::kAll;
};
using SavedTensors = InlineVector<SavedTensor, 2>;

// One a tensor, of which most ops have few.
using Flags = InlineVector<bool, 8>;

// Both contexts refer to what they are made of: it must outlive them.
class OpContext {
 public:
  OpContext(const OpDef& op, const Device& device, TensorDescs outputs, const Flags& needs_grad)
      : op_(op), device_(device), outputs_(std::move(outputs)), needs_grad_(needs_grad) {}

  const OpDef& op() const { return op_; }
  const Device& device() const { return device_; }
  const TensorDesc& output(std::size_t i = 0) const { return outputs_[i]; }
  // An uninitialised tensor of output i's shape and dtype.
  Tensor make_output(std::size_t i = 0) const;
  // Uninitialised device memory for the length of the op (or longer, if saved).
  Tensor temporary(const Shape& shape, DType dtype) const;
  // Whether backward will want the gradient of input i; of any input.
  bool needs_grad(std::size_t i) const { return i < needs_grad_.size() && needs_grad_[i]; }
  bool needs_any_grad() const;
  // Keeps a tensor (an input, an output or a temporary) for backward, in call order. What is read
  // in parts counts for nothing where traffic is counted: no rate may claim bytes that stayed put.
  void save(const Tensor& tensor, Reads reads = Reads::kAll);
  SavedTensors take_saved() { return std::move(saved_); }

 private:
  const OpDef& op_;
  const Device& device_;
  TensorDescs outputs_;
  const Flags& needs_grad_;
  SavedTensors saved_;
};

class BackwardContext {
 public:
  BackwardContext(const OpDef& op, const Device& device, std::span<const TensorDesc> inputs,
                  std::span<const TensorDesc> outputs, std::span<const SavedTensor> saved,
                  const Flags& needs_grad, const Flags* may_alias = nullptr)
      : op_(op),
        device_(device),
        inputs_(inputs),
        outputs_(outputs),
        saved_(saved),
        needs_grad_(needs_grad),
        may_alias_(may_alias) {}

  const OpDef& op() const { return op_; }
  const Device& device() const { return device_; }
  // Shape and dtype that forward's input i and output i had.
  const TensorDesc& input(std::size_t i) const { return inputs_[i]; }
  const TensorDesc& output(std::size_t i = 0) const { return outputs_[i]; }
  std::size_t input_count() const { return inputs_.size(); }
  // The i-th saved tensor. Throws VersionError when it was changed in place since.
  const Tensor& saved(std::size_t i) const;
  std::size_t saved_count() const { return saved_.size(); }
  bool needs_grad(std::size_t i) const { return i < needs_grad_.size() && needs_grad_[i]; }
  // Whether gradient i may be a gradient that came, or a view of it, where that is what it is: it
  // flows on, and what flows is never changed. Elsewhere the engine would have to copy it.
  bool may_alias(std::size_t i) const {
    return may_alias_ && i < may_alias_->size() && (*may_alias_)[i];
  }
  Tensor temporary(const Shape& shape, DType dtype) const;
  // An uninitialised gradient for input i: its shape and dtype.
  Tensor make_gradient(std::size_t i) const;

 private:
  const OpDef& op_;
  const Device& device_;
  std::span<const TensorDesc> inputs_, outputs_;
  std::span<const SavedTensor> saved_;
  const Flags& needs_grad_;
  const Flags* may_alias_;
};

}  // namespace flame
