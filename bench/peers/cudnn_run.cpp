#include "bench/peers/cudnn_run.h"

#include <algorithm>

#include "conformance/runner/device_io.h"
#include "lib/autograd/grad_mode.h"
#include "lib/core/error.h"
#include "lib/ops/ops.h"

namespace flame::bench {
namespace {

constexpr long long kWorkspaceCap = 1LL << 30;
constexpr int kRunsPerCandidate = 2;
constexpr double kHopeless = 1.3;  // a first run so much slower than the best needs no second

}  // namespace

void CudnnCall::run(int candidate, const std::array<const void*, 3>& in, void* out, void* workspace,
                    driver::StreamHandle stream) {
  char why[cudnn::kWhyBytes] = {};
  const int status = library_->api.run(job_, candidate, in.data(), out, workspace,
                                       reinterpret_cast<void*>(stream), why);
  check<Error>(status == 0, "cudnn: ", why);
}

void CudnnCall::choose_engine(long long engine) {
  for (int i = 0; i < count(); ++i)
    if (library_->api.engine(job_, i) == engine) return choose(i);
}

template <class Problem, class Make>
std::shared_ptr<CudnnCall> CudnnCalls::kept(const Problem& problem, Make make) {
  static_assert(std::has_unique_object_representations_v<Problem>);
  const std::string bytes(reinterpret_cast<const char*>(&problem), sizeof problem);
  std::shared_ptr<CudnnCall>& call = kept_[str_cat(sizeof problem, " ", bytes)];
  if (call) return call;
  char why[cudnn::kWhyBytes] = {};
  cudnn::Job* job = make(library_->context, &problem, why);
  check<Error>(job != nullptr, "cudnn: ", why);
  return call = std::make_shared<CudnnCall>(library_, job);
}

std::shared_ptr<CudnnCall> CudnnCalls::of(const cudnn::Convolution& c) {
  return kept(c, library_->api.convolution);
}
std::shared_ptr<CudnnCall> CudnnCalls::of(const cudnn::Pooling& p) {
  return kept(p, library_->api.pooling);
}
std::shared_ptr<CudnnCall> CudnnCalls::of(const cudnn::Softmax& s) {
  return kept(s, library_->api.softmax);
}

CudnnRun::CudnnRun(CudnnCalls& calls, const Item& item, const std::vector<Tensor>& inputs,
                   const std::vector<Tensor>& grad_outputs, bool channels_last, int most)
    : item_(item), channels_last_(channels_last) {
  const NoGradGuard no_grad;
  for (const Tensor& x : inputs) inputs_.push_back(x.defined() ? laid(x.detach()) : Tensor());
  if (!grad_outputs.empty()) gradient_ = laid(grad_outputs[0].detach());
  if (const auto c = cudnn_convolution_of(item))
    add_convolution(calls, *c, most);
  else if (const auto p = cudnn_pooling_of(item))
    add_unary(calls, *p, true);
  else
    add_unary(calls, cudnn_softmax_of(item).value(), false);
}

void CudnnRun::prepare(Timer* timer, const std::vector<long long>& engines) {
  std::int64_t most = 1;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    CudnnCall& call = *steps_[i].call;
    if (i < engines.size()) call.choose_engine(engines[i]);
    if (timer && !call.settled()) tune(steps_[i], *timer);
    most = std::max(most, call.workspace(call.chosen()));
  }
  workspace_ = room(most);
  if (before_) run(*before_);
}

void CudnnRun::operator()() {
  for (Step& s : steps_) run(s);
}

std::vector<long long> CudnnRun::engines() const {
  std::vector<long long> out;
  for (const Step& s : steps_) out.push_back(s.call->engine());
  return out;
}

std::vector<reference::HostTensor> CudnnRun::results() const {
  if (item_.direction == Direction::kForward) return {downloaded(output_)};
  std::vector<reference::HostTensor> out;
  for (std::size_t i = 0; i < item_.inputs.size(); ++i)
    out.push_back(downloaded(i < gradients_.size() ? gradients_[i] : Tensor()));
  return out;
}

