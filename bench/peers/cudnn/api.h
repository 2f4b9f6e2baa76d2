// What flame_bench asks of libflame_peer_cudnn.so: cuDNN behind C functions, so that flame_bench
// needs neither its headers nor its library. Sizes are of (n, c, h, w), a weight's (out, in /
// groups, h, w). Whoever fails says why, on one line, in `why` (of kWhyBytes).
#pragma once
#include <cstddef>

namespace flame::bench::cudnn {

constexpr std::size_t kWhyBytes = 256;

enum Type : int { kFloat32 = 0, kTf32 = 1, kBFloat16 = 2 };

enum Gradient : int { kOutput = 0, kOfInput = 1, kOfWeight = 2 };

// y = conv(x, w), the gradient of x out of w and y's, or the gradient of w out of x and y's.
//
// Of one type's members each, without gaps: their bytes say whether two are the same problem.
struct Convolution {
  long long what = kOutput;
  long long type = kFloat32;  // kFloat32: no tensor cores; kTf32: operands may be cut to TF32
  long long channels_last = 0;
  long long x[4] = {}, w[4] = {}, y[4] = {};
  long long stride[2] = {1, 1}, padding[2] = {0, 0}, dilation[2] = {1, 1};
  long long workspace_cap = 0;    // bytes; what needs more is no candidate
  long long most_candidates = 0;  // of each list of proposals
};

struct Pooling {  // maxima
  int backward = 0, type = kFloat32, channels_last = 0;
  int x[4] = {}, y[4] = {};
  int window[2] = {}, stride[2] = {}, padding[2] = {};
};

struct Softmax {  // over the middle one of (outer, size, inner)
  int backward = 0, type = kFloat32;
  int outer = 0, size = 0, inner = 0;
};

struct Context;
struct Job;

// One function a line: result, name, parameters.
//
// open: `path` of the library, or empty: as the system finds it. nullptr where there is none, or
//   where it is none of cuDNN 9.
// candidates: how many ways of doing the job there are; run() takes one of them.
// engine: a number that says what kind of kernel a candidate is, the same for every size.
// run: `in`: x, w (forward); w, dy (gradient of x); x, dy (gradient of w). A pooling's and a
//   softmax's x; backwards y, dy (softmax) or y, dy, x (pooling). 0 when it was queued on `stream`.
#define FLAME_CUDNN_CALLS(X)                                                               \
  X(Context*, open, (const char* path, char* why))                                         \
  X(void, close, (Context*))                                                               \
  X(long long, version, (const Context*))                                                  \
  X(Job*, convolution, (Context*, const Convolution*, char* why))                          \
  X(Job*, pooling, (Context*, const Pooling*, char* why))                                  \
  X(Job*, softmax, (Context*, const Softmax*, char* why))                                  \
  X(void, drop, (Job*))                                                                    \
  X(int, candidates, (const Job*))                                                         \
  X(long long, engine, (const Job*, int candidate))                                        \
  X(long long, workspace, (const Job*, int candidate))                                     \
  X(int, run,                                                                              \
    (Job*, int candidate, const void* const* in, void* out, void* workspace, void* stream, \
     char* why))

struct Api {
#define FLAME_DECLARE(result, name, parameters) result(*name) parameters = nullptr;
  FLAME_CUDNN_CALLS(FLAME_DECLARE)
#undef FLAME_DECLARE
  // Each function is called flame_cudnn_NAME. False where one is missing.
  template <class Symbol>
  bool resolve(Symbol&& symbol) {
#define FLAME_RESOLVE(result, name, parameters)                                \
  name = reinterpret_cast<result(*) parameters>(symbol("flame_cudnn_" #name)); \
  if (!name) return false;
    FLAME_CUDNN_CALLS(FLAME_RESOLVE)
#undef FLAME_RESOLVE
    return true;
  }
};

}  // namespace flame::bench::cudnn
