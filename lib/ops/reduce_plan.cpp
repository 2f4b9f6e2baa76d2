#include "lib/ops/reduce_plan.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "lib/core/error.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

constexpr std::int64_t kThreads = 256;  // dev::kThreads of kernels/elementwise.cuh
constexpr std::int64_t kWarp = 32;
constexpr std::int64_t kTargetBlocks =
    1024;                                   // fill any GPU; fixed, so that sums are the same on all
constexpr std::int64_t kStepsPerLane = 8;   // below this a split is not worth a second kernel
constexpr std::int64_t kMaxSplits = 65535;  // of gridDim.y

struct Dim {
  std::int64_t size;
  std::vector<std::int64_t> strides;
};

std::int64_t power_of_two(std::int64_t n) {
  return static_cast<std::int64_t>(
      std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1))));
}

// Merges neighbours that continue each other for every operand. Never empty.
std::vector<Dim> merge(std::vector<Dim> dims, std::size_t operands) {
  std::vector<Dim> out;
  for (Dim& dim : dims) {
    const bool joins = !out.empty() && std::equal(dim.strides.begin(), dim.strides.end(),
                                                  out.back().strides.begin(),
                                                  [&](std::int64_t inner, std::int64_t outer) {
                                                    return outer == inner * dim.size;
                                                  });
    if (joins) {
      dim.size *= out.back().size;
      out.back() = std::move(dim);
    } else {
      out.push_back(std::move(dim));
    }
  }
  if (out.empty()) out.push_back({1, std::vector<std::int64_t>(operands, 0)});
  return out;
}

struct Geometry {
  std::vector<Dim> kept, reduced;
  std::int64_t outputs = 1, elements = 1;  // elements: of one output
};

Geometry gather(const Shape& shape, const KeptDims& kept, const std::vector<Strides>& strides) {
  Geometry g;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    (kept[d] ? g.outputs : g.elements) *= shape[d];
    if (shape[d] == 1) continue;
    Dim dim{shape[d], {}};
    for (const Strides& s : strides) dim.strides.push_back(s[d]);
    (kept[d] ? g.kept : g.reduced).push_back(std::move(dim));
  }
  // The order of the kept dims is the output's; that of the reduced ones is free.
  std::stable_sort(g.reduced.begin(), g.reduced.end(),
                   [](const Dim& a, const Dim& b) { return a.strides[0] > b.strides[0]; });
  g.kept = merge(std::move(g.kept), strides.size());
  g.reduced = merge(std::move(g.reduced), strides.size());
  return g;
}

// Whether the first operand is contiguous along a kept dim rather than along a reduced one.
bool prefers_columns(const Geometry& g) {
  auto step = [](const Dim& dim) {
    return dim.size > 1 && dim.strides[0] > 0 ? dim.strides[0] : INT64_MAX;
  };
  return g.outputs > 1 && step(g.kept.back()) < step(g.reduced.back());
}

// Turns the innermost dim of `inner` into vectors, where sizes, strides and address allow.
bool vectorize(std::vector<Dim>& inner, const std::vector<Dim>& other, std::int64_t width,
               std::uintptr_t address, std::int64_t bytes) {
  Dim& last = inner.back();
  if (last.strides[0] != 1 || last.size < width || address % static_cast<std::uintptr_t>(bytes))
    return false;
  if (inner.size() > 1 && last.size % width != 0) return false;
  auto odd = [&](const Dim& dim) { return dim.strides[0] % width != 0; };
  if (std::any_of(inner.begin(), inner.end() - 1, odd) ||
      std::any_of(other.begin(), other.end(), odd))
    return false;
  last.size = ceil_div(last.size, width);
  last.strides[0] = width;
  return true;
}

flame_params::Extent extent_of(const std::vector<Dim>& dims, std::int64_t n) {
  flame_params::Extent e = {};
  e.numel = n;
  e.rank = static_cast<int>(dims.size());
  for (std::size_t d = 0; d < dims.size(); ++d) {
    e.size[d] = dims[d].size;
    e.inverse[d] = 1.0 / static_cast<double>(dims[d].size);
  }
  return e;
}

// Lanes and groups of a block, and how many splits share an output.
void lay_out(ReducePlan& plan) {
  auto& p = plan.params;
  const bool columns = p.columns != 0;
  const std::int64_t steps = columns ? p.reduced.numel : ceil_div(p.reduced.numel, plan.vector);
  const std::int64_t groups_wanted = columns ? ceil_div(p.kept.numel, plan.vector) : p.kept.numel;
  std::int64_t lanes, groups;
  if (columns) {
    groups = std::min(kWarp, power_of_two(groups_wanted));
    lanes = std::min(kThreads / groups, power_of_two(steps));
    groups = std::min(kThreads / lanes, power_of_two(groups_wanted));
  } else {
    lanes =
        steps <= kWarp ? power_of_two(steps) : std::clamp(power_of_two(steps / 4), kWarp, kThreads);
    groups = std::min(kThreads / lanes, power_of_two(groups_wanted));
  }
  const std::int64_t blocks = ceil_div(groups_wanted, groups);
  std::int64_t splits = 1;
  if (blocks < kTargetBlocks / 2)
    splits = std::clamp(std::min(kTargetBlocks / blocks, steps / (lanes * kStepsPerLane)),
                        std::int64_t{1}, kMaxSplits);
  p.chunk = std::max<std::int64_t>(ceil_div(steps, splits), 1);
  p.splits = static_cast<int>(std::max<std::int64_t>(ceil_div(steps, p.chunk), 1));
  plan.grid = {static_cast<unsigned>(blocks), static_cast<unsigned>(p.splits)};
  plan.block = {static_cast<unsigned>(columns ? groups : lanes),
                static_cast<unsigned>(columns ? lanes : groups)};
  plan.accumulators = static_cast<unsigned>(lanes * groups * (columns ? plan.vector : 1));
}

