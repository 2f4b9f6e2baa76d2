#include "conformance/runner/plan.h"

#include <algorithm>
#include <cmath>

#include "conformance/checks/support.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace flame::conformance {

using reference::Case;
using reference::Contract;
using reference::Domain;

namespace {

std::int64_t output_elements(const OpDef& op, const Case& c, DType dtype) {
  std::vector<TensorDesc> descs;
  for (const auto& spec : c.inputs)
    descs.push_back({spec.dtype.value_or(dtype), spec.shape, spec.defined});
  Attrs given = c.attrs;
  for (const AttrParam& p : op.attrs)
    if (op.inputs.empty() && p.name == "dtype" && !given.has("dtype"))
      given.set("dtype", std::string(name(dtype)));
  std::int64_t total = 0;
  for (const TensorDesc& d : op.infer(descs, complete_attrs(op, given))) total += numel(d.shape);
  return total;
}

// Lower is better: how far a case is from a plain one of a few hundred elements.
double oddness(const OpDef& op, const Case& c) {
  const auto dtypes = case_dtypes(op, c);
  if (dtypes.empty()) return 1e9;
  const std::int64_t n = output_elements(op, c, dtypes.front());
  double odd = n == 0 ? 100 : std::fabs(std::log2(double(n)) - 8);
  if (n > 4096) odd += 20;
  for (const auto& spec : c.inputs) {
    odd += spec.domain == Domain::kExplicit ? 8 : 0;
    odd += spec.defined ? 0 : 0.5;
    odd += numel(spec.shape) > 16384 ? 20 : 0;
  }
  odd += c.exact ? 6 : 0;
  odd += c.differentiable || !op.backward ? 0 : 16;
  odd += c.dtypes.has(DType::kFloat32) ? 0 : 50;
  return odd;
}

std::string signature(const Case& c) {
  std::string text = flame::to_string(c.attrs);
  for (const auto& spec : c.inputs) text += spec.defined ? str_cat("/", spec.shape.size()) : "/-";
  return text;
}

bool included(const VerifyOptions& o, const PlanItem& item) {
  return glob_match(o.case_name, item.case_name) && glob_match(o.layout, item.layout) &&
         (!o.dtype || *o.dtype == item.dtype);
}

// The dtypes a secondary check runs in: all at the full level, else float32 and one half type.
std::vector<DType> some_dtypes(const OpDef& op, const Case& c, Level level, std::size_t rank) {
  std::vector<DType> all = case_dtypes(op, c), out;
  if (level == Level::kFull) return all;
  const DType half = rank % 2 == 0 ? DType::kBFloat16 : DType::kFloat16;
  for (DType t : all)
    if (t == DType::kFloat32 || t == half) out.push_back(t);
  if (out.empty() && !all.empty()) out.push_back(all.front());
  return out;
}

bool lies_differently(const Case& c, Layout layout) {
  return std::any_of(c.inputs.begin(), c.inputs.end(), [&](const reference::InputSpec& spec) {
    return spec.defined && layout_differs(layout, spec.shape);
  });
}

// Whether this case says anything about this check: a backward needs a gradient that is defined
// there, and one element alone may have none (softmax of a scalar is 1 everywhere).
bool has_truth(const OpDef& op, const Contract& contract, const Check& check, const Case& c,
               DType dtype) {
  if (check.needs != Needs::kBackward) return true;
  const bool several = std::any_of(c.inputs.begin(), c.inputs.end(), [](const auto& spec) {
    return spec.defined && numel(spec.shape) > 1;
  });
  return !no_gradient(op, contract, c, dtype) && (several || check.scope != Scope::kRepresentative);
}

class Planner {
 public:
  Planner(const VerifyOptions& options, std::vector<PlanItem>& out) : o_(options), out_(out) {}

  void add_op(const OpDef& op) {
    const Contract& contract = reference::find_contract(op.name);
    const bool quick = o_.level == Level::kQuick;
    const auto chosen = representatives(op, contract, quick ? 3 : 6);
    for (const Check& check : all_checks()) {
      if (!glob_match(o_.check, check.id)) continue;
      // What the op's own definition rules out (no tensors, no backward) is no hole: nothing is
      // planned, and the op's page says why.
      if (out_of_scope(check, op)) continue;
      const std::size_t before = added_;
      add_check(op, contract, check, chosen);
      // An op that is in scope, yet without a single item for a check, is a hole: those are
      // counted.
      if (added_ == before) add(op, check, kNoCase, DType::kFloat32, Layout::kContiguous);
    }
  }

