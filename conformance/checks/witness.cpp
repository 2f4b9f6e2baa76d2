// What the device itself saw during one forward and one backward: a declared kernel ran, nothing
// undeclared did, nothing crossed to the host, and the host did not wait.
//
// flame::grad copies a gradient that aliases another tensor into one of its own. That copy is the
// engine's, not the op's: the op's backward is also called alone, and what flame::grad launches
// beyond it may be at most one launch per gradient.
#include <algorithm>
#include <set>

#include "conformance/checks/support.h"
#include "lib/autograd/grad_mode.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace flame::conformance {

std::int64_t count_launches(const std::vector<Event>& events) {
  return std::count_if(events.begin(), events.end(),
                       [](const Event& e) { return e.kind == EventKind::kLaunch; });
}

namespace {

bool declared(const std::vector<std::string_view>& globs, const std::string& kernel) {
  return std::any_of(globs.begin(), globs.end(), [&](std::string_view glob) {
    return glob_match(normalize_expression(glob), normalize_expression(kernel));
  });
}

std::vector<std::string> launches(const std::vector<Event>& events) {
  std::vector<std::string> out;
  for (const Event& e : events)
    if (e.kind == EventKind::kLaunch) out.push_back(e.kernel);
  return out;
}

// What no op may do while it runs; empty when it did not.
std::string forbidden(const std::vector<Event>& events) {
  for (const Event& e : events) {
    if (e.kind == EventKind::kCopyD2H) return str_cat("copied ", e.bytes, " bytes to the host");
    if (e.kind == EventKind::kCopyH2D) return str_cat("copied ", e.bytes, " bytes from the host");
  }
  for (const Event& e : events)
    if (e.kind == EventKind::kSync) return "made the host wait for the device";
  return {};
}

// Every launch declared, and one at least unless there is nothing to do.
std::string undeclared(const std::vector<std::string>& kernels,
                       const std::vector<std::string_view>& globs, bool must_launch) {
  for (const std::string& kernel : kernels)
    if (!declared(globs, kernel)) return str_cat("ran ", kernel, ", which it does not declare");
  if (must_launch && kernels.empty()) return "launched nothing: none of its kernels ran";
  return {};
}

bool aliases_input(const Tensor& output, const std::vector<Tensor>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [&](const Tensor& t) {
    return t.defined() && output.defined() && t.data() == output.data();
  });
}

// The launches of the op's own backward, without the engine around it.
std::vector<std::string> bare_backward(const CheckContext& x, const Call& call,
                                       const std::vector<Tensor>& grads) {
  const NoGradGuard no_grad;
  std::vector<TensorDesc> in, out;
  Flags needs;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    in.push_back(call.inputs[i].desc());
    needs.push_back(in[i].defined && is_floating(in[i].dtype) && param_of(x.op, i).differentiable);
  }
  out = x.op.infer(in, call.attrs);
  OpContext forward(x.op, x.rig.device, out, needs);
  const auto outputs = x.op.forward(forward, call.inputs, call.attrs);
  const std::vector<SavedTensor> saved = forward.take_saved();
  BackwardContext backward(x.op, x.rig.device, in, out, saved, needs);
  x.rig.witness->begin();
  const auto gradients = x.op.backward(backward, grads, call.attrs);
  return launches(x.rig.witness->end());
}

std::string judge_backward(const CheckContext& x, const Call& call,
                           const std::vector<reference::HostTensor>& inputs,
                           std::set<std::string>& seen, std::int64_t& count) {
  const auto grads =
      upload_all(x.rig.device, draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned));
  const Tape tape = x.implementation.record(call);
  x.implementation.backward(tape, grads);  // compiles what is not compiled yet
  // An op that had nothing to do hands its input back: then there is no backward of its own.
  if (tape.outputs[0].impl() == tape.leaves[0].impl()) return {};
  const auto own = bare_backward(x, call, grads);
  x.rig.witness->begin();
  const auto gradients = x.implementation.backward(tape, grads);
  const auto events = x.rig.witness->end();
  const auto all = launches(events);
  count += std::int64_t(all.size());
  seen.insert(all.begin(), all.end());
  if (auto why = forbidden(events); !why.empty()) return "backward " + why;
  bool any_elements = false;
  for (const Tensor& g : gradients) any_elements |= g.defined() && g.numel() > 0;
  const bool must = any_elements && !x.op.backward_kernels.empty();
  if (auto why = undeclared(own, x.op.backward_kernels, must && !own.empty()); !why.empty())
    return "backward " + why;
  std::int64_t foreign = 0, expected = 0;
  for (const std::string& kernel : all)
    ++(declared(x.op.backward_kernels, kernel) ? expected : foreign);
  if (must && !own.empty() && expected == 0) return "backward launched none of its kernels";
  if (foreign > std::int64_t(gradients.size()))
    return str_cat("backward ran ", foreign, " kernels that it does not declare, ", all.back(),
                   " among them");
  return {};
}

}  // namespace

Outcome check_witness(const CheckContext& x) {
  const auto inputs = draw(x);
  const Call call = upload_call(x, x.rig.device, inputs);
  x.implementation.forward(call);  // compiles what is not compiled yet
  x.rig.witness->begin();
  const auto outputs = x.implementation.forward(call);
  const auto events = x.rig.witness->end();
  const auto kernels = launches(events);
  std::set<std::string> seen(kernels.begin(), kernels.end());
  std::int64_t count = std::int64_t(kernels.size());
  std::string why = forbidden(events);
  // A view, an empty result and an input handed back need no kernel.
  const bool idle = all_empty(output_descs(x, inputs)) || x.op.kind == OpKind::kView ||
                    aliases_input(outputs.at(0), call.inputs);
  if (why.empty()) why = undeclared(kernels, x.op.kernels, !idle);
  if (!why.empty()) why = "forward " + why;
  if (why.empty() && !no_gradient(x)) why = judge_backward(x, call, inputs, seen, count);
  Outcome out = why.empty() ? passed(count) : failed(why);
  out.kernels.assign(seen.begin(), seen.end());
  return out;
}

}  // namespace flame::conformance
