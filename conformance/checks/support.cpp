#include "conformance/checks/support.h"

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"

namespace flame::conformance {

using reference::BoundTensor;
using reference::Domain;
using reference::HostTensor;
using reference::InputSpec;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t z = a + 0x9E3779B97F4A7C15ull * (b + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

std::uint64_t hash_text(std::string_view text) {
  std::uint64_t h = text.size();
  for (char c : text) h = mix(h, static_cast<unsigned char>(c));
  return h;
}

Attrs case_attrs(const CheckContext& x) {
  Attrs given = x.c.attrs;
  const bool takes_dtype = std::any_of(x.op.attrs.begin(), x.op.attrs.end(),
                                       [](const AttrParam& p) { return p.name == "dtype"; });
  if (x.op.inputs.empty() && takes_dtype && !given.has("dtype"))
    given.set("dtype", std::string(name(x.dtype)));
  return complete_attrs(x.op, given);
}

namespace {

// The layout one input can take: repeating the values of a ladder without equals would make equals.
Layout layout_of(const CheckContext& x, std::size_t i) {
  const bool distinct = x.c.inputs[i].domain == Domain::kDistinct;
  return x.layout == Layout::kExpanded && distinct ? Layout::kContiguous : x.layout;
}

}  // namespace

std::vector<HostTensor> draw(const CheckContext& x, std::uint64_t salt) {
  std::vector<HostTensor> inputs = reference::draw_inputs(x.c.inputs, x.dtype, mix(x.seed, salt));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    inputs[i] = values_in(layout_of(x, i), std::move(inputs[i]));
  return inputs;
}

Call upload_call(const CheckContext& x, const Device& device,
                 const std::vector<HostTensor>& inputs) {
  Call call{&x.op, {}, case_attrs(x), device};
  for (std::size_t i = 0; i < inputs.size(); ++i)
    call.inputs.push_back(upload(device, inputs[i], layout_of(x, i)));
  return call;
}

std::vector<TensorDesc> output_descs(const CheckContext& x, const std::vector<HostTensor>& inputs) {
  std::vector<TensorDesc> descs;
  for (const HostTensor& input : inputs) descs.push_back(input.desc());
  return x.op.infer(descs, case_attrs(x));
}

std::vector<HostTensor> draw_grad_outputs(const CheckContext& x,
                                          const std::vector<TensorDesc>& outputs, GradKind kind,
                                          std::uint64_t salt) {
  std::vector<InputSpec> specs;
  for (const TensorDesc& desc : outputs) {
    InputSpec spec{.shape = desc.shape, .domain = Domain::kNormal, .dtype = desc.dtype};
    if (kind == GradKind::kIntegers) {
      spec.domain = Domain::kIntegers;
      spec.a = -3;
      spec.b = 3;
    }
    specs.push_back(spec);
  }
  const std::uint64_t seed = mix(mix(x.seed, salt), 0x67726164 + std::uint64_t(kind));
  std::vector<HostTensor> grads = reference::draw_inputs(specs, x.dtype, seed);
  for (HostTensor& grad : grads) {
    const std::size_t n = grad.values.size();
    const std::size_t hot = n ? std::size_t(mix(seed, n) % n) : 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (kind == GradKind::kZeros && mix(seed, i) % 2 == 0) grad.values[i] = 0;
      if (kind == GradKind::kOneHot) grad.values[i] = i == hot ? -1.5 : 0.0;
    }
    grad = values_in(x.layout, std::move(grad));
  }
  return grads;
}

std::vector<Tensor> upload_all(const Device& device, const std::vector<HostTensor>& hosts,
                               Layout layout) {
  std::vector<Tensor> out;
  for (const HostTensor& host : hosts) out.push_back(upload(device, host, layout));
  return out;
}

std::optional<std::string> no_gradient(const OpDef& op, const reference::Contract& contract,
                                       const reference::Case& c, DType dtype) {
  if (!op.backward) return "the op has no backward, and says so";
  if (!contract.backward) return "the contract has no truth for the backward";
  if (!c.differentiable && !c.pinned_gradient)
    return "the case sits on a kink or on NaN: only its forward is defined";
  bool any = false;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const InputSpec& spec = c.inputs[i];
    any |=
        spec.defined && param_of(op, i).differentiable && is_floating(spec.dtype.value_or(dtype));
  }
  if (!any) return "no input of this case is differentiable";
  return std::nullopt;
}

