// conv2d where every channel is a group of its own, with one output each, for the windows of most
// networks: squares of 3, 5 or 7 with half of that as padding, rows of whole pieces. A thread reads
// its piece of some rows once, all loads under way together, and slides the window over it in
// registers; zeros stand for what is outside, so that an infinite factor makes NaN there, as it
// does by way of columns. Traffic: forward x read, y written once; backward g and x read, dx
// written once. The gradient of the weight is summed in registers over some images.
#include "row_unit.cuh"

namespace dev {

// Rows `first`, first + 1, ... of a plane; `from`: where the first of them is or would be. Only
// kAbove of them may lie above the plane.
template <int kAbove, int kReads, int V, class T>
__device__ __forceinline__ void read_rows(Packet<T, V> (&rows)[kReads], const T* from, int first,
                                          const flame_params::RowConv& p, bool there = true) {
  const int end = there ? p.height - first : 0;
#pragma unroll
  for (int r = 0; r < kReads; ++r) {
    rows[r].clear();
    if (r < end && (r >= kAbove || r + first >= 0))
      rows[r].raw = *reinterpret_cast<const decltype(rows[r].raw)*>(from);
    from += p.width;
  }
}

template <int V, class T>
__device__ __forceinline__ void write_row(T* to, const Acc<T>* values, bool there) {
  Packet<T, V> packet;
  packet.assign(values);
  if (there) *reinterpret_cast<decltype(packet.raw)*>(to) = packet.raw;
}

}  // namespace dev

// x: (planes, height, width), weight: (channels, kWindow, kWindow), y: (planes, out_h, width /
// kStride).
template <int kWindow, int kStride, int kColumns, class T>
__global__ void __launch_bounds__(256)
    conv_depthwise_rows_forward(const T* x, const T* weight, const T* bias, T* y,
                                const __grid_constant__ flame_params::RowConv p) {
  using A = dev::Acc<T>;
  constexpr int kRows = flame_params::depthwise_rows(kWindow, kStride, sizeof(T));
  constexpr int kTaps = kWindow * kWindow;
  constexpr int kHalo = kWindow / 2, kRight = kHalo - kStride + 1, kOut = kColumns / kStride;
  constexpr int kReads = (kRows - 1) * kStride + kWindow;
  const dev::RowUnit unit(p.units, blockIdx.x * blockDim.x + threadIdx.x, p.units.lines);
  const bool leftmost = unit.piece == 0, rightmost = unit.piece == p.units.pieces - 1;
  const int first = int(unit.strip) * kRows, above = first * kStride - kHalo;
  dev::Packet<T, kColumns> rows[kReads];
  dev::read_rows<kHalo>(
      rows, x + ((long long)unit.plane * p.height + above) * p.width + int(unit.piece) * kColumns,
      above, p);
  const unsigned channel =
      unit.plane - dev::quotient(unit.plane, p.channels_factor, p.channels_shift) * p.channels;
  A w[kTaps];
  weight += channel * kTaps;
#pragma unroll
  for (int k = 0; k < kTaps; ++k) w[k] = dev::load(weight[k]);
  const A shift = bias ? dev::load(bias[channel]) : A(0);
  const int width_out = p.width / kStride, rows_out = unit.live ? p.out_h - first : 0;
  y += ((long long)unit.plane * p.out_h + first) * width_out + unit.piece * kOut;
  A sum[kRows][kOut] = {};
#pragma unroll
  for (int r = 0; r < kReads; ++r) {
    const dev::WidePiece<kHalo, kRight, kColumns, T> row(rows[r], leftmost, rightmost);
#pragma unroll
    for (int o = 0; o < kRows; ++o) {
      const int k = r - o * kStride;  // the row of the window
      if (k < 0 || k >= kWindow) continue;
#pragma unroll
      for (int j = 0; j < kOut; ++j)
#pragma unroll
        for (int c = 0; c < kWindow; ++c)
          sum[o][j] = fmaf(row.v[j * kStride + c], w[k * kWindow + c], sum[o][j]);
      if (k < kWindow - 1) continue;
#pragma unroll
      for (int j = 0; j < kOut; ++j) sum[o][j] += shift;
      dev::write_row<kOut>(y, sum[o], o < rows_out);
      y += width_out;
    }
  }
}