// The plan from strides alone; `tensors` and `address` are filled in by plan_reduction.
ReducePlan plan_strides(const Shape& shape, const KeptDims& kept,
                        const std::vector<Strides>& strides, std::int64_t width,
                        std::uintptr_t address, std::int64_t access_bytes) {
  Geometry g = gather(shape, kept, strides);
  ReducePlan plan;
  const bool columns = prefers_columns(g);
  plan.params.columns = columns;
  auto& inner = columns ? g.kept : g.reduced;
  if (width > 1 && strides.size() == 1 &&
      vectorize(inner, columns ? g.reduced : g.kept, width, address, access_bytes))
    plan.vector = static_cast<int>(width);
  plan.params.kept = extent_of(g.kept, g.outputs);
  plan.params.reduced = extent_of(g.reduced, g.elements);
  for (std::size_t k = 0; k < strides.size(); ++k) {
    for (std::size_t d = 0; d < g.kept.size(); ++d)
      plan.params.in[k].kept[d] = g.kept[d].strides[k];
    for (std::size_t d = 0; d < g.reduced.size(); ++d)
      plan.params.in[k].reduced[d] = g.reduced[d].strides[k];
  }
  lay_out(plan);
  return plan;
}

std::int64_t vector_width(DType dtype) { return 16 / static_cast<std::int64_t>(size_of(dtype)); }

}  // namespace

ReducePlan plan_reduction(const Shape& shape, const KeptDims& kept,
                          std::span<const LoopOperand> operands, bool vectors) {
  std::vector<Strides> strides;
  for (const LoopOperand& operand : operands)
    strides.push_back(operand.tensor().defined() ? broadcast_strides(operand.tensor(), shape)
                                                 : Strides(shape.size(), 0));
  const Tensor& first = operands[0].tensor();
  ReducePlan plan = plan_strides(shape, kept, strides, vectors ? vector_width(first.dtype()) : 1,
                                 reinterpret_cast<std::uintptr_t>(first.data()), 16);
  for (std::size_t k = 0; k < operands.size(); ++k) {
    plan.params.in[k].data = operands[k].tensor().defined() ? operands[k].tensor().data() : nullptr;
    plan.params.in[k].scalar = operands[k].number();
  }
  return plan;
}

void reduce_into(const Tensor& out, const ReduceOp& op, DType dtype, const Shape& shape,
                 const KeptDims& kept, std::initializer_list<LoopOperand> operands) {
  if (out.numel() == 0) return;
  ReducePlan plan =
      plan_reduction(shape, kept, std::span(operands.begin(), operands.size()), op.vectors);
  plan.params.numbers = op.numbers;
  plan.params.divisor = op.divisor;
  const DType acc = accumulator(dtype);
  Tensor partial;
  void* partial_data = nullptr;
  if (plan.partials() > 0) {
    partial = make_tensor(out.device(), {plan.partials()}, acc, "temporary");
    partial_data = partial.data();
  }
  const std::string file(op.file);
  launch(out.device(), {file, expression("reduce", op.op, dtype, plan.vector)}, plan.grid,
         plan.block, plan.accumulators * static_cast<unsigned>(size_of(acc)), plan.params,
         out.data(), partial_data);
  if (plan.partials() == 0) return;
  constexpr unsigned kRows = kThreads / kWarp;
  launch(out.device(), {file, expression("reduce_finish", op.op, dtype)},
         {static_cast<unsigned>(ceil_div(out.numel(), kRows))}, {kWarp, kRows}, 0, partial_data,
         out.data(), static_cast<long long>(out.numel()), plan.params.splits, op.divisor);
}

KeptDims kept_by_broadcast(const Shape& to, const Shape& shape) {
  KeptDims kept(shape.size(), false);
  const std::size_t lead = shape.size() - to.size();
  for (std::size_t d = 0; d < to.size(); ++d) kept[lead + d] = to[d] == shape[lead + d];
  return kept;
}

std::int64_t reduce_workspace(DType dtype, const Shape& shape, const KeptDims& kept, bool vectors) {
  if (numel(shape) == 0) return 0;
  const std::int64_t unit = static_cast<std::int64_t>(size_of(accumulator(dtype)));
  const auto bytes = [&](std::int64_t width) {
    return plan_strides(shape, kept, {contiguous_strides(shape)}, width, 0, 16).partials() * unit;
  };
  return vectors ? std::max(bytes(1), bytes(vector_width(dtype))) : bytes(1);
}

Tensor sum_to(const Tensor& gradient, const Shape& shape) {
  if (gradient.shape() == shape) return gradient;
  Tensor out = make_tensor(gradient.device(), shape, gradient.dtype(), "gradient");
  reduce_into(out, {.file = "reduce.cu", .op = "Sum", .vectors = true}, gradient.dtype(),
              gradient.shape(), kept_by_broadcast(shape, gradient.shape()), {gradient});
  return out;
}

}  // namespace flame
