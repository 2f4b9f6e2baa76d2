#include "bench/plan.h"

#include <algorithm>
#include <array>

#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace flame::bench {

using reference::BenchCase;
using reference::Contract;
using reference::InputSpec;

namespace {

constexpr std::int64_t kUnscaled = 16;
constexpr std::array kDTypes{DType::kFloat32, DType::kBFloat16};
constexpr std::array kDirections{Direction::kForward, Direction::kBackward,
                                 Direction::kForwardBackward};
// Attributes that are sizes of tensors, and so shrink with them.
constexpr std::array<std::string_view, 5> kSizeAttrs{"size", "shape", "normalized_shape", "groups",
                                                     "length"};

bool takes_dtype_attr(const OpDef& op) {
  return op.inputs.empty() && std::any_of(op.attrs.begin(), op.attrs.end(),
                                          [](const AttrParam& p) { return p.name == "dtype"; });
}

bool accepts(const OpDef& op, std::size_t i, DType dtype) {
  return op.inputs[std::min(i, op.inputs.size() - 1)].dtypes.has(dtype);
}

// The item in one dtype; nothing where the op cannot take it.
std::optional<Item> item_of(const Contract& contract, const BenchCase& bench_case, DType dtype) {
  Item item{.contract = &contract, .op = &find_op(contract.op), .bench_case = bench_case};
  item.dtype = dtype;
  Attrs given = bench_case.attrs;
  const bool created = takes_dtype_attr(*item.op);
  if (created && !given.has("dtype")) given.set("dtype", std::string(name(dtype)));
  item.attrs = complete_attrs(*item.op, given);
  for (std::size_t i = 0; i < bench_case.inputs.size(); ++i) {
    const InputSpec& spec = bench_case.inputs[i];
    item.inputs.push_back({spec.dtype.value_or(dtype), spec.shape, spec.defined});
    if (spec.defined && !accepts(*item.op, i, item.inputs.back().dtype)) return std::nullopt;
  }
  try {
    item.outputs = item.op->infer(item.inputs, item.attrs);
  } catch (const DTypeError&) {
    return std::nullopt;
  }
  return item;
}

// The dtype that an op makes where its case says none; float32 when the op follows its inputs.
DType own_dtype(const OpDef& op, const BenchCase& c) {
  if (!takes_dtype_attr(op)) return DType::kFloat32;
  return parse_dtype(complete_attrs(op, c.attrs).get_string("dtype")).value_or(DType::kFloat32);
}

// The items of one case in every dtype. What makes integers is timed once.
std::vector<Item> typed_items(const Contract& contract, const BenchCase& bench_case) {
  std::vector<Item> out;
  const DType own = own_dtype(find_op(contract.op), bench_case);
  for (const DType dtype : kDTypes) {
    auto item = item_of(contract, bench_case, is_floating(own) ? dtype : own);
    if (!item) continue;
    out.push_back(*item);
    if (!is_floating(own)) break;
    if (item->dtype != DType::kFloat32 || !item->is_product()) continue;  // only those heed TF32
    out.push_back(std::move(*item));
    out.back().tf32 = true;
  }
  return out;
}

bool has_backward(const Item& item) {
  if (!item.op->backward || !item.contract->backward) return false;
  if (!is_floating(item.outputs[0].dtype)) return false;
  for (std::size_t i = 0; i < item.inputs.size(); ++i)
    if (wants_grad(*item.op, i, item.inputs[i])) return true;
  return false;
}

bool any_order(const BenchCase& c) {
  return std::any_of(c.order.begin(), c.order.end(), [](const IntList& o) { return !o.empty(); });
}

// Views launch nothing forward, and what is as asked for already is returned as it is.
bool moves_nothing(const Item& item) {
  if (item.op == &to_def()) return item.inputs[0].dtype == item.outputs[0].dtype;
  if (item.op == &contiguous_def()) return !any_order(item.bench_case);
  return item.op->kind == OpKind::kView && item.direction != Direction::kBackward;
}

}  // namespace

