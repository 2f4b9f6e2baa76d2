#include <algorithm>

#include "conformance/fakes/fake.h"

namespace flame::conformance {

using reference::Case;

std::vector<Tensor> edited(const std::vector<Tensor>& tensors, Edit edit, std::uint64_t call) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) {
    if (!t.defined()) {
      out.emplace_back();
      continue;
    }
    reference::HostTensor host = download(t);
    edit(host, call);
    out.push_back(upload(t.device(), host));
  }
  return out;
}

std::optional<std::string> fits_all(const OpDef&, const Case&) { return std::nullopt; }

std::optional<std::string> needs_gradient(const OpDef& op, const Case& c) {
  if (!op.backward) return "it has no backward";
  if (!c.differentiable) return "none of its cases is differentiable";
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    if (c.inputs[i].defined && !c.inputs[i].dtype && param_of(op, i).differentiable)
      return std::nullopt;
  return "none of its inputs is differentiable";
}

std::optional<std::string> needs_input(const OpDef&, const Case& c) {
  for (const auto& spec : c.inputs)
    if (spec.defined && numel(spec.shape) > 0) return std::nullopt;
  return "it takes no tensors";
}

std::optional<std::string> needs_kernel(const OpDef& op, const Case&) {
  if (op.kernels.empty()) return "its forward launches nothing";
  return std::nullopt;
}

std::span<const Fake> all_fakes() {
  static const std::vector<Fake> fakes = [] {
    std::vector<Fake> all;
    for (auto* family :
         {output_fakes, gradient_fakes, ignoring_fakes, behaviour_fakes, driver_fakes})
      for (Fake& fake : family()) all.push_back(std::move(fake));
    return all;
  }();
  return fakes;
}

std::vector<FakeInfo> fake_list() {
  std::vector<FakeInfo> out;
  for (const Fake& fake : all_fakes()) out.push_back({fake.id, fake.description, fake.check});
  return out;
}

}  // namespace flame::conformance
