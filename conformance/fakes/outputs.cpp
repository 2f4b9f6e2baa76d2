// Fakes whose results are wrong.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>

#include "conformance/checks/support.h"
#include "conformance/fakes/fake.h"
#include "lib/tensor/runtime.h"

namespace flame::conformance {
namespace {

using reference::Case;
using reference::HostTensor;
using reference::round_to;

// The library's outputs, edited on their way out.
template <Edit kEdit>
class EditedOutputs : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    return edited(Decorator::forward(call), kEdit, calls_++);
  }

 private:
  std::uint64_t calls_ = 0;
};

// The library's results for edited floating inputs.
template <Edit kEdit>
class EditedInputs : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    Call changed = call;
    for (Tensor& t : changed.inputs)
      if (t.defined() && is_floating(t.dtype())) t = edited({t}, kEdit)[0];
    return Decorator::forward(changed);
  }
};

template <class T>
std::unique_ptr<Implementation> make(Implementation& inner) {
  return std::make_unique<T>(inner);
}

void zero(HostTensor& t, std::uint64_t) { std::fill(t.values.begin(), t.values.end(), 0.0); }

void first_everywhere(HostTensor& t, std::uint64_t) {
  if (!t.values.empty()) std::fill(t.values.begin(), t.values.end(), t.values[0]);
}

void mean_everywhere(HostTensor& t, std::uint64_t) {
  if (t.values.empty()) return;
  const double mean =
      std::accumulate(t.values.begin(), t.values.end(), 0.0) / double(t.values.size());
  const double stored = is_floating(t.dtype) ? round_to(t.dtype, mean) : std::trunc(mean);
  std::fill(t.values.begin(), t.values.end(), stored);
}

void first_batch_everywhere(HostTensor& t, std::uint64_t) {
  if (t.shape.empty() || t.shape[0] < 2 || t.values.empty()) return;
  const std::size_t batch = t.values.size() / std::size_t(t.shape[0]);
  for (std::size_t i = batch; i < t.values.size(); ++i) t.values[i] = t.values[i % batch];
}

void shifted(HostTensor& t, std::uint64_t) {
  if (t.values.size() > 1) std::rotate(t.values.begin(), t.values.begin() + 1, t.values.end());
}

void without_nan(HostTensor& t, std::uint64_t) {
  for (double& v : t.values)
    if (std::isnan(v)) v = 0;
}

// A thousandth of 1 % on one element: what an average over the tensor never sees.
void one_element_off(HostTensor& t, std::uint64_t) {
  if (t.values.empty() || !is_floating(t.dtype)) return;
  double& v = t.values[t.values.size() / 2];
  v = round_to(t.dtype, v + (1 + std::fabs(v)) * 64 * unit_roundoff(t.dtype));
}

void after_five_calls(HostTensor& t, std::uint64_t call) {
  if (call >= 5) zero(t, call);
}

void last_bit_of_every_other_call(HostTensor& t, std::uint64_t call) {
  if (call % 2 == 0 || t.values.empty()) return;
  auto bytes = encode(t);
  bytes[0] ^= std::byte{1};
  t = reference::decode(t.dtype, t.shape, bytes);
}

void as_float32(HostTensor& t, std::uint64_t) {
  if (is_floating(t.dtype)) t.dtype = DType::kFloat32;
}

// Rounds to `bits` significant bits: what a tensor core reads.
template <int bits>
void cut_to(HostTensor& t, std::uint64_t) {
  for (double& v : t.values) {
    int exponent = 0;
    const double fraction = std::frexp(v, &exponent);
    if (std::isfinite(v))
      v = std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
  }
}

void last_quarter_is_the_first(HostTensor& t, std::uint64_t) {
  const std::size_t n = t.values.size();
  for (std::size_t i = n - (n + 3) / 4; i < n && n > 1; ++i) t.values[i] = t.values[0];
}

// The first floating input, cut or repeated to the output's shape.
class CopiesInput : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    std::vector<Tensor> outputs = Decorator::forward(call);
    for (const Tensor& input : call.inputs) {
      if (!input.defined() || !is_floating(input.dtype()) || input.numel() == 0) continue;
      const HostTensor from = download(input);
      for (Tensor& t : outputs) {
        HostTensor host = download(t);
        for (std::size_t i = 0; i < host.values.size(); ++i)
          host.values[i] = from.values[i % from.values.size()];
        t = upload(t.device(), host);
      }
      break;
    }
    return outputs;
  }
};

std::optional<std::size_t> bias_of(const OpDef& op) {
  for (std::size_t i = 0; i < op.inputs.size(); ++i)
    if (op.inputs[i].name == "bias" && op.inputs[i].optional) return i;
  return std::nullopt;
}

std::optional<std::string> needs_bias(const OpDef& op, const Case& c) {
  const auto bias = bias_of(op);
  if (!bias) return "it takes no bias";
  if (*bias >= c.inputs.size() || !c.inputs[*bias].defined) return "none of its cases has a bias";
  return std::nullopt;
}

// Rounds the result without the bias, then adds the bias (the result for an input of zeros).
class BiasAfterRounding : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    const std::size_t bias = *bias_of(*call.op);
    if (bias >= call.inputs.size() || !call.inputs[bias].defined()) return Decorator::forward(call);
    Call without = call, alone = call;
    without.inputs[bias] = Tensor();
    alone.inputs[0] = edited({call.inputs[0]}, zero)[0];
    std::vector<Tensor> outputs = Decorator::forward(without);
    const HostTensor added = download(Decorator::forward(alone)[0]);
    HostTensor sum = download(outputs[0]);
    for (std::size_t i = 0; i < sum.values.size(); ++i)
      sum.values[i] = round_to(sum.dtype, sum.values[i] + added.values[i]);
    outputs[0] = upload(outputs[0].device(), sum);
    return outputs;
  }
};

