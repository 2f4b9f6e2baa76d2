// One op, declared once: everything the product knows about it. Its proof is the Contract of the
// same name in reference/. The manifest (ops.inc) makes a missing half a link error.
#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lib/core/attrs.h"
#include "lib/core/dtype.h"
#include "lib/core/tensor_desc.h"

namespace flame {

class Tensor;
using Tensors = InlineVector<Tensor, 2>;  // as TensorDescs
class OpContext;                          // lib/autograd/op_context.h
class BackwardContext;                    // lib/autograd/op_context.h

// A tensor parameter, under PyTorch's name.
struct TensorParam {
  std::string_view name;
  bool differentiable = true;  // false: index, mask
  bool optional = false;       // may be undefined (None)
  bool list = false;           // takes all tensors from here on (cat's `tensors`); must be last
  bool scalar = false;         // a number may stand here: then it is the attribute `name`
  DTypeSet dtypes = kFloating;
  std::string_view alias = {};  // a second name that files may use ("other" for pow's exponent)
};

// A non-tensor parameter. Without a default it must be given.
struct AttrParam {
  std::string_view name;
  std::optional<AttrValue> default_value = std::nullopt;
};

struct Cost {
  double flops = 0;
  double bytes = 0;  // each logical input read once, each output written once
};

enum class OpKind : unsigned char {
  kCompute,   // launches kernels
  kView,      // returns an alias of its input; launches nothing forward
  kCreation,  // no tensor inputs; runs on the device it is given
};

// inputs[i] belongs to params[i]; an absent optional is an undefined Tensor (desc.defined false).
using InferFn = TensorDescs (*)(std::span<const TensorDesc>, const Attrs&);
using ForwardFn = Tensors (*)(OpContext&, std::span<const Tensor>, const Attrs&);
using BackwardFn = Tensors (*)(BackwardContext&, std::span<const Tensor>, const Attrs&);
using CostFn = Cost (*)(std::span<const TensorDesc>, const Attrs&);
using BytesFn = std::int64_t (*)(std::span<const TensorDesc>, const Attrs&);

struct OpDef {
  std::string_view name;
  OpKind kind = OpKind::kCompute;
  std::vector<TensorParam> inputs;
  std::vector<AttrParam> attrs;
  // Shape and dtype of every output; all argument errors are thrown here, before any launch.
  InferFn infer = nullptr;
  ForwardFn forward = nullptr;
  // Gradient of every input (undefined where !needs_grad(i)) from the gradients of the outputs.
  // nullptr: not differentiable, stated.
  BackwardFn backward = nullptr;
  CostFn cost = nullptr;
  // Globs over kernel expressions that forward and backward may launch, at least one of which must
  // run: "unary_forward<Exp,*>". Views state none for forward.
  std::vector<std::string_view> kernels;
  std::vector<std::string_view> backward_kernels;
  // Upper bound of temporary device bytes beyond inputs and outputs (contiguous inputs).
  BytesFn workspace = nullptr;
  BytesFn backward_workspace = nullptr;
};

// One accessor per manifest line: a missing definition is a link error.
#define FLAME_OP(id, signature) const OpDef& id##_def();
#include "lib/core/ops.inc"
#undef FLAME_OP

// Every op, in manifest order. Defined in lib/ops/manifest.cpp.
std::span<const OpDef* const> all_ops();
// By name. Throws UnknownOpError that suggests the nearest names.
const OpDef& find_op(std::string_view name);

// Attributes completed with their defaults. Throws ValueError for a name the op does not have and
// for one that is missing.
Attrs complete_attrs(const OpDef& op, Attrs given);

// A kernel expression without its spaces: the form in which they are compared everywhere.
std::string normalize_expression(std::string_view expression);

}  // namespace flame
