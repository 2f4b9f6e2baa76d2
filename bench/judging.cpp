#include "bench/judging.h"

#include <algorithm>

#include "conformance/judge/judge.h"
#include "conformance/runner/device_io.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/core/error.h"

namespace flame::bench {

using reference::BoundTensor;
using reference::HostTensor;

namespace {

constexpr double kMostElements = 1 << 15, kMostFlops = 1 << 22;
constexpr std::uint64_t kSeed = 20261120;

bool small_enough(const Item& item) {
  double elements = 0;
  for (const auto* descs : {&item.inputs, &item.outputs})
    for (const TensorDesc& d : *descs) elements += d.defined ? double(numel(d.shape)) : 0;
  return elements <= kMostElements && item.op->cost(item.inputs, item.attrs).flops <= kMostFlops;
}

}  // namespace

std::optional<JudgedCase> judged_case(const Item& item) {
  if (item.inputs.empty()) return std::nullopt;
  Item small = item;
  for (std::int64_t scale = 2; !small_enough(small) && scale <= 1 << 20; scale *= 2)
    small = with_case(item, scaled(item.bench_case, scale));
  JudgedCase out{.item = small, .inputs = {}, .grad_outputs = {}};
  out.inputs = reference::draw_inputs(small.bench_case.inputs, small.dtype, kSeed);
  if (small.direction == Direction::kForward) return out;
  std::vector<reference::InputSpec> specs;
  for (const TensorDesc& d : small.outputs) specs.push_back({.shape = d.shape, .dtype = d.dtype});
  out.grad_outputs = reference::draw_inputs(specs, small.dtype, kSeed + 1);
  return out;
}

Judged judge_results(const JudgedCase& c, const std::vector<HostTensor>& results) {
  const bool forward = c.item.direction == Direction::kForward;
  const reference::Contract& contract = *c.item.contract;
  const std::vector<BoundTensor> truth =
      forward ? contract.forward(c.inputs, c.item.attrs)
              : contract.backward(c.inputs, c.item.attrs, c.grad_outputs);
  Judged out{.r = -1, .where = "", .reason = "", .inputs = c.item.sizes()};
  if (results.size() != truth.size()) {
    out.reason = str_cat(results.size(), " results, ", truth.size(), " are due");
    return out;
  }
  conformance::Judgement all;
  bool any = false;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (!truth[i].defined) continue;
    const std::string name = str_cat(forward ? "output[" : "grad[", i, "]");
    const conformance::Judgement one = conformance::judge(name, results[i], truth[i]);
    if (any)
      all.merge(one);
    else
      all = one;
    any = true;
  }
  out.r = all.r;
  out.where = all.where;
  out.reason = all.reason;
  return out;
}

Judged judge_flame(const Device& device, const Item& item) {
  const auto c = judged_case(item);
  if (!c) return {};
  std::vector<Tensor> inputs, wanted;
  for (std::size_t i = 0; i < c->inputs.size(); ++i) {
    inputs.push_back(conformance::upload(device, c->inputs[i]));
    if (item.direction != Direction::kForward && wants_grad(*item.op, i, c->item.inputs[i])) {
      inputs.back().set_requires_grad();
      wanted.push_back(inputs.back());
    }
  }
  const std::vector<Tensor> outputs = apply(*item.op, inputs, c->item.attrs, &device);
  if (item.direction == Direction::kForward)
    return judge_results(*c, conformance::download(outputs));
  std::vector<Tensor> grads;
  for (const HostTensor& g : c->grad_outputs) grads.push_back(conformance::upload(device, g));
  const std::vector<Tensor> found = grad(outputs, wanted, grads);
  std::vector<HostTensor> results;
  std::size_t next = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    results.push_back(conformance::download(
        wants_grad(*item.op, i, c->item.inputs[i]) ? found[next++] : Tensor()));
  return judge_results(*c, results);
}

}  // namespace flame::bench
