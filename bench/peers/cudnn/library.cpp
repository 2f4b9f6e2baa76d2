#include "bench/peers/cudnn/library.h"

#include <dlfcn.h>

#include <cstdio>

namespace flame::bench::cudnn {
namespace {

constexpr const char* kSoname = "libcudnn.so.9";
constexpr std::size_t kLeastVersion = 90000, kNextMajor = 100000;

// No exception may leave a C function.
template <class F>
auto guarded(char* why, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const Failure& e) {
    std::snprintf(why, kWhyBytes, "%s", e.what.c_str());
  } catch (const std::exception& e) {
    std::snprintf(why, kWhyBytes, "%s", e.what());
  }
  return {};
}

Context* open_library(const char* path) {
  void* library = dlopen(*path ? path : kSoname, RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Failure{dlerror()};
  auto context = std::make_unique<Context>();
#define FLAME_RESOLVE(name)                                                             \
  context->f.name = reinterpret_cast<decltype(context->f.name)>(dlsym(library, #name)); \
  if (!context->f.name) throw Failure{std::string("cuDNN lacks ") + #name};
  FLAME_CUDNN_FUNCTIONS(FLAME_RESOLVE)
#undef FLAME_RESOLVE
  const std::size_t version = context->f.cudnnGetVersion();
  if (version < kLeastVersion || version >= kNextMajor)
    throw Failure{"cuDNN " + std::to_string(version) + " is none of 9"};
  context->check(context->f.cudnnCreate(&context->handle), "cudnnCreate");
  return context.release();
}

}  // namespace
}  // namespace flame::bench::cudnn

using namespace flame::bench::cudnn;

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Context* flame_cudnn_open(const char* path, char* why) {
  return guarded(why, [&] { return open_library(path); });
}
EXPORT void flame_cudnn_close(Context* context) { delete context; }
EXPORT long long flame_cudnn_version(const Context* context) {
  return static_cast<long long>(context->f.cudnnGetVersion());
}
EXPORT Job* flame_cudnn_convolution(Context* context, const Convolution* c, char* why) {
  return guarded(why, [&] { return make_convolution(*context, *c).release(); });
}
EXPORT Job* flame_cudnn_pooling(Context* context, const Pooling* p, char* why) {
  return guarded(why, [&] { return make_pooling(*context, *p).release(); });
}
EXPORT Job* flame_cudnn_softmax(Context* context, const Softmax* s, char* why) {
  return guarded(why, [&] { return make_softmax(*context, *s).release(); });
}
EXPORT void flame_cudnn_drop(Job* job) { delete job; }
EXPORT int flame_cudnn_candidates(const Job* job) { return job->candidates(); }
EXPORT long long flame_cudnn_engine(const Job* job, int candidate) {
  return job->engine(candidate);
}
EXPORT long long flame_cudnn_workspace(const Job* job, int candidate) {
  return job->workspace(candidate);
}
EXPORT int flame_cudnn_run(Job* job, int candidate, const void* const* in, void* out,
                           void* workspace, void* stream, char* why) {
  const bool queued = guarded(why, [&] {
    job->run(candidate, in, out, workspace, static_cast<cudaStream_t>(stream));
    return true;
  });
  return queued ? 0 : 1;
}

// The header's list and these definitions agree.
#define FLAME_SAME(result, name, parameters) \
  static_assert(std::is_same_v<decltype(&flame_cudnn_##name), result(*) parameters>);
FLAME_CUDNN_CALLS(FLAME_SAME)
