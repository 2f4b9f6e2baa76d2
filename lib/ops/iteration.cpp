#include "lib/ops/iteration.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>

#include "lib/core/error.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

constexpr unsigned kThreads = 256;  // dev::kThreads of kernels/elementwise.cuh
constexpr std::int64_t kAccess = 16;

struct Dim {
  std::int64_t size;
  std::array<std::int64_t, kMaxOperands> strides;  // one an operand; 0 where there is none
};

// Everything here runs once a launch: no heap, so that a small op costs little.
struct Dims {
  std::array<Dim, kMaxDims> dim;  // the first `count` are set
  std::size_t count = 0;

  Dim& add(std::int64_t size) { return dim[count++] = {size, {}}; }
  Dim& back() { return dim[count - 1]; }
  const Dim& back() const { return dim[count - 1]; }
  std::span<Dim> all() { return {dim.data(), count}; }
};

// The stride of a tensor along dim d of a `rank`-dim iteration: 0 where it has one element for
// many.
std::int64_t broadcast_stride(const Tensor& t, std::size_t d, std::size_t rank) {
  const std::size_t lead = rank - t.shape().size();
  return d < lead || t.shape()[d - lead] == 1 ? 0 : t.strides()[d - lead];
}

// Whether `outer` continues `inner` for every operand.
bool merges(const Dim& outer, const Dim& inner) {
  for (std::size_t k = 0; k < kMaxOperands; ++k)
    if (outer.strides[k] != inner.strides[k] * inner.size) return false;
  return true;
}

// Drops dims of size 1, orders the rest by operand 0's strides (an elementwise op may go in any
// order, and writing in memory order is best), merges neighbours. Never empty.
Dims merged_dims(const Shape& shape, std::span<const LoopOperand> operands) {
  Dims dims;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    Dim& dim = dims.add(shape[d]);
    for (std::size_t k = 0; k < operands.size(); ++k)
      if (const Tensor& t = operands[k].tensor(); t.defined())
        dim.strides[k] = broadcast_stride(t, d, shape.size());
  }
  const auto outermost_first = [](const Dim& a, const Dim& b) {
    return a.strides[0] > b.strides[0];
  };
  if (!std::ranges::is_sorted(dims.all(), outermost_first))
    std::ranges::stable_sort(dims.all(), outermost_first);
  const std::size_t all = std::exchange(dims.count, 0);
  for (std::size_t d = 0; d < all; ++d) {
    Dim dim = dims.dim[d];
    if (dims.count > 0 && merges(dims.back(), dim)) {
      dim.size *= dims.back().size;
      dims.back() = dim;
    } else {
      dims.dim[dims.count++] = dim;
    }
  }
  if (dims.count == 0) dims.add(1);
  return dims;
}

bool is_aligned(const Tensor& t, std::int64_t width) {
  const std::int64_t bytes =
      std::min(kAccess, width * static_cast<std::int64_t>(size_of(t.dtype())));
  return reinterpret_cast<std::uintptr_t>(t.data()) % bytes == 0;
}

bool allows_vectors(const Dims& dims, std::span<const LoopOperand> operands, std::int64_t width) {
  const Dim& inner = dims.back();
  if (inner.size < width || (dims.count > 1 && inner.size % width != 0)) return false;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    const Tensor& t = operands[k].tensor();
    if (!t.defined() || inner.strides[k] == 0) continue;
    if (inner.strides[k] != 1 || !is_aligned(t, width)) return false;
    for (std::size_t d = 0; d + 1 < dims.count; ++d)
      if (dims.dim[d].strides[k] % width != 0) return false;
  }
  return true;
}

// Makes three dims of fewer, where 31 bits hold where every vector begins in every operand: the
// kernels find these without a loop. Gives whether it did.
bool make_rows(Dims& dims, std::size_t operands) {
  if (dims.count > 3) return false;
  constexpr std::int64_t kFits = std::int64_t{1} << 31;
  std::int64_t vectors = 1;
  for (const Dim& dim : dims.all()) vectors *= dim.size;
  if (vectors > kFits) return false;
  for (std::size_t k = 0; k < operands; ++k) {
    std::int64_t last = 0;
    for (const Dim& dim : dims.all()) last += (dim.size - 1) * dim.strides[k];
    if (last >= kFits) return false;
  }
  while (dims.count < 3) {
    dims.add(1);
    std::rotate(dims.dim.begin(), dims.dim.begin() + dims.count - 1, dims.dim.begin() + dims.count);
  }
  return true;
}

// Whether every tensor is contiguous and has the iteration's shape.
bool all_lie_alike(const Shape& shape, std::span<const LoopOperand> operands) {
  return std::ranges::all_of(operands, [&](const LoopOperand& operand) {
    const TensorImpl* const t = operand.tensor().impl().get();
    return !t || (t->contiguous && t->shape == shape);
  });
}