namespace dev {

// The sums of each plane's `slots` slots in `part`, eight lanes to a sum; `take` gets sum s of
// plane s / kTaps.
template <int kTaps, class A, class Take>
__device__ __forceinline__ void sum_planes(const A (&part)[kTaps][256], int planes, int slots,
                                           Take take) {
  constexpr int kLanes = 8;
  const int sums = planes * kTaps, rank = threadIdx.x % kLanes;
  for (int first = threadIdx.x / 32 * 4; first < sums; first += blockDim.x / kLanes) {
    const int s = first + threadIdx.x % 32 / kLanes, plane = s / kTaps, tap = s - plane * kTaps;
    A total = 0;
    if (s < sums)
      for (int i = rank; i < slots; i += kLanes) total += part[tap][plane * slots + i];
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2)
      total += __shfl_xor_sync(0xffffffffu, total, offset);
    if (s < sums && rank == 0) take(s, total);
  }
}

}  // namespace dev

// Stride 1. A block takes `planes` channels, or one of `parts` parts of one channel, in `chunk`
// images, `beside` of them at a time. dx[h, w] is the sum of weight[kh, kw] * g[h + half - kh, w +
// half - kw] over the window, dweight[kh, kw] that of x[h, w] times the same element of g, so that
// both need the halo of g alone. dweight where one block makes all of a sum, else partial: (chunks,
// parts, channels, kWindow, kWindow).
// kInput, kWeight: which of the two is wanted; the order of its sums does not depend on the other.
template <int kWindow, bool kInput, bool kWeight, int kColumns, class T>
__global__ void __launch_bounds__(256, kWindow == 3 ? 2 : 1)
    conv_depthwise_rows_backward(const T* x, const T* g, const T* weight, T* dx, T* dweight,
                                 dev::Acc<T>* partial,
                                 const __grid_constant__ flame_params::RowConv p) {
  using A = dev::Acc<T>;
  constexpr int kRows = flame_params::depthwise_rows_backward(kWindow), kTaps = kWindow * kWindow;
  constexpr int kHalo = kWindow / 2, kReads = kRows + 2 * kHalo;
  const int group = blockIdx.x % p.groups, rest = blockIdx.x / p.groups;
  const int chunk = rest / p.parts, part = rest - chunk * p.parts;
  const int first_channel = group * p.planes;
  const int planes = min(p.planes, int(p.channels) - first_channel);
  const int lanes = int(blockDim.x) / p.beside, turn = int(threadIdx.x) / lanes;
  const dev::RowUnit unit(p.units, threadIdx.x - turn * lanes, planes * p.units.strips);
  const bool leftmost = unit.piece == 0, rightmost = unit.piece == p.units.pieces - 1;
  const int channel = first_channel + int(unit.plane);
  const int first = (part * int(p.units.strips) + int(unit.strip)) * kRows;
  A w[kTaps], dw[kTaps] = {};
  if constexpr (kInput) {
    weight += channel * kTaps;
#pragma unroll
    for (int k = 0; k < kTaps; ++k) w[k] = dev::load(weight[kTaps - 1 - k]);
  }
  const long long area = (long long)p.height * p.width, image = p.channels * area;
  const int begin = chunk * p.chunk, end = min(begin + p.chunk, p.images);
  const long long start =
      (begin + turn) * image + channel * area + (long long)first * p.width + unit.piece * kColumns;
  if constexpr (kWeight) x += start;
  if constexpr (kInput) dx += start;
  g += start - kHalo * p.width;
  // As many rounds for every warp: shuffles in a loop whose end differs between threads are dear.
  for (int n = begin; n < end; n += p.beside) {
    const bool there = n + turn < end;
    const int rows_out = unit.live && there ? p.height - first : 0;
    dev::Packet<T, kColumns> rows[kReads], mine[kRows];
    dev::read_rows<kHalo>(rows, g, first - kHalo, p, there);
    if constexpr (kWeight) dev::read_rows<0>(mine, x, first, p, there);
    T* to = dx;
    A sum[kRows][kColumns] = {};
#pragma unroll
    for (int r = 0; r < kReads; ++r) {
      const dev::WidePiece<kHalo, kHalo, kColumns, T> row(rows[r], leftmost, rightmost);
#pragma unroll
      for (int o = 0; o < kRows; ++o) {
        const int k = r - o;  // the window's rows and columns from its end
        if (k < 0 || k >= kWindow) continue;
#pragma unroll
        for (int j = 0; j < kColumns; ++j)
#pragma unroll
          for (int c = 0; c < kWindow; ++c) {
            const int tap = k * kWindow + c;
            if constexpr (kInput) sum[o][j] = fmaf(row.v[j + c], w[tap], sum[o][j]);
            if constexpr (kWeight) dw[tap] = fmaf(row.v[j + c], mine[o].value(j), dw[tap]);
          }
        if constexpr (kInput) {
          if (k == kWindow - 1) dev::write_row<kColumns>(to, sum[o], o < rows_out), to += p.width;
        }
      }
    }
    if constexpr (kWeight) x += image * p.beside;
    if constexpr (kInput) dx += image * p.beside;
    g += image * p.beside;
  }
  if constexpr (kWeight) {
    __shared__ A sums[kTaps][256];
    const int threads = p.units.strips * p.units.pieces;
    if (unit.live) {
      const int local = int(unit.strip * p.units.pieces + unit.piece);
      const int slot = (int(unit.plane) * p.beside + turn) * threads + local;
#pragma unroll
      for (int k = 0; k < kTaps; ++k) sums[kTaps - 1 - k][slot] = dw[k];
    }
    __syncthreads();
    if (partial) partial += (long long)rest * p.channels * kTaps;
    dev::sum_planes(sums, planes, p.beside * threads, [&](int s, A total) {
      const int at = first_channel * kTaps + s;
      if (partial)
        partial[at] = total;
      else
        dweight[at] = dev::store<T>(total);
    });
  }
}

