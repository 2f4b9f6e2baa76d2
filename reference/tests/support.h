// What the oracle's tests share.
#pragma once
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "reference/contract.h"

namespace flame::reference::test {

inline std::string label(const Contract& c, const Case& k) {
  return std::string(c.op) + "/" + k.name;
}

// Normal gradients for outputs of these shapes, rounded to `dtype`.
inline std::vector<HostTensor> signed_gradients(const std::vector<BoundTensor>& outputs,
                                                DType dtype, std::uint64_t seed) {
  std::vector<InputSpec> specs;
  for (const BoundTensor& t : outputs) specs.push_back({t.shape, Domain::kNormal});
  return draw_inputs(specs, dtype, seed);
}

// Directions of +-1 and +-1/2: adding a power of two times them to a double rounds little.
inline std::vector<HostTensor> directions(const std::vector<HostTensor>& inputs,
                                          std::uint64_t seed) {
  std::vector<InputSpec> specs;
  for (const HostTensor& t : inputs)
    specs.push_back({.shape = t.shape,
                     .domain = Domain::kExplicit,
                     .values = {1, -0.5, -1, 0.5, 1, 1, -0.5},
                     .defined = t.defined && is_floating(t.dtype)});
  auto out = draw_inputs(specs, DType::kFloat64, seed);
  for (HostTensor& t : out)  // not the same direction for every input
    for (std::size_t i = 0; i < t.values.size(); ++i)
      if ((seed ^ i * 2654435761u) >> 7 & 1) t.values[i] = -t.values[i];
  return out;
}

inline DType first_dtype(const Case& c, std::initializer_list<DType> order) {
  for (DType t : order)
    if (c.dtypes.has(t)) return t;
  return DType::kFloat32;
}

}  // namespace flame::reference::test
