// What is known of a tensor before any device is involved.
#pragma once
#include "lib/core/dtype.h"
#include "lib/core/shape.h"

namespace flame {

struct TensorDesc {
  DType dtype = DType::kFloat32;
  Shape shape;
  bool defined = true;  // false: an optional tensor left out, or a number in its place

  bool operator==(const TensorDesc&) const = default;
};

// Of an op's inputs or outputs: most have no more.
using TensorDescs = InlineVector<TensorDesc, 2>;

}  // namespace flame
