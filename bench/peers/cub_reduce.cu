// Reductions by CUB, as a user of the CUDA toolkit would call them, behind one C function. Compiled
// by nvcc into a library of its own, so that FLAME itself needs neither nvcc nor the CUDA runtime.
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>
#include <thrust/iterator/transform_output_iterator.h>

#include <cub/device/device_reduce.cuh>
#include <cub/device/device_segmented_reduce.cuh>

namespace {

// float operands make CUB accumulate in float, whatever it reads.
struct Add {
  __host__ __device__ float operator()(float a, float b) const { return a + b; }
};
struct Larger {
  __host__ __device__ float operator()(float a, float b) const { return a < b ? b : a; }
};
struct Scaled {
  float by;
  __host__ __device__ float operator()(float x) const { return x * by; }
};
struct RowStart {
  long long columns;
  __host__ __device__ long long operator()(long long row) const { return row * columns; }
};

template <class T, class Out, class Op>
cudaError_t reduce(const T* in, Out out, long long rows, long long columns, Op op, float first,
                   void* workspace, size_t& bytes, cudaStream_t stream) {
  if (rows == 1)
    return cub::DeviceReduce::Reduce(workspace, bytes, in, out, columns, op, first, stream);
  const auto starts =
      thrust::make_transform_iterator(thrust::counting_iterator<long long>(0), RowStart{columns});
  return cub::DeviceSegmentedReduce::Reduce(workspace, bytes, in, out, rows, starts, starts + 1, op,
                                            first, stream);
}

template <class T>
cudaError_t reduce(int what, const T* in, T* out, long long rows, long long columns,
                   void* workspace, size_t& bytes, cudaStream_t stream) {
  if (what == 2)
    return reduce(in, out, rows, columns, Larger{}, -INFINITY, workspace, bytes, stream);
  if (what == 0) return reduce(in, out, rows, columns, Add{}, 0.f, workspace, bytes, stream);
  const auto mean = thrust::make_transform_output_iterator(out, Scaled{1.f / float(columns)});
  return reduce(in, mean, rows, columns, Add{}, 0.f, workspace, bytes, stream);
}

}  // namespace

// what: 0 sum, 1 mean, 2 maximum, of each of `rows` rows of `columns` elements (bfloat16 or
// float32) into out[rows]. Without a workspace only `*bytes` is set, to what one needs. Gives a
// cudaError_t.
extern "C" __attribute__((visibility("default"))) int flame_cub_reduce(
    int what, int bfloat16, const void* in, void* out, long long rows, long long columns,
    void* workspace, size_t* bytes, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if (bfloat16)
    return reduce(what, static_cast<const __nv_bfloat16*>(in), static_cast<__nv_bfloat16*>(out),
                  rows, columns, workspace, *bytes, on);
  return reduce(what, static_cast<const float*>(in), static_cast<float*>(out), rows, columns,
                workspace, *bytes, on);
}
