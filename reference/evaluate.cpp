#include "reference/evaluate.h"

#include <limits>

#include "reference/host_tensor.h"

namespace flame::reference {

Bound in_range(const Bounded& x, DType dtype) {
  if (std::isfinite(x.v) && is_floating(dtype) &&
      std::isinf(round_to(dtype, static_cast<double>(x.v))))
    return {std::copysign(std::numeric_limits<long double>::infinity(), x.v), 0};
  return {x.v, x.e};
}

}  // namespace flame::reference
