// What the checks put to the test: something that runs an op and its backward on a device. The
// library is one implementation; a fake is a decorator of it; somebody else's kernels can be
// another.
#pragma once
#include <vector>

#include "lib/core/op_def.h"
#include "lib/tensor/tensor.h"

namespace flame::conformance {

// One call of an op, on tensors outside any graph.
struct Call {
  const OpDef* op = nullptr;
  std::vector<Tensor> inputs;  // one per op->inputs; a list parameter takes the rest
  Attrs attrs;                 // completed
  Device device;               // runs ops without tensor inputs
};

// A call that was recorded for backward.
struct Tape {
  Call call;
  std::vector<bool> wants_grad;  // per input: defined, floating, declared differentiable
  std::vector<Tensor> leaves;    // the inputs, leaves that require grad where wants_grad
  std::vector<Tensor> outputs;
};

class Implementation {
 public:
  virtual ~Implementation() = default;
  virtual std::vector<Tensor> forward(const Call& call) = 0;
  virtual Tape record(const Call& call) = 0;
  // One gradient per input; undefined where !wants_grad.
  virtual std::vector<Tensor> backward(const Tape& tape,
                                       const std::vector<Tensor>& grad_outputs) = 0;
};

// flame::apply and flame::grad.
class Library : public Implementation {
 public:
  std::vector<Tensor> forward(const Call& call) override;
  Tape record(const Call& call) override;
  std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grad_outputs) override;
};

// Passes everything on; fakes override what they break.
class Decorator : public Implementation {
 public:
  explicit Decorator(Implementation& inner) : inner_(inner) {}
  std::vector<Tensor> forward(const Call& call) override { return inner_.forward(call); }
  Tape record(const Call& call) override { return inner_.record(call); }
  std::vector<Tensor> backward(const Tape& tape, const std::vector<Tensor>& grad_outputs) override {
    return inner_.backward(tape, grad_outputs);
  }

 protected:
  Implementation& inner() { return inner_; }

 private:
  Implementation& inner_;
};

// The parameter that input i belongs to: a list parameter takes the rest.
const TensorParam& param_of(const OpDef& op, std::size_t i);

}  // namespace flame::conformance
