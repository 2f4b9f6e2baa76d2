#include "lib/ops/reduce_plan.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "lib/core/error.h"
#include "lib/tensor/runtime.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

constexpr std::int64_t kThreads = 256;  // dev::kThreads of kernels/elementwise.cuh
constexpr std::int64_t kAccess = 16;
constexpr std::int64_t kWarp = 32;
// Fill any GPU; fixed, so that sums are the same on all.
constexpr std::int64_t kTargetBlocks = 256;
static_assert(kTargetBlocks <= Runtime::kTickets, "blocks with splits have a ticket each");
constexpr std::int64_t kInFlight = 4;       // dev::kInFlight of kernels/reduce_op.cuh
constexpr std::int64_t kRing = 8;           // dev::kRing
constexpr std::int64_t kStepsPerLane = 8;   // below this a split is not worth its partial result
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

// Where an operand lies, for the accesses that this allows. Null: a number.
struct Place {
  std::uintptr_t address = 0;
  std::int64_t element_bytes = 1;
};

// Turns the innermost dim of `inner` into vectors, where sizes, strides and addresses allow: what
// is read at every step is contiguous there; the third operand, of one element an output, may also
// be the same for all. Only one long row may end in an incomplete vector.
bool vectorize(std::vector<Dim>& inner, const std::vector<Dim>& other, bool columns,
               std::int64_t width, const std::vector<Place>& places) {
  Dim& last = inner.back();
  if (last.strides[0] != 1 || last.size < width) return false;
  if ((columns || inner.size() > 1) && last.size % width != 0) return false;
  for (std::size_t k = 0; k < places.size(); ++k) {
    if (k == 2 && last.strides[k] == 0) continue;
    const auto access = static_cast<std::uintptr_t>(width * places[k].element_bytes);
    auto odd = [&](const Dim& dim) { return dim.strides[k] % width != 0; };
    if (last.strides[k] != 1 || places[k].address % access != 0 ||
        std::any_of(inner.begin(), inner.end() - 1, odd) ||
        std::any_of(other.begin(), other.end(), odd))
      return false;
  }
  last.size = ceil_div(last.size, width);
  for (std::int64_t& stride : last.strides) stride *= width;
  return true;
}

// Whether the kernels for two dims can take these: see kernels/reduce_walk.cuh.
bool is_plain(const std::vector<Dim>& dims, std::int64_t n) {
  return dims.size() == 1 || (dims.size() == 2 && n <= std::int64_t{1} << 31);
}

// As those kernels want them: a dim of one step before an only one; the outer dim's strides are
// what its steps add to the inner one's.
void make_plain(std::vector<Dim>& dims) {
  if (dims.size() == 1) dims.insert(dims.begin(), {1, Strides(dims[0].strides.size(), 0)});
  for (std::size_t k = 0; k < dims[0].strides.size(); ++k)
    dims[0].strides[k] -= dims[1].size * dims[1].strides[k];
}

flame_params::Extent extent_of(const std::vector<Dim>& dims, std::int64_t n) {
  flame_params::Extent e = {};
  e.numel = n;
  e.rank = static_cast<int>(dims.size());
  for (std::size_t d = 0; d < dims.size(); ++d) e.size[d] = dims[d].size;
  set_divisors(e);
  if (dims[0].size == 1) e.factor[1] = 0;  // all steps are in the inner dim, however many
  return e;
}

// Lanes and groups of a block of rows: whole warps, and enough steps for a lane to fill its ring;
// several times over where what lanes carry takes long to combine. Two lanes or more, if there are
// two steps: what one access brings in is 32 bytes.
void lay_out_rows(std::int64_t steps, std::int64_t outputs, std::int64_t rings, std::int64_t& lanes,
                  std::int64_t& groups) {
  if (steps <= kWarp * kInFlight)
    lanes = std::clamp(power_of_two(ceil_div(steps, kInFlight)),
                       std::min<std::int64_t>(2, power_of_two(steps)), kWarp);
  else
    lanes = std::clamp(power_of_two(steps / (kRing * rings)), kWarp, kThreads);
  groups =
      std::clamp(power_of_two(outputs), std::max<std::int64_t>(kWarp / lanes, 1), kThreads / lanes);
}

