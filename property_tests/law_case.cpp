#include "property_tests/law_case.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <tuple>

#include "lib/core/error.h"

namespace flame::property {
namespace {

using reference::Case;
using reference::Contract;
using reference::Domain;
using reference::InputSpec;

constexpr std::int64_t kLargest = 4096;  // elements of one tensor: laws are tried often

// Replaces sizes above 1 by value, so that sizes that had to agree still do.
class Resizing {
 public:
  explicit Resizing(std::span<const std::int64_t> sizes) : sizes_(sizes) {}

  Shape operator()(const Shape& shape) {
    Shape out = shape;
    for (auto& size : out)
      if (size > 1) size = replacement(size);
    return out;
  }

 private:
  std::int64_t replacement(std::int64_t size) {
    const auto [it, is_new] = map_.try_emplace(size, 0);
    if (is_new) it->second = sizes_[(map_.size() - 1) % sizes_.size()];
    return it->second;
  }

  std::span<const std::int64_t> sizes_;
  std::map<std::int64_t, std::int64_t> map_;
};

bool accepted(const LawCase& c) {
  try {
    for (const TensorDesc& out : c.outputs())
      if (numel(out.shape) > kLargest) return false;
  } catch (const Error&) {
    return false;
  }
  return std::all_of(c.inputs.begin(), c.inputs.end(),
                     [](const InputSpec& s) { return numel(s.shape) <= kLargest; });
}

bool sizes_are_free(const Case& from) {
  return std::none_of(from.inputs.begin(), from.inputs.end(), [](const InputSpec& s) {
    return s.domain == Domain::kIndices || s.domain == Domain::kExplicit;
  });
}

// With the sizes that lists in the attributes name (a normalized shape, say) replaced as well, or
// with the attributes left alone; whichever the op accepts.
bool resize(LawCase& c, std::span<const std::int64_t> sizes) {
  for (bool with_attrs : {true, false}) {
    LawCase other = c;
    Resizing resized(sizes);
    for (InputSpec& s : other.inputs) s.shape = resized(s.shape);
    if (with_attrs) {
      for (const auto& [name, value] : c.attrs.items())
        if (const auto* list = std::get_if<IntList>(&value)) other.attrs.set(name, resized(*list));
    }
    if (!accepted(other)) continue;
    c = std::move(other);
    return true;
  }
  return false;
}

// All cases of an op, made once.
const std::vector<Case>& cases_of(const Contract& contract) {
  static std::map<std::string_view, std::vector<Case>> all;
  auto [it, is_new] = all.try_emplace(contract.op);
  if (is_new && contract.cases) it->second = contract.cases();
  return it->second;
}

}  // namespace

std::vector<reference::HostTensor> LawCase::draw(std::uint64_t salt) const {
  return reference::draw_inputs(inputs, dtype, seed + 0x9e3779b97f4a7c15u * salt);
}

std::vector<TensorDesc> LawCase::input_descs() const {
  std::vector<TensorDesc> out;
  for (const InputSpec& s : inputs) out.push_back({s.dtype.value_or(dtype), s.shape, s.defined});
  return out;
}

std::vector<TensorDesc> LawCase::outputs() const { return op->infer(input_descs(), attrs); }

std::string to_string(const LawCase& c) {
  std::ostringstream out;
  out << c.op->name << '(' << name(c.dtype) << ';';
  for (const InputSpec& s : c.inputs) out << ' ' << (s.defined ? flame::to_string(s.shape) : "-");
  out << "; " << flame::to_string(c.attrs) << ") case " << c.case_name << ", seed " << c.seed;
  return out.str();
}

void showValue(const LawCase& c, std::ostream& out) { out << to_string(c); }

bool has_law(const Contract& contract, reference::Law law) {
  return std::find(contract.laws.begin(), contract.laws.end(), law) != contract.laws.end();
}

const TensorParam& param_of(const OpDef& op, std::size_t i) {
  return op.inputs[std::min(i, op.inputs.size() - 1)];
}

bool differentiable(const LawCase& c, std::size_t i) {
  return c.inputs[i].defined && param_of(*c.op, i).differentiable &&
         is_floating(c.inputs[i].dtype.value_or(c.dtype));
}

std::optional<LawCase> make_case(const OpDef& op, const Case& from, DType dtype,
                                 std::span<const std::int64_t> sizes, std::uint64_t seed) {
  if (!from.dtypes.has(dtype)) return std::nullopt;
  LawCase c{&op, &reference::find_contract(op.name), from.name, from.inputs, {}, dtype, seed};
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const InputSpec& s = c.inputs[i];
    if (s.defined && !param_of(op, i).dtypes.has(s.dtype.value_or(dtype))) return std::nullopt;
  }
  c.attrs = complete_attrs(op, from.attrs);
  const bool resized = sizes_are_free(from) && !sizes.empty() && resize(c, sizes);
  if (!resized && !accepted(c)) return std::nullopt;
  return c;
}

