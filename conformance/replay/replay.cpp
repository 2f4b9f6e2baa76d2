#include "conformance/replay/replay.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "conformance/judge/judge.h"
#include "conformance/runner/device_io.h"
#include "conformance/runner/implementation.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

using records::Record;
using records::Verdict;
using reference::BoundTensor;
using reference::HostTensor;

BoundTensor with_values(const HostTensor& truth) {
  BoundTensor out;
  out.shape = truth.shape;
  for (const double v : truth.values) out.values.push_back({v, 0});
  return out;
}

// One record's making: times the work, turns whatever is thrown into a failure with its words.
template <class Work>
Record record_of(const CaseFile& file, const char* check, const Rig& rig, const std::string& device,
                 Work work) {
  Record r;
  r.op = file.op->name;
  r.case_name = file.name;
  r.dtype = name(file.dtype);
  r.layout = "contiguous";
  r.check = check;
  r.witness = rig.witness ? std::string(rig.witness->name()) : "";
  r.device_kind = rig.kind();
  r.reproduce = str_cat("flame replay --device ", device, " ", file.path);
  const auto start = std::chrono::steady_clock::now();
  try {
    const Judgement j = work(r);
    r.verdict = j.pass ? Verdict::kPass : Verdict::kFail;
    r.reason = j.reason;
    r.r = j.r;
    r.where = j.where;
    r.compared = j.compared;
  } catch (const std::exception& e) {
    r.verdict = Verdict::kFail;
    r.reason = e.what();
  }
  if (r.verdict == Verdict::kFail && r.reason.empty()) r.reason = "the bound is exceeded";
  r.ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return r;
}

// Starts watching; afterwards the names of the kernels that ran.
class Watch {
 public:
  explicit Watch(Witness* witness) : witness_(witness) {
    if (witness_) witness_->begin();
  }
  std::vector<std::string> end() {
    std::vector<std::string> out;
    if (!witness_) return out;
    for (const Event& e : witness_->end())
      if (e.kind == EventKind::kLaunch && std::find(out.begin(), out.end(), e.kernel) == out.end())
        out.push_back(e.kernel);
    return out;
  }

 private:
  Witness* witness_;
};

// The oracle's answers at the file's inputs.
struct Oracle {
  std::vector<BoundTensor> outputs, grads;
};

Oracle ask_oracle(const CaseFile& file) {
  const reference::Contract& contract = reference::find_contract(file.op->name);
  Oracle out;
  out.outputs = contract.forward(file.inputs, file.attrs);
  check<FileError>(out.outputs.size() == file.outputs.size(), file.op->name, " gives ",
                   out.outputs.size(), " outputs, the file holds ", file.outputs.size());
  if (!file.grad_outputs.empty()) {
    check<FileError>(contract.backward != nullptr, file.op->name,
                     " is not differentiable, the file holds gradients");
    out.grads = contract.backward(file.inputs, file.attrs, file.grad_outputs);
  }
  return out;
}

// The file's truth as what a float64 evaluation gave, judged by the oracle's bound.
Judgement judge_oracle(const CaseFile& file, const Oracle& oracle) {
  Judgement all{.pass = true};
  for (std::size_t i = 0; i < file.outputs.size(); ++i)
    all.merge(judge(str_cat("output.", i), file.outputs[i], oracle.outputs[i]));
  for (std::size_t i = 0; i < file.grads.size(); ++i)
    if (file.grads[i].defined)
      all.merge(judge("grad." + file.input_names[i], file.grads[i], oracle.grads[i]));
  return all;
}

Judgement judge_forward(const CaseFile& file, const Oracle& oracle, const Call& call, Rig& rig,
                        Record& r) {
  Watch watch(rig.witness.get());
  const std::vector<HostTensor> got = download(Library().forward(call));
  r.kernels = watch.end();
  check<Error>(got.size() == file.outputs.size(), file.op->name, " gave ", got.size(),
               " outputs, expected ", file.outputs.size());
  Judgement all{.pass = true};
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::string name = str_cat("output.", i);
    all.merge(
        judge(name, got[i], bounded_truth(name, file.outputs[i], oracle.outputs[i], file.dtype)));
  }
  return all;
}

Judgement judge_backward(const CaseFile& file, const Oracle& oracle, const Call& call, Rig& rig,
                         Record& r) {
  Library library;
  std::vector<Tensor> grad_outputs;
  for (const HostTensor& g : file.grad_outputs) grad_outputs.push_back(upload(rig.device, g));
  const Tape tape = library.record(call);
  Watch watch(rig.witness.get());
  const std::vector<HostTensor> got = download(library.backward(tape, grad_outputs));
  r.kernels = watch.end();
  Judgement all{.pass = true};
  for (std::size_t i = 0; i < file.grads.size(); ++i) {
    if (!file.grads[i].defined) continue;
    const std::string name = "grad." + file.input_names[i];
    check<Error>(got[i].defined, name, " is missing");
    all.merge(judge(name, got[i], bounded_truth(name, file.grads[i], oracle.grads[i], file.dtype)));
  }
  return all;
}

}  // namespace

BoundTensor bounded_truth(const std::string& name, const HostTensor& truth,
                          const BoundTensor& oracle, DType run_dtype) {
  check<FileError>(truth.shape == oracle.shape, name, ": the file holds ",
                   flame::to_string(truth.shape), ", the oracle gives ",
                   flame::to_string(oracle.shape));
  const double ratio = unit_roundoff(DType::kFloat64) / unit_roundoff(accumulator(run_dtype));
  BoundTensor out = with_values(truth);
  for (std::size_t i = 0; i < out.values.size(); ++i) {
    const double error = oracle.values[i].error;
    out.values[i].error = error + ratio * (error + std::abs(truth.values[i]));
  }
  return out;
}

std::vector<Record> replay(const CaseFile& file, Rig& rig, const std::string& device) {
  std::vector<Record> out;
  Oracle oracle;
  out.push_back(record_of(file, kReplayChecks[0], rig, device, [&](Record&) {
    oracle = ask_oracle(file);
    return judge_oracle(file, oracle);
  }));
  out.back().witness.clear();  // nothing ran on the device
  // Without the oracle there is no bound to judge by.
  const bool judged = !oracle.outputs.empty() &&
                      (file.grad_outputs.empty() || oracle.grads.size() == file.grads.size());
  const std::string why = "no bound: " + out.back().reason;
  const auto run = [&](const char* check, auto work) {
    out.push_back(record_of(file, check, rig, device, [&](Record& r) {
      flame::check<Error>(judged, why);
      std::vector<Tensor> inputs;
      for (const HostTensor& t : file.inputs) inputs.push_back(upload(rig.device, t));
      return work(file, oracle, Call{file.op, inputs, file.attrs, rig.device}, rig, r);
    }));
  };
  run(kReplayChecks[1], judge_forward);
  if (!file.grad_outputs.empty()) run(kReplayChecks[2], judge_backward);
  return out;
}

}  // namespace flame::conformance
