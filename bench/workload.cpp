#include "bench/workload.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/autograd/apply.h"
#include "lib/autograd/grad_mode.h"
#include "lib/autograd/node.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/tensor_impl.h"

namespace flame::bench {

using reference::Domain;
using reference::InputSpec;

namespace {

double bytes_of(const TensorDesc& desc) {
  return desc.defined ? double(numel(desc.shape)) * double(size_of(desc.dtype)) : 0;
}
double bytes_of(const std::vector<TensorDesc>& descs) {
  double sum = 0;
  for (const TensorDesc& desc : descs) sum += bytes_of(desc);
  return sum;
}

// On the device: what is timed must not depend on how fast the host can draw 64 MiB. The values'
// distribution is the contract's; peers get tensors of the same distribution.
Tensor drawn(const Device& device, const InputSpec& spec, DType dtype) {
  if (!spec.defined) return {};
  switch (spec.domain) {
    case Domain::kIndices:
    case Domain::kIntegers: {
      const std::int64_t end = std::int64_t(spec.b) + (spec.domain == Domain::kIntegers ? 1 : 0);
      return randint(std::int64_t(spec.a), end, spec.shape, {device, dtype});
    }
    case Domain::kMask:
      return randint(0, 2, spec.shape, {device, DType::kInt32}).to(dtype);
    case Domain::kUniform:
      return add(mul(rand(spec.shape, {device, dtype}), spec.b - spec.a), spec.a);
    default: {
      Tensor x = randn(spec.shape, {device, dtype});
      if (spec.b != 0 && spec.b != 1) x = mul(x, spec.b);
      return spec.a != 0 && spec.domain == Domain::kNormal ? add(x, spec.a) : x;
    }
  }
}

Traffic written_by(const std::vector<Delivery>& deliveries, const std::vector<TensorDesc>& due) {
  if (deliveries.empty()) return {.written = bytes_of(due)};
  Traffic t;
  for (const Delivery& d : deliveries) {
    t.written += d.written;
    t.view = t.view || d.view;
  }
  return t;
}

// What there is to read: an expanded tensor has less than its elements.
double bytes_stored(const Tensor& x) {
  return std::min(bytes_of(x.desc()), double(x.impl()->storage->bytes));
}

// The same values lying in memory with their dims in this order.
Tensor in_order(const Tensor& x, const IntList& order) {
  if (order.empty()) return x;
  IntList inverse(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) inverse[std::size_t(order[i])] = std::int64_t(i);
  return x.permute(order).contiguous().permute(inverse).detach();
}

}  // namespace

Workload::Workload(const Device& device, const Item& item, std::uint64_t seed)
    : device_(device), item_(item) {
  device_.manual_seed(seed);
  {
    const NoGradGuard no_grad;
    for (std::size_t i = 0; i < item_.inputs.size(); ++i) {
      inputs_.push_back(drawn(device_, item_.bench_case.inputs[i], item_.inputs[i].dtype));
      if (i < item_.bench_case.order.size())
        inputs_.back() = in_order(inputs_.back(), item_.bench_case.order[i]);
    }
    if (item_.direction != Direction::kForward)
      for (const TensorDesc& desc : item_.outputs)
        grad_outputs_.push_back(randn(desc.shape, {device_, desc.dtype}));
  }
  if (item_.direction != Direction::kForward) record();
  run();
  device_.synchronize();
  count_traffic();
}

// What was really written is seen in the results, not taken from the model.
void Workload::count_traffic() {
  const double model = item_.op->cost(item_.inputs, item_.attrs).bytes;
  read_forward_ = model - std::min(bytes_of(item_.outputs), model);
  if (item_.direction == Direction::kForward) {
    forward_deliveries_ = deliveries_of(results_);
    traffic_ = forward_traffic(forward_deliveries_);
    return;
  }
  forward_deliveries_ = deliveries_of(outputs_);
  kept_ = bytes_kept();
  read_backward_ = bytes_of_gradients() + kept_;
  traffic_ = traffic_of(deliveries_of(results_));
  if (item_.direction == Direction::kForwardBackward) outputs_.clear();
}

void Workload::record() {
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (wants_grad(*item_.op, i, item_.inputs[i])) {
      inputs_[i].set_requires_grad();
      wanted_.push_back(inputs_[i]);
    }
  outputs_ = forward();
}

std::vector<Tensor> Workload::forward() const {
  return apply(*item_.op, inputs_, item_.attrs, &device_);
}

std::vector<Tensor> Workload::backward(const std::vector<Tensor>& outputs, bool keep) const {
  return grad(outputs, wanted_, grad_outputs_, keep);
}

void Workload::run() {
  switch (item_.direction) {
    case Direction::kForward: {
      const NoGradGuard no_grad;
      results_ = forward();
      break;
    }
    case Direction::kBackward:
      results_ = backward(outputs_, true);
      break;
    case Direction::kForwardBackward: {
      const std::vector<Tensor> outputs = forward();
      results_ = backward(outputs, false);
      break;
    }
  }
}

std::vector<Delivery> Workload::deliveries_of(const std::vector<Tensor>& results) const {
  std::map<const void*, double> room;  // bytes of a storage that no earlier result has
  for (const auto* given : {&inputs_, &grad_outputs_})
    for (const Tensor& x : *given)
      if (x.defined()) room[x.impl()->storage.get()] = 0;
  std::vector<Delivery> out;
  for (const Tensor& x : results) {
    if (!x.defined()) continue;
    const Storage* storage = x.impl()->storage.get();
    double& left = room.try_emplace(storage, double(storage->bytes)).first->second;
    const double due = bytes_of(x.desc()), own = std::min(due, left);
    left -= own;
    out.push_back({own, own < due});
  }
  return out;
}

double Workload::bytes_of_gradients() const {
  double sum = 0;
  for (const Tensor& g : grad_outputs_) sum += bytes_stored(g);
  return sum;
}

double Workload::bytes_kept() const {
  double sum = 0;
  std::set<const void*> seen;  // an input that is saved twice is read once
  std::set<const void*> theirs;
  for (const Tensor& x : inputs_)
    if (x.defined()) theirs.insert(x.impl()->storage.get());
  for (const Tensor& x : outputs_) theirs.insert(x.impl()->storage.get());
  if (const auto& node = outputs_[0].impl()->grad_fn)
    for (const SavedTensor& saved : node->saved)
      if (saved.tensor.defined() && saved.reads == Reads::kAll &&
          theirs.contains(saved.tensor.impl()->storage.get()) &&
          seen.insert(saved.tensor.impl()->storage.get()).second)
        sum += bytes_stored(saved.tensor);
  return sum;
}

Traffic Workload::traffic_of(const std::vector<Delivery>& deliveries) const {
  if (item_.direction == Direction::kForward) return forward_traffic(deliveries);
  Traffic t = backward_traffic(deliveries);
  if (item_.direction == Direction::kBackward) return t;
  const Traffic f = forward_traffic(forward_deliveries_);
  return {.flops = t.flops + f.flops,
          .read = t.read + f.read,
          .written = t.written + f.written,
          .kept = t.kept,
          .view = t.view || f.view,
          .passes = 2};
}

Traffic Workload::forward_traffic(const std::vector<Delivery>& deliveries) const {
  Traffic t = written_by(deliveries, item_.outputs);
  if (t.written == 0 && t.view) return t;
  t.read = read_forward_;
  t.flops = item_.op->cost(item_.inputs, item_.attrs).flops;
  return t;
}

Traffic Workload::backward_traffic(const std::vector<Delivery>& deliveries) const {
  std::vector<TensorDesc> due;
  for (const Tensor& x : wanted_) due.push_back(x.desc());
  Traffic t = written_by(deliveries, due);
  if (t.written == 0) return t;
  t.read = read_backward_;
  t.kept = kept_;
  const auto made = deliveries.empty()
                        ? std::ptrdiff_t(due.size())
                        : std::count_if(deliveries.begin(), deliveries.end(),
                                        [](const Delivery& d) { return d.written > 0; });
  t.flops = double(made) * item_.op->cost(item_.inputs, item_.attrs).flops;
  return t;
}

}  // namespace flame::bench
