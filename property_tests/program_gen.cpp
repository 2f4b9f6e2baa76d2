// How programs are drawn and made smaller.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "lib/core/error.h"
#include "property_tests/law_case.h"
#include "property_tests/program.h"

namespace flame::property {
namespace {

using reference::Case;
using reference::Domain;
using reference::HostTensor;
using reference::InputSpec;

constexpr std::int64_t kLargest = 160;  // elements of one tensor

class Writer {
 public:
  Writer(rc::Random random, const std::vector<DType>& dtypes) : random_(random) {
    program_.dtype = dtypes[static_cast<std::size_t>(below(std::ssize(dtypes)))];
  }

  Program write() {
    const std::int64_t wanted = 1 + below(8);
    add_first_leaf();
    for (int tries = 0; tries < 60 && std::ssize(program_.entries) < 24; ++tries) {
      if (std::int64_t(program_.op_count()) >= wanted) break;
      const OpDef& op = *ops()[static_cast<std::size_t>(below(std::ssize(ops())))];
      if (auto next = with(op)) program_ = std::move(*next);
    }
    return program_;
  }

 private:
  static const std::vector<const OpDef*>& ops() {
    static const std::vector<const OpDef*> list = [] {
      std::vector<const OpDef*> out;
      for (const OpDef* op : all_ops())
        if (op->kind != OpKind::kCreation) out.push_back(op);
      return out;
    }();
    return list;
  }

  static const std::vector<Case>& cases_of(const OpDef& op) {
    static std::map<std::string_view, std::vector<Case>> all;
    auto [it, is_new] = all.try_emplace(op.name);
    if (!is_new) return it->second;
    for (Case& c : reference::find_contract(op.name).cases()) {
      const bool small = std::all_of(c.inputs.begin(), c.inputs.end(), [](const InputSpec& s) {
        return numel(s.shape) <= kLargest && numel(s.shape) > 0;
      });
      if (small) it->second.push_back(std::move(c));
    }
    return it->second;
  }

  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(random_.next() % static_cast<std::uint64_t>(n));
  }

  void add_first_leaf() {
    Shape shape(static_cast<std::size_t>(1 + below(4)));
    for (auto& size : shape) size = 1 + below(4);
    Entry leaf;
    leaf.value = reference::draw_inputs({{.shape = shape}}, program_.dtype, random_.next())[0];
    program_.entries.push_back(leaf);
  }

  // The program with one more op, on values it has and on leaves that the op's case asks for;
  // nothing when the op does not fit.
  std::optional<Program> with(const OpDef& op) {
    const std::vector<Case>& cases = cases_of(op);
    if (cases.empty()) return std::nullopt;
    for (int tries = 0; tries < 6; ++tries) {
      const Case& from = cases[static_cast<std::size_t>(below(std::ssize(cases)))];
      if (!from.dtypes.has(program_.dtype)) continue;
      if (auto next = with(op, from)) return next;
    }
    return std::nullopt;
  }

  std::optional<Program> with(const OpDef& op, const Case& from) {
    std::vector<int> slots;  // where a value of ours could stand
    for (std::size_t i = 0; i < from.inputs.size(); ++i)
      if (from.inputs[i].defined && !from.inputs[i].dtype) slots.push_back(static_cast<int>(i));
    if (slots.empty()) return std::nullopt;
    const auto slot = static_cast<std::size_t>(
        slots[static_cast<std::size_t>(below(2) ? 0 : below(std::ssize(slots)))]);
    const int given = recent_value();
    const Shape& have = program_.entries[static_cast<std::size_t>(given)].value.shape;
    const auto sizes = mapping(from.inputs[slot].shape, have);
    if (!sizes) return std::nullopt;
    for (bool attrs_too : {true, false})
      if (auto next = assemble(op, from, slot, given, *sizes, attrs_too)) return next;
    return std::nullopt;
  }

