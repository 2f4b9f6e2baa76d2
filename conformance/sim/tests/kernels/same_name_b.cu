// Two files with functions of one name: each file is a program of its own.
#include "prelude.cuh"

namespace dev {
__device__ __noinline__ int answer() { return 2; }
}  // namespace dev
__global__ void which(int* y) { *y = dev::answer(); }
DEV_EXPORT(which)
