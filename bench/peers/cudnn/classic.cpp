// Pooling and softmax by cuDNN's older interface, which has one way of doing each.
#include "bench/peers/cudnn/library.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace flame::bench::cudnn {
namespace {

constexpr float kOne = 1, kZero = 0;

class TensorDescriptor {
 public:
  TensorDescriptor(const Context& context, int channels_last, int type, const int (&sizes)[4])
      : context_(context) {
    context.check(context.f.cudnnCreateTensorDescriptor(&raw_), "cudnnCreateTensorDescriptor");
    context.check(context.f.cudnnSetTensor4dDescriptor(
                      raw_, channels_last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW, data_type(type),
                      sizes[0], sizes[1], sizes[2], sizes[3]),
                  "cudnnSetTensor4dDescriptor");
  }
  TensorDescriptor(const TensorDescriptor&) = delete;
  TensorDescriptor& operator=(const TensorDescriptor&) = delete;
  ~TensorDescriptor() { context_.f.cudnnDestroyTensorDescriptor(raw_); }
  cudnnTensorDescriptor_t raw() const { return raw_; }

 private:
  const Context& context_;
  cudnnTensorDescriptor_t raw_ = nullptr;
};

class PoolingJob final : public Job {
 public:
  PoolingJob(Context& context, const Pooling& p)
      : context_(context),
        backward_(p.backward),
        x_(context, p.channels_last, p.type, p.x),
        y_(context, p.channels_last, p.type, p.y) {
    context.check(context.f.cudnnCreatePoolingDescriptor(&pooling_), "cudnnCreatePooling");
    context.check(context.f.cudnnSetPooling2dDescriptor(
                      pooling_, CUDNN_POOLING_MAX, CUDNN_PROPAGATE_NAN, p.window[0], p.window[1],
                      p.padding[0], p.padding[1], p.stride[0], p.stride[1]),
                  "cudnnSetPooling2dDescriptor");
  }
  ~PoolingJob() override { context_.f.cudnnDestroyPoolingDescriptor(pooling_); }

  void run(int, const void* const* in, void* out, void*, cudaStream_t stream) override {
    context_.check(context_.f.cudnnSetStream(context_.handle, stream), "cudnnSetStream");
    if (backward_)
      context_.check(
          context_.f.cudnnPoolingBackward(context_.handle, pooling_, &kOne, y_.raw(), in[0],
                                          y_.raw(), in[1], x_.raw(), in[2], &kZero, x_.raw(), out),
          "cudnnPoolingBackward");
    else
      context_.check(context_.f.cudnnPoolingForward(context_.handle, pooling_, &kOne, x_.raw(),
                                                    in[0], &kZero, y_.raw(), out),
                     "cudnnPoolingForward");
  }

 private:
  Context& context_;
  int backward_;
  TensorDescriptor x_, y_;
  cudnnPoolingDescriptor_t pooling_ = nullptr;
};

class SoftmaxJob final : public Job {
 public:
  SoftmaxJob(Context& context, const Softmax& s)
      : context_(context),
        backward_(s.backward),
        // Its kernels for rows are others than those for channels.
        mode_(s.inner == 1 ? CUDNN_SOFTMAX_MODE_INSTANCE : CUDNN_SOFTMAX_MODE_CHANNEL),
        x_(context, 0, s.type, {s.outer, s.size, s.inner, 1}) {}

  void run(int, const void* const* in, void* out, void*, cudaStream_t stream) override {
    context_.check(context_.f.cudnnSetStream(context_.handle, stream), "cudnnSetStream");
    if (backward_)
      context_.check(
          context_.f.cudnnSoftmaxBackward(context_.handle, CUDNN_SOFTMAX_ACCURATE, mode_, &kOne,
                                          x_.raw(), in[0], x_.raw(), in[1], &kZero, x_.raw(), out),
          "cudnnSoftmaxBackward");
    else
      context_.check(context_.f.cudnnSoftmaxForward(context_.handle, CUDNN_SOFTMAX_ACCURATE, mode_,
                                                    &kOne, x_.raw(), in[0], &kZero, x_.raw(), out),
                     "cudnnSoftmaxForward");
  }

 private:
  Context& context_;
  int backward_;
  cudnnSoftmaxMode_t mode_;
  TensorDescriptor x_;
};

}  // namespace

std::unique_ptr<Job> make_pooling(Context& context, const Pooling& p) {
  return std::make_unique<PoolingJob>(context, p);
}

std::unique_ptr<Job> make_softmax(Context& context, const Softmax& s) {
  return std::make_unique<SoftmaxJob>(context, s);
}

}  // namespace flame::bench::cudnn