// Groups of vectors read 256 bytes side by side, or 128 where that makes enough blocks.
void lay_out_columns(std::int64_t steps, std::int64_t outputs, bool vectors, std::int64_t& lanes,
                     std::int64_t& groups) {
  const bool narrow = outputs >= kWarp / 4 * kTargetBlocks;
  groups = std::min(vectors ? kWarp / (narrow ? 4 : 2) : kWarp, power_of_two(outputs));
  lanes = std::min(kThreads / groups, power_of_two(ceil_div(steps, kInFlight)));
  groups = std::min(kThreads / lanes, power_of_two(outputs));
}

// Lanes and groups of a block, and how many splits share an output.
void lay_out(ReducePlan& plan, int state) {
  auto& p = plan.params;
  const bool columns = p.columns != 0;
  const std::int64_t steps = columns ? p.reduced.numel : ceil_div(p.reduced.numel, plan.vector);
  const std::int64_t groups_wanted = columns ? ceil_div(p.kept.numel, plan.vector) : p.kept.numel;
  std::int64_t lanes = 1, groups = 1;
  if (columns)
    lay_out_columns(steps, groups_wanted, plan.vector > 1, lanes, groups);
  else
    lay_out_rows(steps, groups_wanted, state > 1 ? 4 : plan.vector > 4 ? 2 : 1, lanes, groups);
  const std::int64_t blocks = ceil_div(groups_wanted, groups);
  const std::int64_t wanted = (kTargetBlocks + blocks / 2) / blocks;
  const std::int64_t splits =
      std::clamp(std::min(wanted, steps / (lanes * kStepsPerLane)), std::int64_t{1}, kMaxSplits);
  p.splits = static_cast<int>(splits);
  plan.grid = {static_cast<unsigned>(blocks), static_cast<unsigned>(p.splits)};
  plan.block = {static_cast<unsigned>(columns ? groups : lanes),
                static_cast<unsigned>(columns ? lanes : groups)};
  plan.states = static_cast<unsigned>(columns         ? lanes * groups * plan.vector
                                      : lanes > kWarp ? lanes * groups / kWarp
                                                      : 0);
  // The vectors that threads have under way; kernels that read narrower ones use none of it.
  if (plan.vector > 1) plan.ring_bytes = static_cast<unsigned>(lanes * groups * kRing * kAccess);
}

// The plan from strides alone; `tensors` and `address` are filled in by plan_reduction.
ReducePlan plan_strides(const Shape& shape, const KeptDims& kept,
                        const std::vector<Strides>& strides, std::int64_t width,
                        const std::vector<Place>& places, int state) {
  Geometry g = gather(shape, kept, strides);
  ReducePlan plan;
  const bool columns = prefers_columns(g);
  plan.params.columns = columns;
  plan.plain = is_plain(g.kept, g.outputs) && is_plain(g.reduced, g.elements);
  auto& inner = columns ? g.kept : g.reduced;
  if (width > 1 && plan.plain &&
      vectorize(inner, columns ? g.reduced : g.kept, columns, width, places))
    plan.vector = static_cast<int>(width);
  if (plan.plain) {
    make_plain(g.kept);
    make_plain(g.reduced);
  }
  plan.params.kept = extent_of(g.kept, g.outputs);
  plan.params.reduced = extent_of(g.reduced, g.elements);
  for (std::size_t k = 0; k < strides.size(); ++k) {
    for (std::size_t d = 0; d < g.kept.size(); ++d)
      plan.params.in[k].kept[d] = g.kept[d].strides[k];
    for (std::size_t d = 0; d < g.reduced.size(); ++d)
      plan.params.in[k].reduced[d] = g.reduced[d].strides[k];
  }
  lay_out(plan, state);
  return plan;
}

// Whether `t` can be written wherever `like` is read, by the same accesses.
bool lies_as(const Tensor& t, const Tensor& like, const Shape& shape) {
  return t.shape() == shape && like.shape() == shape && t.strides() == like.strides() &&
         reinterpret_cast<std::uintptr_t>(t.data()) % kAccess == 0;
}

