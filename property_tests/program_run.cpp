// Programs on the device, judged against the contracts.
#include <cmath>
#include <sstream>

#include "conformance/judge/judge.h"
#include "property_tests/device_run.h"
#include "property_tests/program.h"
#include "tests/support/test_device.h"

namespace flame::property {
namespace {

using reference::Bound;
using reference::BoundTensor;
using reference::HostTensor;

// A program as it ran: the device's tensors, their values and gradients.
struct Ran {
  std::vector<Tensor> tensors;
  std::vector<HostTensor> values, gradients;
  // The entry whose tensor this is: an op with nothing to do hands its input back, and the two are
  // one tensor with one gradient.
  std::vector<std::size_t> same_as;
  std::vector<HostTensor> seeds;  // per entry: what backward started from, undefined elsewhere
};

void run_forward(const Program& program, Ran& ran) {
  for (std::size_t i = 0; i < program.entries.size(); ++i) {
    const Entry& e = program.entries[i];
    ran.same_as.push_back(i);
    if (!e.op) {
      Tensor leaf = conformance::upload(test::device(), e.value, e.layout);
      if (is_floating(leaf.dtype())) leaf.set_requires_grad();
      ran.tensors.push_back(leaf);
      continue;
    }
    std::vector<Tensor> inputs;
    for (int k : e.inputs)
      inputs.push_back(k < 0 ? Tensor() : ran.tensors[static_cast<std::size_t>(k)]);
    ran.tensors.push_back(apply_one(*e.op, inputs, e.attrs));
    for (int k : e.inputs)
      if (k >= 0 && ran.tensors[static_cast<std::size_t>(k)].impl() == ran.tensors[i].impl())
        ran.same_as[i] = ran.same_as[static_cast<std::size_t>(k)];
  }
  ran.values = conformance::download(ran.tensors);
}

// Gradients of all entries that can have one, from the results that can.
void run_backward(const Program& program, Ran& ran) {
  HostTensor none;
  none.defined = false;
  ran.gradients.assign(program.entries.size(), none);
  ran.seeds.assign(program.entries.size(), none);
  const std::vector<int> results = program.results();
  const std::vector<HostTensor> given = result_gradients(program);
  std::vector<Tensor> roots, seeds, wanted;
  std::vector<std::size_t> wanted_at;
  for (std::size_t k = 0; k < results.size(); ++k) {
    const auto i = static_cast<std::size_t>(results[k]);
    // A result that is one tensor with an inner value would start from two places at once.
    if (!ran.tensors[i].requires_grad() || ran.same_as[i] != i) continue;
    roots.push_back(ran.tensors[i]);
    seeds.push_back(conformance::upload(test::device(), given[k]));
    ran.seeds[i] = given[k];
  }
  if (roots.empty()) return;
  for (std::size_t i = 0; i < program.entries.size(); ++i) {
    if (!ran.tensors[i].requires_grad() || ran.same_as[i] != i) continue;
    wanted.push_back(ran.tensors[i]);
    wanted_at.push_back(i);
  }
  const std::vector<Tensor> found = grad(roots, wanted, seeds);
  for (std::size_t k = 0; k < found.size(); ++k)
    if (found[k].defined()) ran.gradients[wanted_at[k]] = conformance::download(found[k]);
}

std::vector<HostTensor> inputs_of(const Entry& e, const std::vector<HostTensor>& values) {
  std::vector<HostTensor> out;
  for (int k : e.inputs) {
    HostTensor none;
    none.defined = false;
    out.push_back(k < 0 ? none : values[static_cast<std::size_t>(k)]);
  }
  return out;
}

// What an entry's gradient should be: a sum of terms, each with its own tolerance, added in the
// gradient's dtype in some order.
struct Expected {
  int terms = 0;
  std::vector<long double> value;
  std::vector<double> tolerance, size;