  // Later values more often, so that programs grow deep.
  int recent_value() {
    std::vector<int> floating;
    for (std::size_t i = 0; i < program_.entries.size(); ++i)
      if (program_.entries[i].value.dtype == program_.dtype)
        floating.push_back(static_cast<int>(i));
    const std::int64_t n = std::ssize(floating);
    return floating[static_cast<std::size_t>(n - 1 - std::min(below(n), below(n)))];
  }

  using Sizes = std::map<std::int64_t, std::int64_t>;
  static std::optional<Sizes> mapping(const Shape& from, const Shape& to) {
    if (from.size() != to.size()) return std::nullopt;
    Sizes sizes;
    for (std::size_t d = 0; d < from.size(); ++d) {
      const auto [it, is_new] = sizes.try_emplace(from[d], to[d]);
      if (!is_new && it->second != to[d]) return std::nullopt;
    }
    return sizes;
  }
  static Shape mapped(Shape shape, const Sizes& sizes) {
    for (auto& size : shape)
      if (auto it = sizes.find(size); it != sizes.end()) size = it->second;
    return shape;
  }

  std::optional<Program> assemble(const OpDef& op, const Case& from, std::size_t slot, int given,
                                  const Sizes& sizes, bool attrs_too) {
    Program next = program_;
    Entry entry;
    entry.op = &op;
    entry.attrs = complete_attrs(op, from.attrs);
    if (attrs_too)
      for (const auto& [name, value] : from.attrs.items())
        if (const auto* list = std::get_if<IntList>(&value))
          entry.attrs.set(name, mapped(*list, sizes));
    for (std::size_t i = 0; i < from.inputs.size(); ++i) {
      InputSpec spec = from.inputs[i];
      if (!spec.defined) {
        entry.inputs.push_back(-1);
        continue;
      }
      spec.shape = mapped(spec.shape, sizes);
      if (numel(spec.shape) > kLargest) return std::nullopt;
      if (spec.domain == Domain::kIndices && !limit_indices(spec, entry, next)) return std::nullopt;
      entry.inputs.push_back(i == slot ? given : find_or_draw(spec, next));
    }
    return finished(std::move(next), std::move(entry));
  }

  // An index must stay within the first input along the attribute dim.
  static bool limit_indices(InputSpec& spec, const Entry& entry, const Program& program) {
    const AttrValue* dim = entry.attrs.find("dim");
    const auto* index = dim ? std::get_if<std::int64_t>(dim) : nullptr;
    if (!index || entry.inputs.empty() || entry.inputs[0] < 0) return false;
    const Shape& shape = program.entries[static_cast<std::size_t>(entry.inputs[0])].value.shape;
    if (shape.empty() || *index < -std::ssize(shape) || *index >= std::ssize(shape)) return false;
    const auto at = *index < 0 ? *index + std::ssize(shape) : *index;
    spec.b = static_cast<double>(shape[static_cast<std::size_t>(at)]);
    return true;
  }

  // A value of the shape that the program has already, or a new leaf.
  int find_or_draw(const InputSpec& spec, Program& program) {
    if (!spec.dtype && below(3) != 0) {
      std::vector<int> found;
      for (std::size_t i = 0; i < program.entries.size(); ++i) {
        const HostTensor& v = program.entries[i].value;
        if (v.shape == spec.shape && v.dtype == program.dtype) found.push_back(static_cast<int>(i));
      }
      if (!found.empty()) return found[static_cast<std::size_t>(below(std::ssize(found)))];
    }
    Entry leaf;
    leaf.value = reference::draw_inputs({spec}, program.dtype, random_.next())[0];
    const auto layouts =
        std::to_array({conformance::Layout::kContiguous, conformance::Layout::kTransposed,
                       conformance::Layout::kOffset, conformance::Layout::kSliced});
    leaf.layout = layouts[static_cast<std::size_t>(below(4))];
    program.entries.push_back(std::move(leaf));
    return static_cast<int>(program.entries.size()) - 1;
  }