// The gradient of a weight of 7 x 7 is for conv_depthwise.cu: its sums are too many registers.
#define EXPORT_INPUT(K, COLUMNS, T)                         \
  DEV_EXPORT(conv_depthwise_rows_forward<K, 1, COLUMNS, T>) \
  DEV_EXPORT(conv_depthwise_rows_forward<K, 2, COLUMNS, T>) \
  DEV_EXPORT(conv_depthwise_rows_backward<K, true, false, COLUMNS, T>)
#define EXPORT_WEIGHT(K, COLUMNS, T)                                  \
  DEV_EXPORT(conv_depthwise_rows_backward<K, true, true, COLUMNS, T>) \
  DEV_EXPORT(conv_depthwise_rows_backward<K, false, true, COLUMNS, T>)
#define EXPORT_TYPES(WHAT, K, COLUMNS) \
  WHAT(K, COLUMNS, float)              \
  WHAT(K, COLUMNS, __half)             \
  WHAT(K, COLUMNS, __nv_bfloat16)
EXPORT_TYPES(EXPORT_INPUT, 3, 4)
EXPORT_TYPES(EXPORT_INPUT, 3, 2)
EXPORT_TYPES(EXPORT_INPUT, 5, 4)
EXPORT_TYPES(EXPORT_INPUT, 7, 4)
EXPORT_TYPES(EXPORT_WEIGHT, 3, 4)
EXPORT_TYPES(EXPORT_WEIGHT, 3, 2)
EXPORT_TYPES(EXPORT_WEIGHT, 5, 4)
