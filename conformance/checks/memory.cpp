// Temporaries stay within what the op declares, and everything is given back. On the strict device,
// where every tensor is an allocation of exactly its bytes.
#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

std::int64_t bytes_of(const std::vector<TensorDesc>& descs) {
  std::int64_t total = 0;
  for (const TensorDesc& d : descs)
    if (d.defined) total += numel(d.shape) * std::int64_t(size_of(d.dtype));
  return total;
}

std::vector<TensorDesc> descs_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorDesc> out;
  for (const Tensor& t : tensors) out.push_back(t.desc());
  return out;
}

// One faulty index costs one word of device memory until the next synchronisation.
constexpr std::int64_t kFaultWordBytes = 32;

struct Peak {
  std::int64_t used = 0, allowed = 0;
  std::string over(const char* pass) const {
    if (used <= allowed) return {};
    return str_cat(pass, " needs ", used, " bytes at its peak, ", allowed, " are declared");
  }
};

// Runs the op once between two looks at the allocator. The first of `peaks` is forward's.
void measure(const CheckContext& x, const std::vector<reference::HostTensor>& inputs,
             bool with_gradient, Peak& forward, Peak& backward) {
  const Device& device = x.rig.strict;
  const Call call = upload_call(x, device, inputs);
  const auto descs = output_descs(x, inputs);
  {
    device.reset_peak_memory();
    const std::int64_t before = device.memory_stats().allocated;
    const auto outputs = x.implementation.forward(call);
    forward.used = device.memory_stats().peak - before;
    const auto in = descs_of(call.inputs);
    const std::int64_t workspace = x.op.workspace ? x.op.workspace(in, call.attrs) : 0;
    forward.allowed = bytes_of(descs) + workspace + kFaultWordBytes;
    device.synchronize();
  }
  if (!with_gradient) return;
  const auto grads = upload_all(device, draw_grad_outputs(x, descs, GradKind::kSigned));
  const Tape tape = x.implementation.record(call);
  device.synchronize();
  device.reset_peak_memory();
  const std::int64_t before = device.memory_stats().allocated;
  const auto gradients = x.implementation.backward(tape, grads);
  backward.used = device.memory_stats().peak - before;
  const auto in = descs_of(call.inputs);
  const std::int64_t workspace =
      x.op.backward_workspace ? x.op.backward_workspace(in, call.attrs) : 0;
  backward.allowed = bytes_of(descs_of(gradients)) + workspace + kFaultWordBytes;
}

}  // namespace

Outcome check_memory(const CheckContext& x) {
  const auto inputs = draw(x);
  const bool with_gradient = !no_gradient(x);
  Peak forward, backward;
  measure(x, inputs, with_gradient, forward, backward);  // what is made once is not the call's
  x.rig.strict.synchronize();
  const MemoryStats before = x.rig.strict.memory_stats();
  measure(x, inputs, with_gradient, forward, backward);
  x.rig.strict.synchronize();
  const MemoryStats after = x.rig.strict.memory_stats();
  if (after.allocated != before.allocated || after.live_blocks != before.live_blocks)
    return failed(str_cat(after.allocated - before.allocated, " bytes in ",
                          after.live_blocks - before.live_blocks, " blocks were not given back"));
  if (const std::string over = forward.over("forward"); !over.empty()) return failed(over);
  if (with_gradient)
    if (const std::string over = backward.over("backward"); !over.empty()) return failed(over);
  Outcome out = passed(forward.used + backward.used);
  const double allowed = double(forward.allowed + backward.allowed);
  out.r = allowed > 0 ? double(forward.used + backward.used) / allowed : 0;
  return out;
}

}  // namespace flame::conformance
