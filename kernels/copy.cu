// to[...] = from[...]: any strides, any two element types. Each element is read and written once.
#include "copy.cuh"
#include "elementwise.cuh"

namespace dev {
inline constexpr int kConvertUnroll = 2;  // lib/ops/copy.cpp agrees
}

// Equal types move as raw bits: W is unsigned char, short, int or long long. kTimes: vectors of a
// thread. Memory traffic: numel * 2 * sizeof(W).
template <class W, int V, int kTimes>
__global__ void __launch_bounds__(dev::kThreads)
    copy_bits(const __grid_constant__ flame_params::Extent extent,
              const __grid_constant__ flame_params::Strided to,
              const __grid_constant__ flame_params::Strided from) {
  dev::by_block<V, kTimes, true>(extent, [&](auto turns) {
    dev::Packet<W, V> raw[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[2] = {};
      dev::locate<V>(turns, extent, index, offset, to, from);
      at[u] = offset[0];
      dev::read_strided<W, V>(turns, raw[u], extent, from, offset[1], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::write<W, V>(dev::address<W>(to, at[u]), raw[u], count);
    });
  });
}

// Memory traffic: numel * (sizeof(From) + sizeof(To)).
template <class From, class To, int V>
__global__ void __launch_bounds__(dev::kThreads)
    copy_convert(const __grid_constant__ flame_params::Extent extent,
                 const __grid_constant__ flame_params::Strided to,
                 const __grid_constant__ flame_params::Strided from) {
  using Source = typename dev::Stored<From>::type;
  using Target = typename dev::Stored<To>::type;
  dev::by_block<V, dev::kConvertUnroll>(extent, [&](auto turns) {
    dev::Packet<Source, V> raw[turns.times];
    long long at[turns.times];
    dev::for_vectors<V>(extent, turns, [&](int u, long long index, long long count) {
      long long offset[2] = {};
      dev::locate<V>(turns, extent, index, offset, to, from);
      at[u] = offset[0];
      dev::read_strided<Source, V>(turns, raw[u], extent, from, offset[1], count);
    });
    dev::for_vectors<V>(extent, turns, [&](int u, long long, long long count) {
      dev::Packet<Target, V> out;
      if constexpr (dev::kHalf<To> && (dev::kHalf<From> || dev::kSame<From, float>)) {
        float values[V];
#pragma unroll
        for (int j = 0; j < V; ++j) values[j] = raw[u].value(j);
        out.assign(values);
      } else {
        out.clear();
#pragma unroll
        for (int j = 0; j < V; ++j) out.set(j, dev::convert<From, To>(raw[u].get(j)));
      }
      dev::write<Target, V>(dev::address<Target>(to, at[u]), out, count);
    });
  });
}

namespace dev {
// Where a tile of a transposed copy begins, its batch found in the outer dims.
struct TilePlace {
  long long to, from, row, column;
};
__device__ __forceinline__ TilePlace tile_place(const Extent& extent, const Strided& to,
                                                const Strided& from, int tile) {
  const int row_dim = extent.rank - 2;
  const long long down = (extent.size[row_dim] + tile - 1) / tile;
  const long long across = (extent.size[row_dim + 1] + tile - 1) / tile;
  long long rest = blockIdx.x;
  long long batch = divide(rest, down * across);
  rest -= batch * down * across;
  TilePlace place = {};
  place.row = divide(rest, across) * tile;
  place.column = (rest - place.row / tile * across) * tile;
  for (int d = row_dim - 1; d >= 0; --d) {
    const long long outer = divide(batch, extent.size[d]);
    const long long at = batch - outer * extent.size[d];
    place.to += at * to.stride[d];
    place.from += at * from.stride[d];
    batch = outer;
  }
  return place;
}
}  // namespace dev