  // Accepts the op when its shapes fit and every number, gradients included, stays tame.
  static std::optional<Program> finished(Program next, Entry entry) {
    next.entries.push_back(std::move(entry));
    try {
      std::vector<HostTensor> values;
      for (const Entry& e : next.entries) values.push_back(e.value);
      values.pop_back();
      next.entries.back().value = evaluate(next, next.entries.size() - 1, values);
      values.push_back(next.entries.back().value);
      if (numel(values.back().shape) > kLargest || values.back().values.empty())
        return std::nullopt;
      if (!std::all_of(values.begin(), values.end(), is_tame)) return std::nullopt;
      const auto gradients = differentiate(next, values, result_gradients(next), {});
      if (!std::all_of(gradients.begin(), gradients.end(), is_tame)) return std::nullopt;
    } catch (const Error&) {
      return std::nullopt;  // the op refuses these shapes
    }
    return next;
  }

  rc::Random random_;
  Program program_;
};

// Entry `root` and what it depends on; entries in `cut` become leaves of the value they have.
Program part_of(const Program& program, std::size_t root, std::optional<std::size_t> cut) {
  std::vector<bool> needed(program.entries.size());
  needed[root] = true;
  for (std::size_t i = root + 1; i-- > 0;) {
    if (!needed[i] || cut == i) continue;
    for (int k : program.entries[i].inputs)
      if (k >= 0) needed[static_cast<std::size_t>(k)] = true;
  }
  Program out{program.dtype, {}};
  std::vector<int> place(program.entries.size(), -1);
  for (std::size_t i = 0; i <= root; ++i) {
    if (!needed[i]) continue;
    place[i] = static_cast<int>(out.entries.size());
    Entry e = program.entries[i];
    if (cut == i) e = {.op = nullptr, .attrs = {}, .inputs = {}, .value = e.value};
    for (int& k : e.inputs)
      if (k >= 0) k = place[static_cast<std::size_t>(k)];
    out.entries.push_back(std::move(e));
  }
  return out;
}

// The same program on simpler leaves; nothing when its numbers are no longer tame.
std::optional<Program> on_leaves(Program program, double (*simpler)(double)) {
  bool changed = false;
  for (Entry& e : program.entries) {
    if (e.op || !is_floating(e.value.dtype)) continue;
    changed |= e.layout != conformance::Layout::kContiguous;
    e.layout = conformance::Layout::kContiguous;
    for (double& v : e.value.values) {
      const double to = simpler(v);
      changed |= to != v;
      v = to;
    }
  }
  if (!changed) return std::nullopt;
  const std::vector<HostTensor> values = evaluate(program, {});
  if (!std::all_of(values.begin(), values.end(), is_tame)) return std::nullopt;
  for (std::size_t i = 0; i < values.size(); ++i) program.entries[i].value = values[i];
  return program;
}

std::vector<Program> smaller(const Program& program) {
  std::vector<Program> out;
  const std::size_t last = program.entries.size() - 1;
  const bool one_result = program.results().size() == 1;
  for (std::size_t i = 0; i <= last; ++i)
    if (program.entries[i].op && (i < last || !one_result))
      out.push_back(part_of(program, i, std::nullopt));
  for (std::size_t i = 0; i < last; ++i)
    if (program.entries[i].op && one_result) out.push_back(part_of(program, last, i));
  for (auto simpler : {+[](double v) { return std::trunc(v); }, +[](double v) { return v; }})
    if (auto p = on_leaves(program, simpler)) out.push_back(std::move(*p));
  return out;
}

}  // namespace

rc::Gen<Program> any_program(std::vector<DType> dtypes) {
  return rc::Gen<Program>([=](const rc::Random& random, int) {
    rc::Random r = random;
    for (;;) {
      Program program = Writer(r.split(), dtypes).write();
      if (program.op_count() == 0) continue;
      return rc::shrinkable::shrinkRecur(
          std::move(program), [](const Program& p) { return rc::seq::fromContainer(smaller(p)); });
    }
  });
}

}  // namespace flame::property
