#include "reference/evaluate.h"

#include <cmath>
#include <limits>

#include "reference/host_tensor.h"

namespace flame::reference {

Bound in_range(const Bounded& x, DType dtype) {
  if (std::isfinite(x.v) && is_floating(dtype) &&
      std::isinf(round_to(dtype, static_cast<double>(x.v))))
    return {std::copysign(std::numeric_limits<long double>::infinity(), x.v), 0};
  // Integer arithmetic does not round.
  if (!is_floating(dtype)) return {x.v, 0};
  if (x.t == 0) return {x.v, x.e};
  const DType working = accumulator(dtype);
  return {x.v, x.e + x.t * (denorm_min(working) / unit_roundoff(working))};
}

}  // namespace flame::reference