  void add(const std::vector<Bound>& part, DType dtype, bool exact) {
    if (value.empty()) {
      value.resize(part.size());
      tolerance.resize(part.size());
      size.resize(part.size());
    }
    RC_ASSERT(part.size() == value.size());
    ++terms;
    for (std::size_t i = 0; i < part.size(); ++i) {
      const double t = exact ? 0 : conformance::tolerance(dtype, part[i]);
      value[i] += part[i].value;
      tolerance[i] += t;
      size[i] += std::fabs(static_cast<double>(part[i].value)) + t;
    }
  }
  // Each of the terms - 1 additions rounds a partial sum no larger than the sum of sizes.
  double allowed(std::size_t i, DType dtype) const {
    return tolerance[i] + (terms - 1) * unit_roundoff(dtype) * size[i];
  }
};

std::vector<Expected> expected_gradients(const Program& program, const Ran& ran) {
  std::vector<Expected> out(program.entries.size());
  for (std::size_t i = 0; i < program.entries.size(); ++i) {
    const Entry& e = program.entries[i];
    if (ran.seeds[i].defined) {
      std::vector<Bound> seed;
      for (double v : ran.seeds[i].values) seed.push_back({v, 0});
      out[i].add(seed, ran.seeds[i].dtype, true);
    }
    if (!e.op || ran.same_as[i] != i || !ran.gradients[i].defined) continue;
    const auto parts =
        reference::find_contract(e.op->name)
            .backward(inputs_of(e, ran.values), e.attrs, std::vector<HostTensor>{ran.gradients[i]});
    for (std::size_t k = 0; k < e.inputs.size(); ++k) {
      if (e.inputs[k] < 0 || !parts[k].defined) continue;
      const std::size_t to = ran.same_as[static_cast<std::size_t>(e.inputs[k])];
      if (ran.tensors[to].requires_grad())
        out[to].add(parts[k].values, ran.values[to].dtype, false);
    }
  }
  return out;
}

void judge_gradient(std::size_t entry, const HostTensor& got, const Expected& want) {
  const std::string what = "gradient of t" + std::to_string(entry);
  if (!got.defined) {
    if (want.terms > 0) RC_FAIL(what + " is missing");
    return;
  }
  if (want.terms == 0) RC_FAIL(what + " came from nowhere");
  RC_ASSERT(got.values.size() == want.value.size());
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double allowed = want.allowed(i, got.dtype);
    if (std::fabs(got.values[i] - want.value[i]) <= allowed) continue;  // NaN does not pass
    std::ostringstream why;
    why.precision(17);
    why << what << " at " << i << ": " << got.values[i] << ", want " << want.value[i] << " within "
        << allowed << " (" << want.terms << " terms)";
    RC_FAIL(why.str());
  }
}

}  // namespace

void expect_nodes_agree(const Program& program, const Tamper& tamper) {
  Ran ran;
  run_forward(program, ran);
  run_backward(program, ran);
  if (tamper) tamper(ran.values, ran.gradients);
  for (std::size_t i = 0; i < program.entries.size(); ++i) {
    const Entry& e = program.entries[i];
    if (!e.op) continue;
    const BoundTensor truth =
        reference::find_contract(e.op->name).forward(inputs_of(e, ran.values), e.attrs)[0];
    const auto verdict = conformance::judge("t" + std::to_string(i), ran.values[i], truth);
    if (!verdict.pass) RC_FAIL("t" + std::to_string(i) + ": " + verdict.reason);
  }
  const std::vector<Expected> want = expected_gradients(program, ran);
  for (std::size_t i = 0; i < program.entries.size(); ++i)
    if (ran.same_as[i] == i) judge_gradient(i, ran.gradients[i], want[i]);
}

void expect_chain_agrees(const Program& program) {
  constexpr int kChains = 8;
  Ran ran;
  run_forward(program, ran);
  run_backward(program, ran);
  std::vector<HostTensor> seeds;
  for (int i : program.results()) seeds.push_back(ran.seeds[static_cast<std::size_t>(i)]);
  const auto truth = differentiate(program, evaluate(program, {}), seeds, {});
  std::vector<double> spread(program.entries.size());
  for (std::uint64_t seed = 1; seed <= kChains; ++seed) {
    const Noise noise{true, seed};
    const auto noisy = differentiate(program, evaluate(program, noise), seeds, noise);
    for (std::size_t i = 0; i < spread.size(); ++i)
      for (std::size_t k = 0; noisy[i].defined && k < noisy[i].values.size(); ++k)
        spread[i] = std::max(spread[i], std::fabs(noisy[i].values[k] - truth[i].values[k]));
  }
  for (std::size_t i = 0; i < program.entries.size(); ++i) {
    if (program.entries[i].op || !ran.tensors[i].requires_grad()) continue;
    RC_ASSERT(ran.gradients[i].defined == truth[i].defined);
    for (std::size_t k = 0; truth[i].defined && k < truth[i].values.size(); ++k) {
      const double off = std::fabs(ran.gradients[i].values[k] - truth[i].values[k]);
      if (off <= spread[i]) continue;
      std::ostringstream why;
      why.precision(17);
      why << "gradient of leaf t" << i << " at " << k << ": " << ran.gradients[i].values[k]
          << ", the oracle's chain gives " << truth[i].values[k]
          << ", single precision would move it by " << spread[i];
      RC_FAIL(why.str());
    }
  }
}

}  // namespace flame::property
