// One item in cuDNN's calls. For bench/peers/cudnn.cpp.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/peers/cudnn.h"
#include "lib/tensor/tensor.h"
#include "reference/host_tensor.h"

namespace flame::bench {

struct CudnnLibrary {
  cudnn::Api api;
  cudnn::Context* context = nullptr;
  ~CudnnLibrary() {
    if (context) api.close(context);
  }
};

// One call of cuDNN's, in the way that was found to be fastest.
class CudnnCall {
 public:
  CudnnCall(std::shared_ptr<CudnnLibrary> library, cudnn::Job* job)
      : library_(std::move(library)), job_(job) {}
  CudnnCall(const CudnnCall&) = delete;
  CudnnCall& operator=(const CudnnCall&) = delete;
  ~CudnnCall() { library_->api.drop(job_); }

  int count() const { return library_->api.candidates(job_); }
  std::int64_t workspace(int candidate) const { return library_->api.workspace(job_, candidate); }
  void run(int candidate, const std::array<const void*, 3>& in, void* out, void* workspace,
           driver::StreamHandle stream);

  void choose(int candidate) {
    chosen_ = candidate;
    settled_ = true;
  }
  // The same kind of kernel as elsewhere, where it is offered.
  void choose_engine(long long engine);
  bool settled() const { return settled_; }
  int chosen() const { return chosen_; }
  long long engine() const { return library_->api.engine(job_, chosen_); }

 private:
  std::shared_ptr<CudnnLibrary> library_;
  cudnn::Job* job_;
  int chosen_ = 0;
  bool settled_ = false;
};

// Calls are made once for a problem: backward is part of forward + backward.
class CudnnCalls {
 public:
  explicit CudnnCalls(std::shared_ptr<CudnnLibrary> library) : library_(std::move(library)) {}
  // Throw Error where cuDNN has no way of doing it.
  std::shared_ptr<CudnnCall> of(const cudnn::Convolution& c);
  std::shared_ptr<CudnnCall> of(const cudnn::Pooling& p);
  std::shared_ptr<CudnnCall> of(const cudnn::Softmax& s);

 private:
  template <class Problem, class Make>
  std::shared_ptr<CudnnCall> kept(const Problem& problem, Make make);

  std::shared_ptr<CudnnLibrary> library_;
  std::map<std::string, std::shared_ptr<CudnnCall>> kept_;
};

// An item with its operands as cuDNN wants them, in either layout.
class CudnnRun {
 public:
  // `most`: candidates of each call.
  CudnnRun(CudnnCalls& calls, const Item& item, const std::vector<Tensor>& inputs,
           const std::vector<Tensor>& grad_outputs, bool channels_last, int most);

  // Before anything is timed: the fastest candidates are found where there is a timer, or those of
  // `engines` are taken, another run's.
  void prepare(Timer* timer, const std::vector<long long>& engines = {});
  void operator()();

  std::vector<long long> engines() const;
  // As judge_results wants them: the outputs, or a gradient an input.
  std::vector<reference::HostTensor> results() const;

 private:
  struct Step {
    std::shared_ptr<CudnnCall> call;
    std::array<const void*, 3> in;
    void* out;
  };

  Tensor laid(const Tensor& x) const;
  Tensor like(const TensorDesc& desc) const;
  Tensor room(std::int64_t bytes) const;
  reference::HostTensor downloaded(const Tensor& x) const;
  void add_convolution(CudnnCalls& calls, cudnn::Convolution c, int most);
  template <class Problem>
  void add_unary(CudnnCalls& calls, Problem p, bool reads_input);
  void run(Step& s);
  void tune(Step& s, Timer& timer);

  Item item_;
  bool channels_last_;
  std::vector<Tensor> inputs_, gradients_;
  Tensor gradient_, output_, workspace_;
  std::vector<Step> steps_;
  std::optional<Step> before_;  // what backward alone needs and is not timed
};

}  // namespace flame::bench
