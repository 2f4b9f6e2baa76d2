// Tensors on the host, for the oracle's side only. The product never sees these.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "lib/core/dtype.h"
#include "lib/core/shape.h"
#include "lib/core/tensor_desc.h"

namespace flame::reference {

// Row-major values, each exactly representable in `dtype` once rounded. int64 values must stay
// below 2^53. An undefined tensor stands for an absent optional one.
struct HostTensor {
  DType dtype = DType::kFloat64;
  Shape shape;
  std::vector<double> values;
  bool defined = true;

  TensorDesc desc() const { return {dtype, shape, defined}; }
};

// The nearest value of `dtype` (ties to even, overflow to infinity), by Eigen's types.
double round_to(DType dtype, double value);
// Storage bytes <-> values. encode rounds. decode throws ValueError when the sizes disagree.
std::vector<std::byte> encode(const HostTensor& tensor);
HostTensor decode(DType dtype, const Shape& shape, std::span<const std::byte> bytes);

}  // namespace flame::reference
