// Every fake against every op that can wear it: the check that must catch it is run on the library,
// where it must pass, and on the fake, where it must fail.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "conformance/checks/support.h"
#include "conformance/fakes/fake.h"
#include "conformance/fakes/other_judges.h"
#include "conformance/runner/session.h"
#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/tensor/tensor_impl.h"

namespace flame::conformance {

using records::Kill;
using records::Record;
using records::Verdict;
using reference::Case;
using reference::HostTensor;

namespace {

bool same_values(const std::vector<HostTensor>& a, const std::vector<HostTensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].defined != b[i].defined || a[i].dtype != b[i].dtype || a[i].shape != b[i].shape)
      return false;
    for (std::size_t k = 0; k < a[i].values.size(); ++k) {
      const double x = a[i].values[k], y = b[i].values[k];
      if (!(x == y || (std::isnan(x) && std::isnan(y)))) return false;
    }
  }
  return true;
}

// A fake put on: the implementation and the device that it runs on.
struct Worn {
  Rig* rig = nullptr;
  Implementation* implementation = nullptr;
  Library library;
  std::unique_ptr<Implementation> fake;
  std::unique_ptr<Rig> faulty;
};

std::unique_ptr<Worn> wear(const Fake& fake, Rig& rig) {
  auto worn = std::make_unique<Worn>();
  worn->rig = &rig;
  worn->implementation = &worn->library;
  if (fake.implementation) {
    worn->fake = fake.implementation(worn->library);
    worn->implementation = worn->fake.get();
  }
  if (fake.driver) {
    worn->faulty = std::make_unique<Rig>(fake.driver(rig.driver), rig.witness);
    worn->rig = worn->faulty.get();
  }
  return worn;
}

class KillWorker : public Worker {
 public:
  KillWorker(const VerifyOptions& options,
             const std::vector<std::pair<const Fake*, const OpDef*>>& pairs)
      : options_(options), pairs_(pairs), rig_(open_rig(options)) {}
  std::string hello() override { return records::to_json(describe(options_, *rig_)); }
  bool healthy() override { return device_works(*rig_); }

  std::string run(std::size_t item) override {
    const auto& [fake, op] = pairs_[item];
    Kill kill = attempt(*fake, *op);
    kill.fake = fake->id;
    kill.op = std::string(op->name);
    kill.check = fake->check;
    kill.device_kind = rig_->kind();
    kill.seed = options_.seed;
    return records::to_line(kill);
  }

 private:
  struct Candidate {
    PlanItem item;
    Case c;
  };

  // The plan items of the check that must catch it, at the full level, in the fake's layout.
  std::vector<Candidate> candidates(const Fake& fake, const OpDef& op, std::string& reason) const {
    const reference::Contract& contract = reference::find_contract(op.name);
    const Check& check = find_check(fake.check);
    std::vector<Candidate> out;
    auto add = [&](const Case& c, DType dtype) {
      out.push_back({{std::string(op.name), c.name, check.id, to_string(fake.layout), dtype}, c});
    };
    if (check.scope == Scope::kErrorCases) {
      for (const auto& e :
           contract.error_cases ? contract.error_cases() : std::vector<reference::ErrorCase>{})
        if (!e.deferred) add({.name = e.name, .inputs = e.inputs, .attrs = e.attrs}, e.dtype);
      if (out.empty()) reason = "its contract has no error that is due at once";
      return out;
    }
    std::vector<Case> cases = representatives(op, contract, 5);
    if (check.scope == Scope::kEveryCase)
      for (Case& c : contract.cases())
        if (c.quick && std::none_of(cases.begin(), cases.end(),
                                    [&](const Case& known) { return known.name == c.name; }))
          cases.push_back(std::move(c));
    reason = "no case of it has this dtype";
    for (const Case& c : cases) {
      if (auto why = fake.unfit(op, c)) {
        reason = *why;
        continue;
      }
      const auto dtypes = case_dtypes(op, c);
      const bool has = std::find(dtypes.begin(), dtypes.end(), fake.dtype) != dtypes.end();
      if (has)
        add(c, fake.dtype);
      else if (fake.dtype == DType::kFloat32 && !dtypes.empty())
        add(c, dtypes.front());
    }
    return out;
  }

  CheckContext context(const Candidate& candidate, Rig& rig, Implementation& implementation) const {
    return {rig,
            implementation,
            find_op(candidate.item.op),
            reference::find_contract(candidate.item.op),
            candidate.c,
            nullptr,
            candidate.item.dtype,
            *parse_layout(candidate.item.layout),
            item_seed(options_, candidate.item),
            options_.level};
  }

