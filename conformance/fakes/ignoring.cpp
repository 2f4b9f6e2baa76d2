// Fakes that ignore a part of the call: an argument, a mask, an index, how the data lie.
#include <algorithm>
#include <cmath>

#include "conformance/fakes/fake.h"
#include "lib/tensor/tensor_impl.h"

namespace flame::conformance {
namespace {

using reference::Case;
using reference::HostTensor;

// The library's result for a changed call; the gradient too.
template <Call (*kChange)(Call)>
class Changed : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    return Decorator::forward(kChange(call));
  }
  Tape record(const Call& call) override { return Decorator::record(kChange(call)); }
};

template <Call (*kChange)(Call)>
std::unique_ptr<Implementation> make(Implementation& inner) {
  return std::make_unique<Changed<kChange>>(inner);
}

bool is_dim(std::string_view name) { return name.starts_with("dim"); }

// A dim argument: the first dim, whatever was said; the second where the first was said.
Call without_dim(Call call) {
  for (const AttrParam& p : call.op->attrs) {
    const AttrValue* value = call.attrs.find(p.name);
    if (!is_dim(p.name) || !value) continue;
    if (const auto* dim = std::get_if<std::int64_t>(value)) {
      const bool more =
          !call.inputs.empty() && call.inputs[0].defined() && call.inputs[0].dim() > 1;
      call.attrs.set(p.name, std::int64_t(*dim == 0 && more ? 1 : 0));
    } else if (const auto* dims = std::get_if<IntList>(value)) {
      call.attrs.set(p.name, dims->empty() ? IntList{0} : IntList{});
    }
  }
  return call;
}

// A real-valued argument (eps, alpha): as if it were not there.
Call without_number(Call call) {
  for (const AttrParam& p : call.op->attrs) {
    const AttrValue* value = call.attrs.find(p.name);
    if (value && std::holds_alternative<double>(*value)) {
      const double v = std::get<double>(*value);
      call.attrs.set(p.name, v == 0 ? 1.0 : 0.0);
    }
  }
  return call;
}

// Every other argument with a default: as if it had been left out.
Call without_options(Call call) {
  for (const AttrParam& p : call.op->attrs)
    if (p.default_value && !is_dim(p.name)) call.attrs.set(p.name, *p.default_value);
  return call;
}

bool is_mask(const OpDef& op, std::size_t i) {
  const TensorParam& p = param_of(op, i);
  return p.dtypes.has(DType::kBool) && !p.dtypes.has(DType::kFloat32);
}
bool is_index(const OpDef& op, std::size_t i) {
  const TensorParam& p = param_of(op, i);
  return p.dtypes.has(DType::kInt64) && !p.dtypes.has(DType::kFloat32);
}

Call without_mask(Call call) {
  for (std::size_t i = 0; i < call.inputs.size(); ++i)
    if (call.inputs[i].defined() && is_mask(*call.op, i))
      call.inputs[i] = edited({call.inputs[i]}, [](HostTensor& t, std::uint64_t) {
        std::fill(t.values.begin(), t.values.end(), 1.0);
      })[0];
  return call;
}

Call without_index(Call call) {
  for (std::size_t i = 0; i < call.inputs.size(); ++i)
    if (call.inputs[i].defined() && is_index(*call.op, i))
      call.inputs[i] = edited({call.inputs[i]}, [](HostTensor& t, std::uint64_t) {
        std::fill(t.values.begin(), t.values.end(), 0.0);
      })[0];
  return call;
}

// The last optional input: as if it had been left out.
Call without_optional(Call call) {
  for (std::size_t i = call.inputs.size(); i-- > 0;)
    if (call.inputs[i].defined() && param_of(*call.op, i).optional) {
      call.inputs[i] = {};
      break;
    }
  return call;
}

// Whether row-major strides would stay within the storage.
bool fits_storage(const Tensor& t, std::int64_t offset) {
  const auto& storage = *t.impl()->storage;
  return std::size_t(offset + t.numel()) * size_of(t.dtype()) <= storage.bytes;
}

Call without_strides(Call call) {
  for (Tensor& t : call.inputs)
    if (t.defined() && t.numel() > 0 && fits_storage(t, t.storage_offset()))
      t = make_view(t, t.shape(), contiguous_strides(t.shape()), t.storage_offset());
  return call;
}

Call without_offset(Call call) {
  for (Tensor& t : call.inputs)
    if (t.defined()) t = make_view(t, t.shape(), t.strides(), 0);
  return call;
}

template <class Wanted>
bool any_attr(const OpDef& op, Wanted wanted) {
  return std::any_of(op.attrs.begin(), op.attrs.end(), wanted);
}

std::optional<std::string> needs_dim(const OpDef& op, const Case&) {
  if (any_attr(op, [](const AttrParam& p) { return is_dim(p.name); })) return std::nullopt;
  return "it has no dim";
}
std::optional<std::string> needs_number(const OpDef& op, const Case&) {
  if (any_attr(op, [](const AttrParam& p) {
        return p.default_value && std::holds_alternative<double>(*p.default_value);
      }))
    return std::nullopt;
  return "it has no real-valued argument with a default";
}
std::optional<std::string> needs_option(const OpDef& op, const Case& c) {
  for (const AttrParam& p : op.attrs)
    if (p.default_value && !is_dim(p.name) && c.attrs.find(p.name) &&
        !(*c.attrs.find(p.name) == *p.default_value))
      return std::nullopt;
  return "none of its cases sets an optional argument";
}
std::optional<std::string> needs_mask(const OpDef& op, const Case& c) {
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    if (is_mask(op, i)) return std::nullopt;
  return "it takes no mask";
}
std::optional<std::string> needs_index(const OpDef& op, const Case& c) {
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    if (is_index(op, i)) return std::nullopt;
  return "it takes no index";
}
std::optional<std::string> needs_optional(const OpDef& op, const Case& c) {
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    if (c.inputs[i].defined && param_of(op, i).optional) return std::nullopt;
  return "it has no optional tensor";
}
template <Layout kLayout>
std::optional<std::string> needs_layout(const OpDef&, const Case& c) {
  for (const auto& spec : c.inputs)
    if (spec.defined && layout_differs(kLayout, spec.shape)) return std::nullopt;
  return "none of its inputs can lie that way";
}

}  // namespace

std::vector<Fake> ignoring_fakes() {
  const auto out = Shows::kOutput;
  return {
      {"ignores_dim", "works along another dim than it was told", "forward", out, needs_dim,
       make<without_dim>},
      {"ignores_number", "ignores its real-valued argument (eps, alpha)", "forward", out,
       needs_number, make<without_number>},
      {"ignores_options", "behaves as if every option were at its default", "forward", out,
       needs_option, make<without_options>},
      {"ignores_mask", "takes every mask for all true", "forward", out, needs_mask,
       make<without_mask>},
      {"ignores_index", "takes every index for 0", "forward", out, needs_index,
       make<without_index>},
      {"ignores_optional", "ignores its last optional tensor (bias)", "forward", out,
       needs_optional, make<without_optional>},
      {"ignores_strides", "reads every tensor as if it were row-major", "layouts", out,
       needs_layout<Layout::kTransposed>, make<without_strides>, nullptr, Layout::kTransposed},
      {"ignores_offset", "reads every tensor from the start of its storage", "layouts", out,
       needs_layout<Layout::kOffset>, make<without_offset>, nullptr, Layout::kOffset},
  };
}

}  // namespace flame::conformance
