// One call gives the same bits alone, after other ops in any order, repeated, and from eight
// threads at once.
#include <algorithm>
#include <thread>

#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

std::vector<Bits> run_once(const CheckContext& x, const std::vector<reference::HostTensor>& inputs,
                           const std::vector<reference::HostTensor>& grads) {
  const Call call = upload_call(x, x.rig.device, inputs);
  std::vector<Bits> bits = bits_of(x.implementation.forward(call));
  if (grads.empty()) return bits;
  const Tape tape = x.implementation.record(call);
  for (Bits& b : bits_of(x.implementation.backward(tape, upload_all(x.rig.device, grads))))
    bits.push_back(std::move(b));
  return bits;
}

// The first plain case of another op, to have run something in between.
void run_other(const CheckContext& x, const OpDef& op) {
  const reference::Contract& contract = reference::find_contract(op.name);
  for (const reference::Case& c : contract.cases()) {
    if (!c.quick || !c.dtypes.has(DType::kFloat32)) continue;
    const CheckContext other{x.rig,           x.implementation,    op,     contract, c, nullptr,
                             DType::kFloat32, Layout::kContiguous, x.seed, x.level};
    x.implementation.forward(upload_call(other, x.rig.device, draw(other)));
    return;
  }
}

}  // namespace

Outcome check_isolation(const CheckContext& x) {
  const auto inputs = draw(x);
  std::vector<reference::HostTensor> grads;
  if (!no_gradient(x)) grads = draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned);
  const auto alone = run_once(x, inputs, grads);

  std::vector<const OpDef*> others(all_ops().begin(), all_ops().end());
  for (std::size_t i = others.size(); i > 1; --i)
    std::swap(others[i - 1], others[mix(x.seed, i) % i]);
  if (x.level == Level::kQuick) others.resize(std::min<std::size_t>(others.size(), 6));
  for (const OpDef* op : others) run_other(x, *op);
  Judgement all = judge_same("after_others", run_once(x, inputs, grads), alone);

  constexpr int kThreads = 8;
  std::vector<std::vector<Bits>> found(kThreads);
  std::vector<std::string> errors(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      try {
        for (int repeat = 0; repeat < 2; ++repeat) found[t] = run_once(x, inputs, grads);
      } catch (const std::exception& e) {
        errors[t] = e.what();
      }
    });
  for (std::thread& t : threads) t.join();
  for (std::size_t t = 0; t < kThreads; ++t) {
    if (!errors[t].empty()) return failed(str_cat("thread ", t, " of 8 threw: ", errors[t]));
    all.merge(judge_same(str_cat("thread", t), found[t], alone));
  }
  return passed(all);
}

}  // namespace flame::conformance