  struct Results {
    std::vector<HostTensor> outputs, gradients;
    bool threw = false;
  };
  Results results(const Fake& fake, const Candidate& candidate, bool honest, bool gradients,
                  const std::vector<HostTensor>& inputs,
                  const std::vector<HostTensor>& grads) const {
    const auto worn = wear(fake, *rig_);
    Library library;
    const CheckContext x =
        context(candidate, honest ? *rig_ : *worn->rig, honest ? library : *worn->implementation);
    Results out;
    try {
      const Call call = upload_call(x, x.rig.device, inputs);
      out.outputs = download(x.implementation.forward(call));
      if (gradients) {
        const Tape tape = x.implementation.record(call);
        out.gradients =
            download(x.implementation.backward(tape, upload_all(x.rig.device, grads, x.layout)));
      }
    } catch (const std::exception&) {
      out.threw = true;
    }
    return out;
  }

  // Whether the fake gives other values than the library on this case.
  bool shows(const Fake& fake, const Candidate& candidate) const {
    if (fake.shows == Shows::kBehaviour) return true;
    Library library;
    const CheckContext x = context(candidate, *rig_, library);
    const bool gradient = fake.shows == Shows::kGradient;
    if (gradient && no_gradient(x)) return false;
    const auto inputs = draw(x);
    const auto grads = gradient ? draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned)
                                : std::vector<HostTensor>{};
    const Results honest = results(fake, candidate, true, gradient, inputs, grads);
    const Results faked = results(fake, candidate, false, gradient, inputs, grads);
    if (honest.threw) return false;  // no proof can come of it
    return faked.threw || !same_values(honest.outputs, faked.outputs) ||
           !same_values(honest.gradients, faked.gradients);
  }

  bool returns_a_view(const Candidate& candidate) const {
    Library library;
    const CheckContext x = context(candidate, *rig_, library);
    const Call call = upload_call(x, rig_->device, draw(x));
    const Tensor output = library.forward(call).at(0);
    return std::any_of(call.inputs.begin(), call.inputs.end(), [&](const Tensor& t) {
      return t.defined() && t.impl()->storage == output.impl()->storage;
    });
  }

  Record run_worn(const Fake& fake, const PlanItem& item) {
    const auto worn = wear(fake, *rig_);
    return run_item(options_, item, *worn->rig, *worn->implementation);
  }

  // The library itself must pass where the fake is to fail. Asked once.
  const Record& control(const PlanItem& item) {
    auto [it, is_new] = controls_.try_emplace(item.to_string());
    if (is_new) {
      Library library;
      it->second = run_item(options_, item, *rig_, library);
    }
    return it->second;
  }

  Kill attempt(const Fake& fake, const OpDef& op) {
    Kill kill;
    kill.allclose = kill.ggml_nmse = kill.jax_scaled = kill.sum_loss = "n/a";
    if (fake.simulator_only && !rig_->simulated()) {
      kill.reason = "needs the simulated device";
      return kill;
    }
    std::string last_survival;
    for (const Candidate& candidate : candidates(fake, op, kill.reason)) {
      // Asked first: a fake may leave nothing of the device to ask on.
      const Record& honest = control(candidate.item);
      if (honest.verdict != Verdict::kPass) {
        kill.reason = honest.verdict == Verdict::kNotRun
                          ? honest.reason
                          : "the library fails this check itself: " + honest.reason;
        continue;
      }
      if (!shows(fake, candidate)) {
        kill.reason = "gives the right result on every case: there is nothing to catch";
        continue;
      }
      if (fake.own_output && returns_a_view(candidate)) {
        kill.reason = "its result is a view of its input: always up to date";
        continue;
      }
      const Record record = run_worn(fake, candidate.item);
      if (record.verdict != Verdict::kFail) {
        last_survival = str_cat("survived on ", candidate.item.to_string());
        continue;
      }
      kill.verdict = Verdict::kPass;
      kill.reason = candidate.item.to_string() + ": " + record.reason;
      kill.caught_by = caught_by(fake, candidate);
      ask_others(fake, candidate, kill);
      return kill;
    }
    if (!last_survival.empty()) {
      kill.verdict = Verdict::kFail;
      kill.reason = last_survival;
    }
    return kill;
  }

  // The check that had to, and at the full level every other one that fires on the same case.
  std::string caught_by(const Fake& fake, const Candidate& candidate) {
    std::string out = fake.check;
    if (options_.level == Level::kQuick || find_check(fake.check).scope == Scope::kErrorCases)
      return out;
    for (const Check& check : all_checks()) {
      if (check.id == fake.check || check.scope == Scope::kErrorCases) continue;
      PlanItem item = candidate.item;
      item.check = check.id;
      if (check.scope == Scope::kEveryLayout && fake.layout == Layout::kContiguous)
        item.layout = to_string(Layout::kSliced);
      if (check.scope == Scope::kFloat64) item.dtype = DType::kFloat64;
      if (control(item).verdict != Verdict::kPass) continue;
      if (run_worn(fake, item).verdict == Verdict::kFail) out += "," + check.id;
    }
    return out;
  }

  void ask_others(const Fake& fake, const Candidate& candidate, Kill& kill) {
    if (find_check(fake.check).scope == Scope::kErrorCases) return;
    Library library;
    const CheckContext x = context(candidate, *rig_, library);
    const auto inputs = draw(x);
    const bool gradient = !no_gradient(x);
    const Attrs attrs = case_attrs(x);
    Evidence e;
    e.output_truth = x.contract.forward(inputs, attrs);
    std::vector<HostTensor> grads, ones;
    if (gradient) {
      grads = draw_grad_outputs(x, output_descs(x, inputs), GradKind::kSigned);
      ones = grads;
      for (HostTensor& t : ones) std::fill(t.values.begin(), t.values.end(), 1.0);
      e.gradient_truth = x.contract.backward(inputs, attrs, grads);
      e.gradient_of_sum_truth = x.contract.backward(inputs, attrs, ones);
    }
    Results r = results(fake, candidate, false, gradient, inputs, grads);
    e.threw = r.threw;
    e.outputs = std::move(r.outputs);
    e.gradients = std::move(r.gradients);
    if (gradient && !e.threw) {
      Results sum = results(fake, candidate, false, true, inputs, ones);
      e.threw = sum.threw;
      e.gradients_of_sum = std::move(sum.gradients);
    }
    const OtherVerdicts v = ask_other_judges(e);
    kill.allclose = v.allclose;
    kill.ggml_nmse = v.ggml_nmse;
    kill.jax_scaled = v.jax_scaled;
    kill.sum_loss = v.sum_loss;
  }

  const VerifyOptions& options_;
  const std::vector<std::pair<const Fake*, const OpDef*>>& pairs_;
  std::unique_ptr<Rig> rig_;
  std::map<std::string, Record> controls_;
};

}  // namespace