// What lay_out would find, without a look at any dim: most ops are of this kind.
void lay_flat(Loop& loop, std::span<const LoopOperand> operands, std::int64_t width) {
  const bool vectors = width > 1 && loop.extent.numel >= width &&
                       std::ranges::all_of(operands, [&](const LoopOperand& operand) {
                         return !operand.tensor().defined() || is_aligned(operand.tensor(), width);
                       });
  if (vectors) loop.vector = static_cast<int>(width);
  loop.extent.flat = loop.extent.rank = 1;
  loop.extent.size[0] = ceil_div(loop.extent.numel, loop.vector);
  for (std::size_t k = 0; k < operands.size(); ++k)
    if (operands[k].tensor().defined()) loop.operands[k].stride[0] = loop.vector;
}

// Whether there is one dim, and every operand lies along it.
bool is_flat(const Dims& dims, std::span<const LoopOperand> operands, std::int64_t vector) {
  if (dims.count != 1) return false;
  for (std::size_t k = 0; k < operands.size(); ++k)
    if (operands[k].tensor().defined() && dims.back().strides[k] != vector) return false;
  return true;
}

void lay_out(Loop& loop, const Shape& shape, std::span<const LoopOperand> operands,
             std::int64_t width) {
  Dims dims = merged_dims(shape, operands);
  if (width > 1 && allows_vectors(dims, operands, width)) {
    loop.vector = static_cast<int>(width);
    dims.back().size = ceil_div(dims.back().size, width);
    for (std::int64_t& stride : dims.back().strides) stride *= width;
  }
  loop.extent.flat = is_flat(dims, operands, loop.vector);
  loop.extent.rows = !loop.extent.flat && make_rows(dims, operands.size());
  loop.extent.rank = static_cast<int>(dims.count);
  for (std::size_t d = 0; d < dims.count; ++d) loop.extent.size[d] = dims.dim[d].size;
  set_divisors(loop.extent);
  for (std::size_t k = 0; k < operands.size(); ++k)
    for (std::size_t d = 0; d < dims.count; ++d)
      loop.operands[k].stride[d] = dims.dim[d].strides[k];
}

}  // namespace

Strides broadcast_strides(const Tensor& tensor, const Shape& shape) {
  Strides out(shape.size());
  for (std::size_t d = 0; d < out.size(); ++d) out[d] = broadcast_stride(tensor, d, out.size());
  return out;
}

// Granlund & Montgomery 1994: with 2^s >= size and factor = ceil(2^(31 + s) / size), the product is
// above index / size * 2^(31 + s) by less than index < 2^31, so by less than 1 / size in the
// quotient, and the floor is exact.
Divisor divisor_of(std::int64_t size) {
  const auto n = static_cast<std::uint64_t>(size);
  const int shift = 31 + static_cast<int>(std::bit_width(n - 1));
  return {static_cast<unsigned>(((std::uint64_t{1} << shift) + n - 1) / n), shift};
}

void set_divisors(flame_params::Extent& extent) {
  double indices = 1;
  for (int d = 0; d < extent.rank; ++d) indices *= static_cast<double>(extent.size[d]);
  for (int d = 0; d < extent.rank; ++d) {
    extent.inverse[d] = 1.0 / static_cast<double>(extent.size[d]);
    const bool fits = indices <= 0x1p31 && extent.size[d] > 0;
    const Divisor divisor = fits ? divisor_of(extent.size[d]) : Divisor{};
    extent.factor[d] = divisor.factor;
    extent.shift[d] = divisor.shift;
  }
}

Loop make_loop(const Shape& shape, std::initializer_list<LoopOperand> given, std::size_t element) {
  const std::span<const LoopOperand> operands(given.begin(), given.size());
  check<ValueError>(operands.size() <= kMaxOperands, "make_loop: ", operands.size(),
                    " operands are more than ", kMaxOperands);
  Loop loop;
  loop.extent.numel = numel(shape);
  std::size_t widest = std::max<std::size_t>(element, 1);
  for (const LoopOperand& operand : operands)
    if (element == 0 && operand.tensor().defined())
      widest = std::max(widest, size_of(operand.tensor().dtype()));
  const std::int64_t width = kAccess / static_cast<std::int64_t>(widest);
  if (all_lie_alike(shape, operands))
    lay_flat(loop, operands, width);
  else
    lay_out(loop, shape, operands, width);
  for (std::size_t k = 0; k < operands.size(); ++k) {
    if (operands[k].tensor().defined()) loop.operands[k].data = operands[k].tensor().data();
    loop.operands[k].scalar = operands[k].number();
  }
  return loop;
}

driver::Dim3 Loop::grid(unsigned unroll) const {
  const std::int64_t per_block = std::int64_t{kThreads} * unroll * vector;
  return {static_cast<unsigned>(ceil_div(extent.numel, per_block))};
}

driver::Dim3 Loop::block() const { return {kThreads}; }

}  // namespace flame