// Copied once, untimed, into the order of dims that cuDNN is given.
Tensor CudnnRun::laid(const Tensor& x) const {
  return (channels_last_ ? permute(x, {0, 2, 3, 1}) : x).contiguous();
}

Tensor CudnnRun::like(const TensorDesc& desc) const {
  Shape shape = desc.shape;
  if (channels_last_) shape = {shape[0], shape[2], shape[3], shape[1]};
  return empty(shape, {inputs_[0].device(), desc.dtype});
}

Tensor CudnnRun::room(std::int64_t bytes) const {
  return empty({bytes}, {inputs_[0].device(), DType::kUInt8});
}

reference::HostTensor CudnnRun::downloaded(const Tensor& x) const {
  if (!x.defined()) return {.shape = {}, .values = {}, .defined = false};
  return conformance::download(channels_last_ ? permute(x, {0, 3, 1, 2}) : x);
}

void CudnnRun::add_convolution(CudnnCalls& calls, cudnn::Convolution c, int most) {
  c.channels_last = channels_last_;
  c.workspace_cap = kWorkspaceCap;
  c.most_candidates = most;
  const auto add = [&](int what, const Tensor& a, const Tensor& b, const Tensor& out) {
    c.what = what;
    steps_.push_back({calls.of(c), {a.data(), b.data(), nullptr}, out.data()});
  };
  if (item_.direction != Direction::kBackward) {
    output_ = like(item_.outputs[0]);
    add(cudnn::kOutput, inputs_[0], inputs_[1], output_);
  }
  if (item_.direction == Direction::kForward) return;
  gradients_ = {like(item_.inputs[0]), like(item_.inputs[1])};
  add(cudnn::kOfInput, inputs_[1], gradient_, gradients_[0]);
  add(cudnn::kOfWeight, inputs_[0], gradient_, gradients_[1]);
}

// A pooling's backward reads the input as well as the output.
template <class Problem>
void CudnnRun::add_unary(CudnnCalls& calls, Problem p, bool reads_input) {
  if constexpr (std::is_same_v<Problem, cudnn::Pooling>) p.channels_last = channels_last_;
  output_ = like(item_.outputs[0]);
  const Step forward{calls.of(p), {inputs_[0].data(), nullptr, nullptr}, output_.data()};
  if (item_.direction == Direction::kBackward)
    before_ = forward;
  else
    steps_.push_back(forward);
  if (item_.direction == Direction::kForward) return;
  p.backward = 1;
  gradients_ = {like(item_.inputs[0])};
  const void* input = reads_input ? inputs_[0].data() : nullptr;
  steps_.push_back({calls.of(p), {output_.data(), gradient_.data(), input}, gradients_[0].data()});
}

void CudnnRun::run(Step& s) {
  s.call->run(s.call->chosen(), s.in, s.out, workspace_.data(), inputs_[0].device().stream());
}

// The fastest of all candidates, cold as they will be timed.
void CudnnRun::tune(Step& s, Timer& timer) {
  std::int64_t most = 1;
  for (int i = 0; i < s.call->count(); ++i) most = std::max(most, s.call->workspace(i));
  const Tensor workspace = room(most);
  const Device device = inputs_[0].device();
  double best = 0;
  std::string problem = "none was offered";
  for (int i = 0; i < s.call->count(); ++i) {
    const auto run = [&] { s.call->run(i, s.in, s.out, workspace.data(), device.stream()); };
    try {
      run();  // its code is loaded at its first run
      device.synchronize();
      double least = 0;
      for (int k = 0; k < kRunsPerCandidate; ++k) {
        if (k > 0 && best > 0 && least > kHopeless * best) break;
        const double ms = timer.time(run, Temperature::kCold);
        least = k == 0 ? ms : std::min(least, ms);
      }
      if (best == 0 || least < best) {
        best = least;
        s.call->choose(i);
      }
    } catch (const Error& e) {
      problem = e.what();  // a candidate that does not run
    }
  }
  check<Error>(best > 0, "cudnn: none of ", s.call->count(), " candidates ran: ", problem);
}

}  // namespace flame::bench