const char* to_string(Direction d) {
  switch (d) {
    case Direction::kForward:
      return "forward";
    case Direction::kBackward:
      return "backward";
    case Direction::kForwardBackward:
      return "forward_backward";
  }
  return "?";
}

bool wants_grad(const OpDef& op, std::size_t i, const TensorDesc& desc) {
  return desc.defined && is_floating(desc.dtype) &&
         op.inputs[std::min(i, op.inputs.size() - 1)].differentiable;
}

bool Item::is_product() const {
  const Cost cost = op->cost(inputs, attrs);
  constexpr double kIntense = 8;  // FLOPs a byte, at bench sizes
  return cost.flops > kIntense * cost.bytes;
}

std::string Item::name() const {
  return str_cat(op->name, "/", bench_case.name, "/", compute_mode(), "/", to_string(direction));
}

std::string Item::compute_mode() const { return tf32 ? "tf32" : std::string(flame::name(dtype)); }

std::string Item::sizes() const {
  std::string out;
  const std::vector<TensorDesc>& shown = inputs.empty() ? outputs : inputs;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    // cat takes many of one size
    std::size_t same = 1;
    while (i + same < shown.size() && shown[i + same] == shown[i]) ++same;
    out += out.empty() ? "" : "; ";
    if (same > 2) out += str_cat(same, " x ");
    out += shown[i].defined ? flame::to_string(shown[i].shape) : "none";
    if (same > 2) i += same - 1;
  }
  return out;
}

std::int64_t scaled(std::int64_t size, std::int64_t scale) {
  return size <= kUnscaled ? size : std::max(kUnscaled, size / scale);
}

BenchCase scaled(BenchCase c, std::int64_t scale) {
  if (scale == 1) return c;
  for (InputSpec& input : c.inputs) {
    for (std::int64_t& size : input.shape) size = scaled(size, scale);
    if (input.domain == reference::Domain::kIndices)
      input.b = double(scaled(std::int64_t(input.b), scale));
  }
  for (const std::string_view name : kSizeAttrs) {
    const AttrValue* value = c.attrs.find(name);
    if (!value) continue;
    if (const auto* one = std::get_if<std::int64_t>(value)) {
      c.attrs.set(name, scaled(*one, scale));
    } else if (const auto* list = std::get_if<IntList>(value)) {
      IntList sizes = *list;
      for (std::int64_t& size : sizes) size = scaled(size, scale);
      c.attrs.set(name, sizes);
    }
  }
  return c;
}

Item with_case(const Item& item, const BenchCase& bench_case) {
  std::optional<Item> out = item_of(*item.contract, bench_case, item.dtype);
  check<ValueError>(out.has_value(), "bench: ", item.name(), " does not scale");
  out->tf32 = item.tf32;
  out->direction = item.direction;
  return *out;
}

std::vector<Item> plan(const PlanOptions& options) {
  check<ValueError>(options.scale >= 1, "bench: --scale ", options.scale, " is less than 1");
  bool any_op = false;
  std::vector<Item> out;
  for (const Contract* contract : reference::all_contracts()) {
    if (!glob_match(options.op, contract->op)) continue;
    any_op = true;
    if (!contract->bench_cases) continue;
    for (const BenchCase& full : contract->bench_cases()) {
      if (!glob_match(options.case_name, full.name)) continue;
      for (const Item& item : typed_items(*contract, scaled(full, options.scale))) {
        if (!glob_match(options.mode, item.compute_mode())) continue;
        for (const Direction direction : kDirections) {
          if (!glob_match(options.direction, to_string(direction))) continue;
          if (direction != Direction::kForward && !has_backward(item)) continue;
          out.push_back(item);
          out.back().direction = direction;
          if (moves_nothing(out.back())) out.pop_back();
        }
      }
    }
  }
  check<UnknownOpError>(any_op, "bench: no op matches --op ", options.op);
  check<ValueError>(!out.empty(), "bench: nothing to time for --op ", options.op, " --case ",
                    options.case_name, " --direction ", options.direction, " --dtype ",
                    options.mode);
  return out;
}

}  // namespace flame::bench