 private:
  void add_check(const OpDef& op, const Contract& contract, const Check& check,
                 const std::vector<Case>& chosen) {
    const auto contiguous = Layout::kContiguous;
    switch (check.scope) {
      case Scope::kEveryCase:
        for (const Case& c : contract.cases())
          if (c.quick || o_.level == Level::kFull)
            for (DType t : case_dtypes(op, c))
              if (has_truth(op, contract, check, c, t)) add(op, check, c.name, t, contiguous);
        break;
      case Scope::kErrorCases:
        for (const auto& e :
             contract.error_cases ? contract.error_cases() : std::vector<reference::ErrorCase>{})
          add(op, check, e.name, e.dtype, contiguous);
        break;
      case Scope::kFloat64:
        for (const Case& c : chosen)
          for (DType t : case_dtypes(op, c))
            if (t == DType::kFloat64 && has_truth(op, contract, check, c, t))
              add(op, check, c.name, t, contiguous);
        break;
      case Scope::kOneCase:
        if (!chosen.empty())
          add(op, check, chosen[0].name, some_dtypes(op, chosen[0], Level::kQuick, 0).front(),
              contiguous);
        break;
      case Scope::kRepresentative:
      case Scope::kEveryLayout:
        for (std::size_t i = 0; i < chosen.size(); ++i)
          for (DType t : some_dtypes(op, chosen[i], o_.level, i)) {
            if (!has_truth(op, contract, check, chosen[i], t)) continue;
            for (Layout layout : kLayouts)
              if (check.scope == Scope::kEveryLayout ? lies_differently(chosen[i], layout)
                                                     : layout == contiguous)
                add(op, check, chosen[i].name, t, layout);
          }
        break;
    }
  }

  void add(const OpDef& op, const Check& check, const std::string& case_name, DType dtype,
           Layout layout) {
    ++added_;
    PlanItem item{std::string(op.name), case_name, check.id, to_string(layout), dtype};
    if (included(o_, item)) out_.push_back(std::move(item));
  }

  const VerifyOptions& o_;
  std::vector<PlanItem>& out_;
  std::size_t added_ = 0;
};

}  // namespace

std::vector<DType> case_dtypes(const OpDef& op, const Case& c) {
  std::vector<DType> out;
  for (int t = 0; t < kDTypeCount; ++t) {
    const DType dtype = DType(t);
    bool ok = c.dtypes.has(dtype);
    for (std::size_t i = 0; i < c.inputs.size() && !op.inputs.empty(); ++i)
      ok = ok && (!c.inputs[i].defined || c.inputs[i].dtype || param_of(op, i).dtypes.has(dtype));
    if (ok) out.push_back(dtype);
  }
  return out;
}

std::vector<Case> representatives(const OpDef& op, const Contract& contract, std::size_t count) {
  struct Ranked {
    double odd;
    Case c;
  };
  std::vector<Ranked> ranked;
  for (Case& c : contract.cases())
    if (c.quick && !case_dtypes(op, c).empty()) ranked.push_back({oddness(op, c), std::move(c)});
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Ranked& a, const Ranked& b) { return a.odd < b.odd; });
  std::vector<Case> out;
  std::vector<std::string> seen;
  for (const bool repeat : {false, true})
    for (const Ranked& r : ranked) {
      if (out.size() >= count) return out;
      const bool known = std::find(seen.begin(), seen.end(), signature(r.c)) != seen.end();
      const bool taken =
          std::any_of(out.begin(), out.end(), [&](const Case& c) { return c.name == r.c.name; });
      if (taken || known != repeat) continue;
      // A second special case adds little to the secondary checks.
      if (!out.empty() && r.odd >= 16) continue;
      out.push_back(r.c);
      seen.push_back(signature(r.c));
    }
  return out;
}

FoundCase find_case(const Contract& contract, const PlanItem& item) {
  FoundCase found;
  if (find_check(item.check).scope == Scope::kErrorCases) {
    if (contract.error_cases)
      for (auto& e : contract.error_cases())
        if (e.name == item.case_name) found.error = std::move(e);
    return found;
  }
  for (Case& c : contract.cases())
    if (c.name == item.case_name) found.c = std::move(c);
  return found;
}

std::string PlanItem::to_string() const {
  return str_cat(op, " ", case_name, " ", name(dtype), " ", check, " ", layout);
}

std::vector<PlanItem> plan(const VerifyOptions& options) {
  check<ValueError>(options.shard_count >= 1 && options.shard_index >= 0 &&
                        options.shard_index < options.shard_count,
                    "verify: shard ", options.shard_index, "/", options.shard_count,
                    " is none; 0/1 to ", options.shard_count - 1, "/", options.shard_count);
  std::vector<PlanItem> all;
  bool any_op = false;
  Planner planner(options, all);
  for (const OpDef* op : all_ops()) {
    if (!glob_match(options.op, op->name)) continue;
    any_op = true;
    planner.add_op(*op);
  }
  if (!any_op) find_op(options.op);  // throws, with the names that are near
  check<UnknownOpError>(any_op, "verify: no op matches '", options.op, "'");
  std::vector<PlanItem> mine;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (int(i % std::size_t(options.shard_count)) == options.shard_index)
      mine.push_back(std::move(all[i]));
  check<ValueError>(!mine.empty() || !all.empty(), "verify: no check matches op '", options.op,
                    "', case '", options.case_name, "', check '", options.check, "', layout '",
                    options.layout, "'",
                    options.dtype ? str_cat(", dtype ", name(*options.dtype)) : "");
  return mine;
}

}  // namespace flame::conformance