// Copies three quarters of the result and leaves the tail as it was allocated.
class PartialTail : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    std::vector<Tensor> outputs = Decorator::forward(call);
    for (Tensor& t : outputs) {
      if (t.numel() < 2) continue;
      const auto packed = packed_bytes(t);
      Tensor part = empty(t.shape(), {t.device(), t.dtype()});
      const std::size_t kept = std::size_t(t.numel() * 3 / 4) * size_of(t.dtype());
      auto& driver = t.device().runtime().driver();
      driver.copy_to_device(part.data(), packed.data(), kept, t.device().stream());
      driver.synchronize(t.device().stream());
      t = part;
    }
    return outputs;
  }
};

// What the last call of this op and shape gave.
class Stale : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    std::vector<Tensor> now = Decorator::forward(call);
    const std::lock_guard lock(mutex_);
    auto& last = last_[call.op];
    const bool fits = last.size() == now.size() && !last.empty() && last[0].desc() == now[0].desc();
    std::swap(last, now);
    return fits ? now : last;
  }

 private:
  std::mutex mutex_;
  std::map<const OpDef*, std::vector<Tensor>> last_;
};

// The result of the call that last had its inputs at these addresses.
class CachesByPointer : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    std::string key(call.op->name);
    for (const Tensor& t : call.inputs)
      key += "," + std::to_string(t.defined() ? std::uintptr_t(t.data()) : 0);
    const std::lock_guard lock(mutex_);
    auto it = cache_.find(key);
    if (it == cache_.end()) it = cache_.emplace(key, Decorator::forward(call)).first;
    return it->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<Tensor>> cache_;
};

// Adds to what the last call left instead of assigning.
class Accumulates : public Decorator {
 public:
  using Decorator::Decorator;
  std::vector<Tensor> forward(const Call& call) override {
    std::vector<Tensor> now = Decorator::forward(call);
    for (Tensor& t : now) {
      HostTensor host = download(t);
      auto& sum = sums_[flame::to_string(host.shape)];
      sum.resize(host.values.size(), 0.0);
      for (std::size_t i = 0; i < sum.size(); ++i) {
        sum[i] += host.values[i];
        host.values[i] = is_floating(host.dtype) ? round_to(host.dtype, sum[i]) : sum[i];
      }
      if (host.dtype != DType::kBool) t = upload(t.device(), host);
    }
    return now;
  }

 private:
  std::map<std::string, std::vector<double>> sums_;
};

}  // namespace

std::vector<Fake> output_fakes() {
  const auto out = Shows::kOutput;
  return {
      {"zeros", "returns zeros", "forward", out, fits_all, make<EditedOutputs<zero>>},
      {"copies_input", "returns its first input", "forward", out, needs_input, make<CopiesInput>},
      {"constant", "returns its first element everywhere", "forward", out, fits_all,
       make<EditedOutputs<first_everywhere>>},
      {"mean_of_truth", "returns the mean of the right result everywhere", "forward", out, fits_all,
       make<EditedOutputs<mean_everywhere>>},
      {"wrong_batch", "returns the first batch for every batch", "forward", out, fits_all,
       make<EditedOutputs<first_batch_everywhere>>},
      {"shifted", "reads its neighbour: every element one place further", "forward", out, fits_all,
       make<EditedOutputs<shifted>>},
      {"one_element", "one element off by 64 roundings", "forward", out, fits_all,
       make<EditedOutputs<one_element_off>>},
      {"hides_nan", "gives 0 where the truth is NaN", "forward", out, fits_all,
       make<EditedOutputs<without_nan>>},
      {"wrong_dtype", "returns float32 for every floating type", "forward", out, fits_all,
       make<EditedOutputs<as_float32>>, nullptr, Layout::kContiguous, DType::kBFloat16},
      {"tf32", "reads float32 with TF32's 11 bits", "forward", out, needs_input,
       make<EditedInputs<cut_to<11>>>},
      {"bf16", "reads float32 with bfloat16's 8 bits", "forward", out, needs_input,
       make<EditedInputs<cut_to<8>>>},
      {"bias_after_rounding", "rounds its result before it adds the bias", "forward", out,
       needs_bias, make<BiasAfterRounding>, nullptr, Layout::kContiguous, DType::kFloat16},
      {"partial_data", "computes from three quarters of its data", "influence", out, needs_input,
       make<EditedInputs<last_quarter_is_the_first>>},
      {"partial_tail", "leaves the last quarter of its output unwritten", "written",
       Shows::kBehaviour, fits_all, make<PartialTail>},
      {"stale", "returns the result of the call before", "no_memo", Shows::kBehaviour, needs_input,
       make<Stale>},
      {"caches_by_pointer", "returns what it once computed for these addresses", "no_memo",
       Shows::kBehaviour, needs_input, make<CachesByPointer>, nullptr, Layout::kContiguous,
       DType::kFloat32, false, true},
      {"accumulates", "adds to its last output where it should assign", "deterministic",
       Shows::kBehaviour, fits_all, make<Accumulates>},
      {"corrupts_later", "returns zeros from the sixth call on", "deterministic", Shows::kBehaviour,
       fits_all, make<EditedOutputs<after_five_calls>>},
      {"flickers", "flips the last bit of one element in every other call", "deterministic",
       Shows::kBehaviour, fits_all, make<EditedOutputs<last_bit_of_every_other_call>>},
  };
}

}  // namespace flame::conformance