// Lays out anew rows that lanes can read at once: for whoever has many of them it is 1 to 2 us
// faster than the ring, which has to fill and to drain for every block (H200).
void read_at_once(ReducePlan& plan, DType dtype) {
  auto& p = plan.params;
  const std::int64_t each = size_of(dtype) == 2 ? 4 : 8;  // dev::at_once of kernels/reduce_op.cuh
  const std::int64_t steps = p.reduced.numel / plan.vector, lanes = steps / each;
  const bool whole = p.reduced.numel == steps * plan.vector && steps == lanes * each;
  if (!plan.plain || plan.vector == 1 || p.columns || !whole || lanes < kWarp || lanes > kThreads ||
      !std::has_single_bit(static_cast<std::uint64_t>(lanes)))
    return;
  plan.at_once = true;
  p.splits = 1;
  const std::int64_t groups = kThreads / lanes;
  plan.grid = {static_cast<unsigned>(ceil_div(p.kept.numel, groups))};
  plan.block = {static_cast<unsigned>(lanes), static_cast<unsigned>(groups)};
  plan.states = lanes > kWarp ? static_cast<unsigned>(kThreads / kWarp) : 0;
  plan.ring_bytes = 0;
}

std::string_view kernel_of(const ReducePlan& plan) {
  if (plan.params.columns) return "reduce_columns";
  return plan.at_once ? "reduce_rows_at_once" : "reduce_rows";
}

std::int64_t vector_width(DType dtype) {
  return kAccess / static_cast<std::int64_t>(size_of(dtype));
}

}  // namespace

ReducePlan plan_reduction(const Shape& shape, const KeptDims& kept,
                          std::span<const LoopOperand> operands, bool vectors, int state) {
  std::vector<Strides> strides;
  std::vector<Place> places;
  for (const LoopOperand& operand : operands) {
    const Tensor& t = operand.tensor();
    strides.push_back(t.defined() ? broadcast_strides(t, shape) : Strides(shape.size(), 0));
    places.push_back(t.defined() ? Place{reinterpret_cast<std::uintptr_t>(t.data()),
                                         static_cast<std::int64_t>(size_of(t.dtype()))}
                                 : Place{});
  }
  const std::int64_t width = vectors ? vector_width(operands[0].tensor().dtype()) : 1;
  ReducePlan plan = plan_strides(shape, kept, strides, width, places, state);
  for (std::size_t k = 0; k < operands.size(); ++k) {
    plan.params.in[k].data = operands[k].tensor().defined() ? operands[k].tensor().data() : nullptr;
    plan.params.in[k].scalar = operands[k].number();
  }
  return plan;
}

bool reduce_into(const Tensor& out, const ReduceOp& op, DType dtype, const Shape& shape,
                 const KeptDims& kept, std::initializer_list<LoopOperand> operands) {
  if (out.numel() == 0) return false;
  ReducePlan plan = plan_reduction(shape, kept, std::span(operands.begin(), operands.size()),
                                   op.vectors, op.state);
  if (op.at_once) read_at_once(plan, dtype);
  plan.params.numbers = op.numbers;
  plan.params.divisor = op.divisor;
  const DType acc = accumulator(dtype);
  const unsigned state = static_cast<unsigned>(size_of(acc)) * static_cast<unsigned>(op.state);
  Tensor partial;
  void* partial_data = nullptr;
  void* tickets = nullptr;
  if (plan.partials() > 0) {
    tickets = out.device().runtime().tickets(out.device().stream());
    partial = make_tensor(out.device(), {plan.partials() * op.state}, acc, "temporary");
    partial_data = partial.data();
  }
  const bool each =
      op.each && plan.vector > 1 && lies_as(*op.each, operands.begin()->tensor(), shape);
  plan.params.each = each ? op.each->data() : nullptr;
  launch(out.device(),
         {std::string(op.file),
          plan.plain ? expression(kernel_of(plan), each ? op.op_each : op.op, dtype, plan.vector)
                     : expression("reduce_any", op.op, dtype)},
         plan.grid, plan.block, std::max(plan.states * state, plan.ring_bytes), plan.params,
         out.data(), partial_data, op.second, tickets);
  return each;
}

KeptDims kept_by_broadcast(const Shape& to, const Shape& shape) {
  KeptDims kept(shape.size(), false);
  const std::size_t lead = shape.size() - to.size();
  for (std::size_t d = 0; d < to.size(); ++d) kept[lead + d] = to[d] == shape[lead + d];
  return kept;
}

std::int64_t reduce_workspace(DType dtype, const Shape& shape, const KeptDims& kept, bool vectors,
                              int state) {
  if (numel(shape) == 0) return 0;
  const std::int64_t unit = static_cast<std::int64_t>(size_of(accumulator(dtype))) * state;
  const auto bytes = [&](std::int64_t width) {
    return plan_strides(shape, kept, {contiguous_strides(shape)}, width, {Place{}}, state)
               .partials() *
           unit;
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