Summary kill_matrix(const VerifyOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::pair<const Fake*, const OpDef*>> pairs;
  for (const Fake& fake : all_fakes())
    for (const OpDef* op : all_ops())
      if (glob_match(options.check, fake.id) && glob_match(options.op, op->name))
        pairs.emplace_back(&fake, op);
  check<ValueError>(!pairs.empty(), "kill matrix: no fake matches '", options.check,
                    "' on an op that matches '", options.op, "'");
  Summary summary;
  summary.planned = std::int64_t(pairs.size());
  Progress progress{.planned = summary.planned};
  Fleet fleet;
  fleet.jobs = job_count(options);
  fleet.items = pairs.size();
  fleet.in_process = options.in_process;
  fleet.start = [&] { return std::make_unique<KillWorker>(options, pairs); };
  fleet.on_hello = [&](const std::string& hello) { started(summary, options, hello); };
  fleet.on_result = [&](std::size_t, const std::string& line) {
    const Kill kill = records::parse_kill(line);
    count(summary, kill.verdict);
    if (options.on_kill) options.on_kill(kill);
  };
  // What took the process down is not known to be the fake: not a proof.
  fleet.on_death = [&](std::size_t item, const std::string& how) {
    Kill kill;
    kill.fake = pairs[item].first->id;
    kill.op = std::string(pairs[item].second->name);
    kill.check = pairs[item].first->check;
    kill.verdict = Verdict::kFail;
    kill.reason = how;
    kill.device_kind = summary.manifest.device_kind;
    kill.allclose = kill.ggml_nmse = kill.jax_scaled = kill.sum_loss = "n/a";
    return records::to_line(kill);
  };
  fleet.on_finished = [&](std::size_t item) {
    if (!options.on_progress) return;
    ++progress.done;
    progress.passed = summary.passed;
    progress.failed = summary.failed;
    progress.not_run = summary.not_run;
    progress.current = pairs[item].first->id + " " + std::string(pairs[item].second->name);
    options.on_progress(progress);
  };
  run_fleet(fleet);
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  summary.manifest.planned = summary.planned;
  summary.manifest.seconds = summary.seconds;
  return summary;
}

}  // namespace flame::conformance