rc::Gen<LawCase> law_case(std::function<bool(const LawCase&)> suits) {
  // What RapidCheck draws and shrinks; which op, which of its cases, which sizes.
  using Choice =
      std::tuple<std::size_t, std::size_t, int, std::vector<std::int64_t>, std::uint64_t>;
  struct Candidate {
    const OpDef* op;
    std::vector<const Case*> cases;
  };
  static constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat64, DType::kFloat16,
                                     DType::kBFloat16};
  std::vector<Candidate> candidates;
  for (const OpDef* op : all_ops()) {
    if (op->kind == OpKind::kCreation) continue;
    Candidate candidate{op, {}};
    for (const Case& from : cases_of(reference::find_contract(op->name))) {
      // A case that suits at its own sizes in one dtype is worth drawing.
      for (DType dtype : kTypes) {
        const auto c = make_case(*op, from, dtype, {}, 0);
        if (!c || !suits(*c)) continue;
        candidate.cases.push_back(&from);
        break;
      }
    }
    if (!candidate.cases.empty()) candidates.push_back(std::move(candidate));
  }
  check<ValueError>(!candidates.empty(), "law_case: no op of the manifest has a case for this law");

  auto make = [=](const Choice& choice) -> std::optional<LawCase> {
    const auto& [op_index, case_index, type, sizes, seed] = choice;
    const Candidate& candidate = candidates[op_index % candidates.size()];
    const Case& from = *candidate.cases[case_index % candidate.cases.size()];
    for (int t = 0; t < 4; ++t) {
      auto c = make_case(*candidate.op, from, kTypes[(type + t) % 4], sizes, seed);
      if (c && suits(*c)) return c;
    }
    // Other sizes may not suit: the case's own do, in one of the types.
    for (int t = 0; t < 4; ++t) {
      auto c = make_case(*candidate.op, from, kTypes[(type + t) % 4], {}, seed);
      if (c && suits(*c)) return c;
    }
    return std::nullopt;
  };
  auto choices = rc::gen::tuple(
      rc::gen::inRange<std::size_t>(0, candidates.size()), rc::gen::inRange<std::size_t>(0, 1000),
      rc::gen::inRange(0, 4),
      rc::gen::container<std::vector<std::int64_t>>(4, rc::gen::inRange<std::int64_t>(1, 9)),
      rc::gen::inRange<std::uint64_t>(0, 1u << 20));
  return rc::gen::map(
      rc::gen::suchThat(rc::gen::map(std::move(choices), make),
                        [](const std::optional<LawCase>& c) { return c.has_value(); }),
      [](const std::optional<LawCase>& c) { return *c; });
}

rc::Gen<LawCase> law_case(reference::Law law, std::function<bool(const LawCase&)> suits) {
  return law_case(
      [=](const LawCase& c) { return has_law(*c.contract, law) && (!suits || suits(c)); });
}

rc::Gen<LawCase> differentiable_case() {
  return law_case([](const LawCase& c) {
    if (!c.contract->backward || !c.op->backward) return false;
    const auto& cases = cases_of(*c.contract);
    const auto from = std::find_if(cases.begin(), cases.end(),
                                   [&](const Case& k) { return k.name == c.case_name; });
    bool any = false;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) any |= differentiable(c, i);
    return any && from != cases.end() && from->differentiable;
  });
}

}  // namespace flame::property