std::optional<std::string> no_gradient(const CheckContext& x) {
  if (auto why = no_gradient(x.op, x.contract, x.c, x.dtype)) return why;
  for (const TensorDesc& desc : output_descs(x, draw(x)))
    if (!is_floating(desc.dtype)) return "an output of this case is not floating";
  return std::nullopt;
}

std::string input_name(const OpDef& op, std::size_t i) {
  const TensorParam& param = param_of(op, i);
  std::string text(param.name);
  if (param.list) text += str_cat("[", i - (op.inputs.size() - 1), "]");
  return text;
}

std::string output_name(std::size_t i, std::size_t count) {
  return count == 1 ? "output" : str_cat("output[", i, "]");
}

Judgement judge_outputs(const CheckContext& x, const std::vector<Tensor>& outputs,
                        const std::vector<HostTensor>& inputs) {
  const std::vector<BoundTensor> truth = x.contract.forward(inputs, case_attrs(x));
  const std::vector<TensorDesc> descs = output_descs(x, inputs);
  Judgement all;
  if (outputs.size() != truth.size() || outputs.size() != descs.size()) {
    all.reason = str_cat(outputs.size(), " outputs, ", truth.size(), " are due");
    return all;
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string name = output_name(i, outputs.size());
    Judgement j = judge(name, download(outputs[i]), truth[i], x.c.exact);
    if (outputs[i].defined() && outputs[i].dtype() != descs[i].dtype) {
      j.pass = false;
      j.reason = str_cat(name, " has dtype ", flame::name(outputs[i].dtype()), ", ",
                         flame::name(descs[i].dtype), " is promised");
    }
    if (i == 0)
      all = j;
    else
      all.merge(j);
  }
  return all;
}

Judgement judge_gradients(const CheckContext& x, const std::vector<Tensor>& gradients,
                          const std::vector<HostTensor>& inputs,
                          const std::vector<HostTensor>& grad_outputs) {
  const std::vector<BoundTensor> truth = x.contract.backward(inputs, case_attrs(x), grad_outputs);
  Judgement all;
  if (gradients.size() != truth.size()) {
    all.reason = str_cat(gradients.size(), " gradients, ", truth.size(), " are due");
    return all;
  }
  bool first = true;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (!truth[i].defined && !gradients[i].defined()) continue;
    const Judgement j = judge("grad." + input_name(x.op, i), download(gradients[i]), truth[i]);
    if (first)
      all = j;
    else
      all.merge(j);
    first = false;
  }
  if (first) all.reason = "no gradient was compared";
  return all;
}

std::vector<Bits> bits_of(const std::vector<Tensor>& tensors) {
  std::vector<Bits> out;
  for (const Tensor& t : tensors)
    out.push_back(t.defined() ? Bits{t.dtype(), t.shape(), packed_bytes(t), true} : Bits{});
  return out;
}

Judgement judge_same(std::string_view what, const std::vector<Bits>& got,
                     const std::vector<Bits>& want) {
  Judgement all;
  if (got.size() != want.size()) {
    all.reason = str_cat(what, ": ", got.size(), " tensors and ", want.size());
    return all;
  }
  all.pass = true;
  all.r = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    all.merge(judge_same(str_cat(what, "[", i, "]"), got[i], want[i]));
  return all;
}

bool all_empty(const std::vector<TensorDesc>& outputs) {
  return std::all_of(outputs.begin(), outputs.end(),
                     [](const TensorDesc& d) { return numel(d.shape) == 0; });
}

}  // namespace flame::conformance
