// to[...] = from[...]: any strides, any two element types. Each element is read and written once.
#include "copy.cuh"
#include "elementwise.cuh"

// Equal types move as raw bits: W is unsigned char, short, int or long long.
// Memory traffic: numel * 2 * sizeof(W).
template <class W, int V>
__global__ void __launch_bounds__(dev::kThreads)
    copy_bits(const __grid_constant__ flame_params::Extent extent,
              const __grid_constant__ flame_params::Strided to,
              const __grid_constant__ flame_params::Strided from) {
  dev::Vec<W, V> raw[dev::kUnroll];
  long long at[dev::kUnroll];
  dev::for_vectors<V>(extent, [&](int u, long long index, long long count) {
    long long offset[2] = {};
    dev::locate(extent, index, offset, to, from);
    at[u] = offset[0];
    raw[u] = dev::fetch<W, V>(from.data, offset[1], from.stride[extent.rank - 1] == 0, count);
  });
  dev::for_vectors<V>(
      extent, [&](int u, long long, long long count) { dev::put<W, V>(to, at[u], raw[u], count); });
}

// Memory traffic: numel * (sizeof(From) + sizeof(To)).
template <class From, class To, int V>
__global__ void __launch_bounds__(dev::kThreads)
    copy_convert(const __grid_constant__ flame_params::Extent extent,
                 const __grid_constant__ flame_params::Strided to,
                 const __grid_constant__ flame_params::Strided from) {
  using Source = typename dev::Stored<From>::type;
  using Target = typename dev::Stored<To>::type;
  dev::for_vectors<V>(extent, [&](int, long long index, long long count) {
    long long offset[2] = {};
    dev::locate(extent, index, offset, to, from);
    const auto raw =
        dev::fetch<Source, V>(from.data, offset[1], from.stride[extent.rank - 1] == 0, count);
    dev::Vec<Target, V> out;
#pragma unroll
    for (int j = 0; j < V; ++j) out.v[j] = dev::convert<From, To>(raw.v[j]);
    dev::put<Target, V>(to, offset[0], out, count);
  });
}

// The last two dims of `from` swapped into `to`, tile by tile through shared memory, so that both
// sides are read and written along their contiguous dim. blockDim (32, 8); extent is
// (batch dims..., rows, columns) of `to`: `to` has stride 1 along columns, `from` along rows.
// Memory traffic: numel * 2 * sizeof(W).
template <class W>
__global__ void __launch_bounds__(256)
    copy_transposed(const __grid_constant__ flame_params::Extent extent,
                    const __grid_constant__ flame_params::Strided to,
                    const __grid_constant__ flame_params::Strided from) {
  __shared__ W tile[32][33];
  const int row_dim = extent.rank - 2, column_dim = extent.rank - 1;
  const long long rows = extent.size[row_dim], columns = extent.size[column_dim];
  const long long tiles_down = (rows + 31) / 32, tiles_across = (columns + 31) / 32;
  long long rest = blockIdx.x;
  const long long batch = dev::divide(rest, tiles_down * tiles_across);
  rest -= batch * tiles_down * tiles_across;
  const long long row = dev::divide(rest, tiles_across) * 32;
  const long long column = (rest - row / 32 * tiles_across) * 32;

  long long to_at = 0, from_at = 0;
  rest = batch;
  for (int d = row_dim - 1; d >= 0; --d) {
    const long long outer = dev::divide(rest, extent.size[d]);
    const long long at = rest - outer * extent.size[d];
    to_at += at * to.stride[d];
    from_at += at * from.stride[d];
    rest = outer;
  }
  const W* source = static_cast<const W*>(from.data) + from_at;
  W* target = static_cast<W*>(const_cast<void*>(to.data)) + to_at;
#pragma unroll
  for (int k = 0; k < 32; k += 8) {
    const long long r = row + threadIdx.x, c = column + threadIdx.y + k;
    if (r < rows && c < columns)
      tile[threadIdx.y + k][threadIdx.x] = source[r + c * from.stride[column_dim]];
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 32; k += 8) {
    const long long r = row + threadIdx.y + k, c = column + threadIdx.x;
    if (r < rows && c < columns)
      target[r * to.stride[row_dim] + c] = tile[threadIdx.x][threadIdx.y + k];
  }
}

#define EXPORT_BITS(W, V)     \
  DEV_EXPORT(copy_bits<W, V>) \
  DEV_EXPORT(copy_bits<W, 1>) \
  DEV_EXPORT(copy_transposed<W>)
EXPORT_BITS(unsigned char, 16)
EXPORT_BITS(unsigned short, 8)
EXPORT_BITS(unsigned int, 4)
EXPORT_BITS(unsigned long long, 2)

// V: 16 bytes of the wider type.
#define EXPORT_CONVERT(From, To, V)     \
  DEV_EXPORT(copy_convert<From, To, V>) \
  DEV_EXPORT(copy_convert<From, To, 1>)
#define EXPORT_FROM_8_BYTES(From, Other) \
  EXPORT_CONVERT(From, Other, 2)         \
  EXPORT_CONVERT(From, float, 2)         \
  EXPORT_CONVERT(From, int, 2)           \
  EXPORT_CONVERT(From, __half, 2)        \
  EXPORT_CONVERT(From, __nv_bfloat16, 2) \
  EXPORT_CONVERT(From, unsigned char, 2) \
  EXPORT_CONVERT(From, bool, 2)
#define EXPORT_FROM_SMALLER(From, To4, V4, To2, V2, To1, V1) \
  EXPORT_CONVERT(From, double, 2)                            \
  EXPORT_CONVERT(From, long long, 2)                         \
  EXPORT_CONVERT(From, To4, V4)                              \
  EXPORT_CONVERT(From, To2, V2)                              \
  EXPORT_CONVERT(From, To1, V1)
EXPORT_FROM_8_BYTES(double, long long)
EXPORT_FROM_8_BYTES(long long, double)
EXPORT_FROM_SMALLER(float, int, 4, __half, 4, unsigned char, 4)
EXPORT_CONVERT(float, __nv_bfloat16, 4)
EXPORT_CONVERT(float, bool, 4)
EXPORT_FROM_SMALLER(int, float, 4, __half, 4, unsigned char, 4)
EXPORT_CONVERT(int, __nv_bfloat16, 4)
EXPORT_CONVERT(int, bool, 4)
EXPORT_FROM_SMALLER(__half, float, 4, __nv_bfloat16, 8, unsigned char, 8)
EXPORT_CONVERT(__half, int, 4)
EXPORT_CONVERT(__half, bool, 8)
EXPORT_FROM_SMALLER(__nv_bfloat16, float, 4, __half, 8, unsigned char, 8)
EXPORT_CONVERT(__nv_bfloat16, int, 4)
EXPORT_CONVERT(__nv_bfloat16, bool, 8)
EXPORT_FROM_SMALLER(unsigned char, float, 4, __half, 8, bool, 16)
EXPORT_CONVERT(unsigned char, int, 4)
EXPORT_CONVERT(unsigned char, __nv_bfloat16, 8)
EXPORT_FROM_SMALLER(bool, float, 4, __half, 8, unsigned char, 16)
EXPORT_CONVERT(bool, int, 4)
EXPORT_CONVERT(bool, __nv_bfloat16, 8)
