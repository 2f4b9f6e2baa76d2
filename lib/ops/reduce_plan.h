// How a reduction is laid out over threads and blocks. The other half is kernels/reduce.cuh.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "kernels/params.h"
#include "lib/ops/iteration.h"
#include "lib/tensor/tensor.h"

namespace flame {

// Which dims stay. All of them have the iteration's rank.
using KeptDims = std::vector<bool>;

struct ReducePlan {
  flame_params::Reduction params = {};
  int vector = 1;
  bool plain = false;    // fit for the kernels that take no more than two kept and two reduced dims
  bool at_once = false;  // each lane has as many vectors of a row as it can read at once
  driver::Dim3 grid, block;
  // Of dynamic shared memory, one after the other in the same place.
  unsigned states = 0, ring_bytes = 0;
  std::int64_t partials() const {
    return params.splits > 1 ? params.kept.numel * params.splits : 0;
  }
};

// A reduction of terms over `shape`. Operands broadcast to it; the first decides the layout.
// `vectors`: the op has kernels for 16-byte accesses. `state`: accumulators that its lanes carry.
ReducePlan plan_reduction(const Shape& shape, const KeptDims& kept,
                          std::span<const LoopOperand> operands, bool vectors, int state);

// What reduces: the kernel's file, its Op, and what the Op's terms need.
struct ReduceOp {
  std::string_view file, op;
  flame_params::Numbers numbers = {};
  double divisor = 1;
  bool vectors = false;
  bool at_once = false;    // has kernels for rows that lanes read at once
  int state = 1;           // accumulators that the Op's State has
  void* second = nullptr;  // where the Op's second result goes
  // Another Op that sums the same terms and has a result for each, which has the shape of the terms
  // and goes there.
  std::string_view op_each = {};
  const Tensor* each = nullptr;
};

// out (contiguous, one element for each combination of the kept dims, in order) = the op's
// combination of its terms over the other dims. Gives whether what op.each asks for was made too:
// only where vectors allow it, and it lies as the first operand does.
bool reduce_into(const Tensor& out, const ReduceOp& op, DType dtype, const Shape& shape,
                 const KeptDims& kept, std::initializer_list<LoopOperand> operands);

// Which dims of `shape` a gradient of shape `to` (which broadcasts to it) keeps.
KeptDims kept_by_broadcast(const Shape& to, const Shape& shape);

// An upper bound of the temporary bytes that reduce_into takes for a contiguous first operand.
std::int64_t reduce_workspace(DType dtype, const Shape& shape, const KeptDims& kept, bool vectors,
                              int state = 1);

// gradient summed to `shape`, which broadcasts to the gradient's: in the accumulator type, rounded
// once. The gradient itself where nothing was broadcast.
Tensor sum_to(const Tensor& gradient, const Shape& shape);

}  // namespace flame