// The last two dims of `from` swapped into `to`, tile by tile through shared memory, so that both
// sides are read and written along their contiguous dim. A tile is 16 N x 16 N elements; a thread
// reads N vectors of N elements, turns them in registers, and writes N vectors. In shared memory
// vectors are displaced by exclusive or, so that neither side meets a bank twice. extent is (batch
// dims..., rows, columns) of `to`: `to` has stride 1 along columns, `from` along rows. With N > 1
// addresses, strides and the two sizes are multiples of N elements.
// Memory traffic: numel * 2 * sizeof(W).
template <class W, int N>
__global__ void __launch_bounds__(256, N > 4 ? 3 : 0)  // 8 vectors of 16 bytes need 72 registers
    copy_transposed(const __grid_constant__ flame_params::Extent extent,
                    const __grid_constant__ flame_params::Strided to,
                    const __grid_constant__ flame_params::Strided from) {
  using Row = dev::Vec<W, N>;
  constexpr int kSide = 16;
  __shared__ Row tile[kSide * N][kSide];
  const long long rows = extent.size[extent.rank - 2], columns = extent.size[extent.rank - 1];
  const long long to_row = to.stride[extent.rank - 2], from_column = from.stride[extent.rank - 1];
  const dev::TilePlace place = dev::tile_place(extent, to, from, kSide * N);
  const int x = threadIdx.x % kSide, y = threadIdx.x / kSide;

  const W* source = static_cast<const W*>(from.data) + place.from;
  const long long r = place.row + x * N, c = place.column + y * N;
  if (r < rows && c < columns) {
    Row in[N];
#pragma unroll
    for (int k = 0; k < N; ++k)
      in[k] = *reinterpret_cast<const Row*>(source + r + (c + k) * from_column);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      Row turned;
#pragma unroll
      for (int j = 0; j < N; ++j) turned.v[j] = in[j].v[k];
      tile[x * N + k][y ^ x] = turned;
    }
  }
  __syncthreads();
  W* target = static_cast<W*>(const_cast<void*>(to.data)) + place.to;
  const long long column = place.column + x * N;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const int across = y + k * kSide;
    if (place.row + across < rows && column < columns)
      *reinterpret_cast<Row*>(target + (place.row + across) * to_row + column) =
          tile[across][x ^ (across / N)];
  }
}

// The same where vectors do not fit, element by element: a tile of 32 x 32.
template <class W>
__global__ void __launch_bounds__(256)
    copy_transposed_any(const __grid_constant__ flame_params::Extent extent,
                        const __grid_constant__ flame_params::Strided to,
                        const __grid_constant__ flame_params::Strided from) {
  __shared__ W tile[32][33];
  const long long rows = extent.size[extent.rank - 2], columns = extent.size[extent.rank - 1];
  const long long to_row = to.stride[extent.rank - 2], from_column = from.stride[extent.rank - 1];
  const dev::TilePlace place = dev::tile_place(extent, to, from, 32);
  const W* source = static_cast<const W*>(from.data) + place.from;
  W* target = static_cast<W*>(const_cast<void*>(to.data)) + place.to;
  const int x = threadIdx.x % 32, y = threadIdx.x / 32;
#pragma unroll
  for (int k = 0; k < 32; k += 8) {
    const long long r = place.row + x, c = place.column + y + k;
    if (r < rows && c < columns) tile[y + k][x] = source[r + c * from_column];
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 32; k += 8) {
    const long long r = place.row + y + k, c = place.column + x;
    if (r < rows && c < columns) target[r * to_row + c] = tile[x][y + k];
  }
}

// N: see vectors_across in lib/ops/copy.cpp.
#define EXPORT_BITS(W, V, N)        \
  DEV_EXPORT(copy_bits<W, V, 1>)    \
  DEV_EXPORT(copy_bits<W, V, 2>)    \
  DEV_EXPORT(copy_bits<W, 1, 1>)    \
  DEV_EXPORT(copy_transposed<W, N>) \
  DEV_EXPORT(copy_transposed_any<W>)
EXPORT_BITS(unsigned char, 16, 4)
EXPORT_BITS(unsigned short, 8, 8)
DEV_EXPORT(copy_transposed<unsigned short, 4>)
EXPORT_BITS(unsigned int, 4, 4)
EXPORT_BITS(unsigned long long, 2, 2)

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
