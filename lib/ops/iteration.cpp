#include "lib/ops/iteration.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numeric>

#include "lib/core/error.h"

namespace flame {
namespace {

constexpr unsigned kThreads = 256;  // dev::kThreads of kernels/elementwise.cuh
constexpr std::int64_t kAccess = 16;

struct Dim {
  std::int64_t size;
  std::vector<std::int64_t> strides;  // one an operand
};

// Whether `outer` continues `inner` for every operand.
bool merges(const Dim& outer, const Dim& inner) {
  for (std::size_t k = 0; k < inner.strides.size(); ++k)
    if (outer.strides[k] != inner.strides[k] * inner.size) return false;
  return true;
}

// Drops dims of size 1, orders the rest by operand 0's strides (an elementwise op may go in any
// order, and writing in memory order is best), merges neighbours. Never empty.
std::vector<Dim> merged_dims(const Shape& shape, const std::vector<Strides>& strides) {
  std::vector<Dim> dims;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    Dim dim{shape[d], {}};
    for (const Strides& s : strides) dim.strides.push_back(s[d]);
    dims.push_back(std::move(dim));
  }
  std::stable_sort(dims.begin(), dims.end(),
                   [](const Dim& a, const Dim& b) { return a.strides[0] > b.strides[0]; });
  std::vector<Dim> out;
  for (Dim& dim : dims) {
    if (!out.empty() && merges(out.back(), dim)) {
      dim.size *= out.back().size;
      out.back() = std::move(dim);
    } else {
      out.push_back(std::move(dim));
    }
  }
  if (out.empty()) out.push_back({1, std::vector<std::int64_t>(strides.size(), 0)});
  return out;
}

bool allows_vectors(const std::vector<Dim>& dims, std::span<const LoopOperand> operands,
                    std::int64_t width) {
  const Dim& inner = dims.back();
  if (inner.size < width || (dims.size() > 1 && inner.size % width != 0)) return false;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    const Tensor& t = operands[k].tensor();
    if (!t.defined() || inner.strides[k] == 0) continue;
    const std::int64_t bytes = width * static_cast<std::int64_t>(size_of(t.dtype()));
    if (inner.strides[k] != 1 || reinterpret_cast<std::uintptr_t>(t.data()) % bytes != 0)
      return false;
    for (std::size_t d = 0; d + 1 < dims.size(); ++d)
      if (dims[d].strides[k] % width != 0) return false;
  }
  return true;
}

}  // namespace

Strides broadcast_strides(const Tensor& tensor, const Shape& shape) {
  Strides out(shape.size(), 0);
  const std::size_t lead = shape.size() - tensor.shape().size();
  for (std::size_t d = 0; d < tensor.shape().size(); ++d)
    if (tensor.shape()[d] != 1) out[lead + d] = tensor.strides()[d];
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

Loop make_loop(const Shape& shape, std::initializer_list<LoopOperand> operands) {
  Loop loop;
  loop.extent.numel = numel(shape);
  std::vector<Strides> strides;
  std::size_t widest = 1;
  for (const LoopOperand& operand : operands) {
    const Tensor& t = operand.tensor();
    strides.push_back(t.defined() ? broadcast_strides(t, shape) : Strides(shape.size(), 0));
    if (t.defined()) widest = std::max(widest, size_of(t.dtype()));
  }
  std::vector<Dim> dims = merged_dims(shape, strides);
  const std::int64_t width = kAccess / static_cast<std::int64_t>(widest);
  if (width > 1 && allows_vectors(dims, std::span(operands.begin(), operands.size()), width)) {
    loop.vector = static_cast<int>(width);
    dims.back().size = ceil_div(dims.back().size, width);
    for (std::int64_t& stride : dims.back().strides) stride *= width;
  }
  loop.extent.rank = static_cast<int>(dims.size());
  for (std::size_t d = 0; d < dims.size(); ++d) loop.extent.size[d] = dims[d].size;
  set_divisors(loop.extent);
  std::size_t k = 0;
  for (const LoopOperand& operand : operands) {
    flame_params::Strided s = {};
    if (operand.tensor().defined()) s.data = operand.tensor().data();
    s.scalar = operand.number();
    for (std::size_t d = 0; d < dims.size(); ++d) s.stride[d] = dims[d].strides[k];
    loop.operands.push_back(s);
    ++k;
  }
  return loop;
}

driver::Dim3 Loop::grid(unsigned unroll) const {
  const std::int64_t per_block = std::int64_t{kThreads} * unroll * vector;
  return {static_cast<unsigned>(ceil_div(extent.numel, per_block))};
}

driver::Dim3 Loop::block() const { return {kThreads}; }

}  // namespace flame
