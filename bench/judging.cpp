#include "bench/judging.h"

#include <algorithm>
#include <cmath>

#include "conformance/judge/judge.h"
#include "conformance/runner/device_io.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/core/error.h"

namespace flame::bench {

using reference::BoundTensor;
using reference::HostTensor;

namespace {

constexpr double kMostElements = 1 << 15, kMostFlops = 1 << 20;
constexpr std::uint64_t kSeed = 20261120;

bool small_enough(const Item& item) {
  double elements = 0;
  for (const auto* descs : {&item.inputs, &item.outputs})
    for (const TensorDesc& d : *descs) elements += d.defined ? double(numel(d.shape)) : 0;
  return elements <= kMostElements && item.op->cost(item.inputs, item.attrs).flops <= kMostFlops;
}

std::vector<HostTensor> magnitudes(std::vector<HostTensor> tensors) {
  for (HostTensor& t : tensors)
    for (double& v : t.values) v = std::abs(v);
  return tensors;
}

}  // namespace

std::vector<BoundTensor> due(const reference::Contract& contract,
                             const std::vector<HostTensor>& inputs, const Attrs& attrs,
                             const std::vector<HostTensor>& grad_outputs, bool tf32) {
  const auto ask = [&](const std::vector<HostTensor>& in, const std::vector<HostTensor>& g) {
    return g.empty() ? contract.forward(in, attrs) : contract.backward(in, attrs, g);
  };
  std::vector<BoundTensor> out = ask(inputs, grad_outputs);
  if (!tf32) return out;
  constexpr double kU = 0x1p-10;
  // Errors are counted in the accumulator's roundoffs.
  const double each = (2 * kU + kU * kU) / unit_roundoff(DType::kFloat32);
  const auto sums = ask(magnitudes(inputs), magnitudes(grad_outputs));
  for (std::size_t i = 0; i < out.size(); ++i)
    for (std::size_t k = 0; k < out[i].values.size(); ++k)
      out[i].values[k].error += each * double(std::abs(sums[i].values[k].value));
  return out;
}

std::optional<Item> judged_item(const Item& item) {
  if (item.inputs.empty()) return std::nullopt;
  Item small = item;
  for (std::int64_t scale = 2; !small_enough(small) && scale <= 1 << 20; scale *= 2)
    small = with_case(item, scaled(item.bench_case, scale));
  return small;
}

std::optional<JudgedCase> judged_case(const Item& item) {
  const auto found = judged_item(item);
  if (!found) return std::nullopt;
  const Item& small = *found;
  JudgedCase out{.item = small, .inputs = {}, .grad_outputs = {}};
  out.inputs = reference::draw_inputs(small.bench_case.inputs, small.dtype, kSeed);
  if (small.direction == Direction::kForward) return out;
  std::vector<reference::InputSpec> specs;
  for (const TensorDesc& d : small.outputs) specs.push_back({.shape = d.shape, .dtype = d.dtype});
  out.grad_outputs = reference::draw_inputs(specs, small.dtype, kSeed + 1);
  return out;
}

namespace {

// All contenders of an item are judged by one truth, and so are backward and forward + backward:
// the oracle takes longer for it than all of them for their timings. Kept until another case comes.
const std::vector<BoundTensor>& truth_of(const JudgedCase& c) {
  struct Kept {
    std::string key;
    std::vector<BoundTensor> truth;
  };
  thread_local Kept kept[2];
  const bool forward = c.item.direction == Direction::kForward;
  Kept& k = kept[forward ? 0 : 1];
  const std::string key = str_cat(c.item.op->name, "/", c.item.bench_case.name, "/",
                                  c.item.compute_mode(), "/", c.item.sizes());
  if (k.key != key) {
    k.truth = due(*c.item.contract, c.inputs, c.item.attrs, c.grad_outputs, c.item.tf32);
    k.key = key;
  }
  return k.truth;
}

}  // namespace

Judged judge_results(const JudgedCase& c, const std::vector<HostTensor>& results) {
  const bool forward = c.item.direction == Direction::kForward;
  const std::vector<BoundTensor>& truth = truth_of(c);
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
