// cuDNN's own functions, found at run time, and its handles as owned values.
#pragma once
#include <cudnn.h>

#include <memory>
#include <string>

#include "bench/peers/cudnn/api.h"

namespace flame::bench::cudnn {

#define FLAME_CUDNN_FUNCTIONS(X)   \
  X(cudnnGetVersion)               \
  X(cudnnGetErrorString)           \
  X(cudnnCreate)                   \
  X(cudnnDestroy)                  \
  X(cudnnSetStream)                \
  X(cudnnBackendCreateDescriptor)  \
  X(cudnnBackendDestroyDescriptor) \
  X(cudnnBackendSetAttribute)      \
  X(cudnnBackendGetAttribute)      \
  X(cudnnBackendFinalize)          \
  X(cudnnBackendExecute)           \
  X(cudnnCreateTensorDescriptor)   \
  X(cudnnSetTensor4dDescriptor)    \
  X(cudnnDestroyTensorDescriptor)  \
  X(cudnnCreatePoolingDescriptor)  \
  X(cudnnSetPooling2dDescriptor)   \
  X(cudnnDestroyPoolingDescriptor) \
  X(cudnnPoolingForward) X(cudnnPoolingBackward) X(cudnnSoftmaxForward) X(cudnnSoftmaxBackward)

// Functions that old releases call deprecated are what new ones still offer for these.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
struct Functions {
#define FLAME_DECLARE(f) decltype(&::f) f = nullptr;
  FLAME_CUDNN_FUNCTIONS(FLAME_DECLARE)
#undef FLAME_DECLARE
};
#pragma GCC diagnostic pop

// What a call of cuDNN's refused, as one sentence.
struct Failure {
  std::string what;
};

struct Context {
  Functions f;
  cudnnHandle_t handle = nullptr;
  ~Context() {
    if (handle) f.cudnnDestroy(handle);
  }
  void check(cudnnStatus_t status, const char* call) const {
    if (status != CUDNN_STATUS_SUCCESS)
      throw Failure{std::string(call) + ": " + f.cudnnGetErrorString(status)};
  }
};

struct Job {
  virtual ~Job() = default;
  virtual int candidates() const { return 1; }
  virtual long long engine(int) const { return 0; }
  virtual long long workspace(int) const { return 0; }
  virtual void run(int candidate, const void* const* in, void* out, void* workspace,
                   cudaStream_t stream) = 0;
};

// Throw Failure.
std::unique_ptr<Job> make_convolution(Context& context, const Convolution& c);
std::unique_ptr<Job> make_pooling(Context& context, const Pooling& p);
std::unique_ptr<Job> make_softmax(Context& context, const Softmax& s);

inline cudnnDataType_t data_type(long long type) {
  return type == kBFloat16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

}  // namespace flame::bench::cudnn
