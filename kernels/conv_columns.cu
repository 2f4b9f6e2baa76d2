// conv2d on matrix products: the columns of images, their inverse, and weights as products read
// them. Column element (image, row, pixel) is what weight column `row` = (channel, kh, kw) sees at
// output pixel (oh, ow): input[image][channel][oh * stride - pad + kh * dilation][ow * ...], 0
// outside.
#include "packed.cuh"

namespace dev {

// The first of 0 ... period - 1 whose tap, a dilation apart, meets an output; `period` if none.
__device__ __forceinline__ int first_tap(int at, int period, int stride, int dilation) {
  int tap = 0;
  while (tap < period && (at - tap * dilation) % stride != 0) ++tap;
  return tap;
}

}  // namespace dev

// x: (images, channels, height, width); columns as flame_params::Im2col says. One thread per
// (image, channel, V neighbouring pixels of a row) writes their whole windows, V * sizeof(T) at a
// time; neighbouring threads are neighbouring pixels. The last channel of a group also writes the
// zeros that fill the group up to its depth. Reads x once from memory, kernel_h * kernel_w times
// from caches. V = 2 for half types: wider words would spread a warp's 2-byte loads over more cache
// lines.
template <int V, class T>
__global__ void __launch_bounds__(256)
    conv_im2col(const T* x, T* columns, const __grid_constant__ flame_params::Im2col p) {
  const int per_row = p.out_w / V;
  const long long per_plane = (long long)p.out_h * per_row;
  const long long total = p.images * p.channels * per_plane;
  const int taps = p.kernel_h * p.kernel_w;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long plane = dev::divide(i, per_plane);
    const int at = int(i - plane * per_plane), oh = at / per_row, ow = (at - oh * per_row) * V;
    const long long image = dev::divide(plane, p.channels), channel = plane - image * p.channels;
    const long long group = dev::divide(channel, p.group_channels);
    const long long inside = channel - group * p.group_channels;
    const T* from = x + plane * p.height * p.width;
    T* to = columns + image * p.image_stride + (group * p.depth + inside * taps) * p.row_stride +
            (oh * p.out_w + ow);
    const int top = oh * p.stride_h - p.pad_h, left = ow * p.stride_w - p.pad_w;
    dev::Packet<T, V> packet;
    for (int kh = 0; kh < p.kernel_h; ++kh) {
      const int h = top + kh * p.dilation_h;
      const bool row_inside = unsigned(h) < unsigned(p.height);
      const T* row = from + (row_inside ? (long long)h * p.width : 0);
      for (int kw = 0; kw < p.kernel_w; ++kw, to += p.row_stride) {
        const int first = left + kw * p.dilation_w;
        packet.clear();
#pragma unroll
        for (int j = 0; j < V; ++j) {
          const int w = first + j * p.stride_w;
          if (row_inside && unsigned(w) < unsigned(p.width)) packet.set(j, row[w]);
        }
        dev::write(to, packet, V);
      }
    }
    if (inside + 1 < p.group_channels) continue;
    packet.clear();
    for (long long fill = p.group_channels * taps; fill < p.depth; ++fill, to += p.row_stride)
      dev::write(to, packet, V);
  }
}
EXPORT_FLOATING(conv_im2col, 1)
DEV_EXPORT(conv_im2col<2, __half>)
DEV_EXPORT(conv_im2col<2, __nv_bfloat16>)

// The same where kernel_w is 3, and the columns of taps lie one apart: stride, dilation and padding
// of 1 along the width, which is V pixels of 16 bytes many times over. A thread reads a piece of an
// input row once, with one neighbour on each side, and writes it three times, moved by one.
template <class T>
__global__ void __launch_bounds__(256)
    conv_im2col_three(const T* x, T* columns, const __grid_constant__ flame_params::Im2col p) {
  constexpr int V = dev::kVec<T>;
  const int per_row = p.width / V;
  const long long per_plane = (long long)p.out_h * per_row;
  const long long total = p.images * p.channels * per_plane;
  const int taps = p.kernel_h * 3;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long plane = dev::divide(i, per_plane);
    const int at = int(i - plane * per_plane), oh = at / per_row, w = (at - oh * per_row) * V;
    const long long image = dev::divide(plane, p.channels), channel = plane - image * p.channels;
    const long long group = dev::divide(channel, p.group_channels);
    const long long inside = channel - group * p.group_channels;
    const T* from = x + plane * p.height * p.width + w;
    T* to = columns + image * p.image_stride + (group * p.depth + inside * taps) * p.row_stride +
            (oh * p.width + w);
    int h = oh * p.stride_h - p.pad_h;
    for (int kh = 0; kh < p.kernel_h; ++kh, h += p.dilation_h, to += 3 * p.row_stride) {
      dev::Packet<T, V> middle, left, right;
      middle.clear(), left.clear(), right.clear();
      if (unsigned(h) < unsigned(p.height)) {
        const T* row = from + (long long)h * p.width;
        dev::read(middle, row, V);
        if (w > 0) left.set(0, row[-1]);
        if (w + V < p.width) right.set(V - 1, row[V]);
      }
#pragma unroll
      for (int j = 1; j < V; ++j) {
        left.set(j, middle.get(j - 1));
        right.set(j - 1, middle.get(j));
      }
      dev::write(to, left, V);
      dev::write(to + p.row_stride, middle, V);
      dev::write(to + 2 * p.row_stride, right, V);
    }
    if (inside + 1 < p.group_channels) continue;
    dev::Packet<T, V> zeros;
    zeros.clear();
    for (long long fill = p.group_channels * taps; fill < p.depth; ++fill, to += p.row_stride)
      dev::write(to, zeros, V);
  }
}
EXPORT_FLOATING(conv_im2col_three)

// The adjoint as a gather: each input element sums the column elements that copied it, in one
// order; taps that meet an output are period apart. Columns are in the accumulator's type; dx is
// rounded once. No atomics.
template <class T>
__global__ void __launch_bounds__(256)
    conv_col2im(const dev::Acc<T>* columns, T* dx, const __grid_constant__ flame_params::Im2col p) {
  const long long area = (long long)p.height * p.width;
  const long long total = p.images * p.channels * area;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long plane = dev::divide(i, area);
    const int at = int(i - plane * area), h = at / p.width, w = at - h * p.width;
    const long long image = dev::divide(plane, p.channels), channel = plane - image * p.channels;
    const long long group = dev::divide(channel, p.group_channels);
    const long long first_row =
        group * p.depth + (channel - group * p.group_channels) * p.kernel_h * p.kernel_w;
    const dev::Acc<T>* from = columns + image * p.image_stride + first_row * p.row_stride;
    const int top = h + p.pad_h, left = w + p.pad_w;
    const int first_h = dev::first_tap(top, p.period_h, p.stride_h, p.dilation_h);
    const int first_w = dev::first_tap(left, p.period_w, p.stride_w, p.dilation_w);
    dev::Acc<T> sum = 0;
    if (first_h < p.period_h && first_w < p.period_w) {
      // Two rows of four taps at a time, so that eight loads are under way.
      const long long tap_step = p.period_w * p.row_stride;
      const long long row_step =
          (long long)p.period_h * p.kernel_w * p.row_stride - (long long)p.step_h * p.out_w;
      const int start_h = (top - first_h * p.dilation_h) / p.stride_h;
      int ow = (left - first_w * p.dilation_w) / p.stride_w;
      for (int kw = first_w; kw < p.kernel_w; kw += 4 * p.period_w, ow -= 4 * p.step_w) {
        const dev::Acc<T>* row = from + (long long)(first_h * p.kernel_w + kw) * p.row_stride +
                                 ((long long)start_h * p.out_w + ow);
        int oh = start_h;
        for (int kh = first_h; kh < p.kernel_h; kh += 2 * p.period_h, oh -= 2 * p.step_h) {
          dev::Acc<T> taken[2][4];
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            const bool row_there =
                kh + r * p.period_h < p.kernel_h && unsigned(oh - r * p.step_h) < unsigned(p.out_h);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
              const bool there = row_there && kw + j * p.period_w < p.kernel_w &&
                                 unsigned(ow - j * p.step_w) < unsigned(p.out_w);
              taken[r][j] =
                  there ? row[r * row_step + j * tap_step - j * p.step_w] : dev::Acc<T>(0);
            }
          }
#pragma unroll
          for (int r = 0; r < 2; ++r)
#pragma unroll
            for (int j = 0; j < 4; ++j) sum += taken[r][j];
          row += 2 * row_step;
        }
      }
    }
    dx[i] = dev::store<T>(sum);
  }
}
EXPORT_FLOATING(conv_col2im)

// The same for what conv_im2col_three made, with a stride of 1 along the height too: V neighbouring
// elements read three rows of columns for each kh, with the one that is moved in from the side.
template <class T>
__global__ void __launch_bounds__(256)
    conv_col2im_three(const dev::Acc<T>* columns, T* dx,
                      const __grid_constant__ flame_params::Im2col p) {
  using A = dev::Acc<T>;
  constexpr int V = dev::kVec<A>;
  const int per_row = p.width / V;
  const long long per_plane = (long long)p.height * per_row;
  const long long total = p.images * p.channels * per_plane;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long plane = dev::divide(i, per_plane);
    const int at = int(i - plane * per_plane), h = at / per_row, w = (at - h * per_row) * V;
    const long long image = dev::divide(plane, p.channels), channel = plane - image * p.channels;
    const long long group = dev::divide(channel, p.group_channels);
    const long long first_row =
        group * p.depth + (channel - group * p.group_channels) * p.kernel_h * 3;
    const A* from = columns + image * p.image_stride + first_row * p.row_stride + w;
    A sum[V] = {};
#pragma unroll 3
    for (int kh = 0; kh < p.kernel_h; ++kh) {
      const int oh = h + p.pad_h - kh * p.dilation_h;
      if (unsigned(oh) >= unsigned(p.out_h)) continue;
      const A* row = from + kh * 3 * p.row_stride + (long long)oh * p.width;
      dev::Packet<A, V> first, second, third;
      dev::read(first, row, V);
      dev::read(second, row + p.row_stride, V);
      dev::read(third, row + 2 * p.row_stride, V);
      const A after = w + V < p.width ? row[V] : A(0);
      const A before = w > 0 ? row[2 * p.row_stride - 1] : A(0);
#pragma unroll
      for (int j = 0; j < V; ++j) {
        sum[j] += j + 1 < V ? first.get(j + 1 < V ? j + 1 : 0) : after;
        sum[j] += second.get(j);
        sum[j] += j > 0 ? third.get(j > 0 ? j - 1 : 0) : before;
      }
    }
    dev::Packet<T, V> packet;
    packet.assign(sum);
    dev::write(dx + (plane * p.height + h) * p.width + w, packet, V);
  }
}
EXPORT_FLOATING(conv_col2im_three)

// Weights (outputs, window) in rows of `depth` >= window, zeros behind: a product reads rows that
// start on 16 bytes many times faster.
template <class T>
__global__ void __launch_bounds__(256)
    conv_pad_weight(const T* weight, T* to, long long window, long long depth, long long total) {
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long row = dev::divide(i, depth), k = i - row * depth;
    to[i] = k < window ? weight[row * window + k] : dev::store<T>(0);
  }
}
EXPORT_FLOATING(conv_pad_weight)

// The weights of the convolution that is the adjoint of one with stride 1: from (groups, outputs,
// inputs, taps) to (groups, inputs, depth) where row element (output, tap) is the weight at the
// opposite tap; zeros behind. One block per tile of outputs and inputs, through shared memory, so
// that both sides are read and written in runs.
template <class T>
__global__ void __launch_bounds__(256)
    conv_turn_weight(const T* weight, T* to, const __grid_constant__ flame_params::TurnWeight p) {
  T* tile = dyn_shared<T>();
  const int tiles_out = (p.outputs + p.tile_outputs - 1) / p.tile_outputs;
  const int tiles_in = (p.inputs + p.tile_inputs - 1) / p.tile_inputs;
  long long block = blockIdx.x;
  const int out0 = int(block % tiles_out) * p.tile_outputs;
  block /= tiles_out;
  const int in0 = int(block % tiles_in) * p.tile_inputs;
  const long long group = block / tiles_in;
  const int outs = min(p.tile_outputs, p.outputs - out0), ins = min(p.tile_inputs, p.inputs - in0);
  const int run = ins * p.taps, turned = outs * p.taps;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const T* from = weight + ((group * p.outputs + out0) * p.inputs + in0) * p.taps;
  const long long stride = (long long)p.inputs * p.taps;
  constexpr int V = dev::kVec<T>;
  if (p.vectors && run % V == 0) {
    using Words = dev::Vec<unsigned, 4>;
    const int pieces = run / V;
#pragma unroll 4
    for (int i = threadIdx.x; i < outs * pieces; i += blockDim.x) {
      const int out = i / pieces;
      reinterpret_cast<Words*>(tile)[i] =
          reinterpret_cast<const Words*>(from + out * stride)[i - out * pieces];
    }
  } else {
    for (int out = warp; out < outs; out += warps)
      for (int k = lane; k < run; k += 32) tile[out * run + k] = from[out * stride + k];
  }
  __syncthreads();
  to += (group * p.inputs + in0) * p.depth;
  const int outs_on = 32 / p.taps, taps_on = 32 - outs_on * p.taps;  // a step of 32 along the row
  for (int in = warp; in < ins; in += warps) {
    T* row = to + in * p.depth + (long long)out0 * p.taps;
    int out = lane / p.taps, tap = lane - out * p.taps;
#pragma unroll 4
    for (int k = lane; k < turned; k += 32) {
      row[k] = tile[out * run + in * p.taps + (p.taps - 1 - tap)];
      out += outs_on, tap += taps_on;
      if (tap >= p.taps) ++out, tap -= p.taps;
    }
  }
  if (out0 + outs < p.outputs) return;
  const int window = p.outputs * p.taps, fill = int(p.depth - window);
  for (int i = threadIdx.x; i < ins * fill; i += blockDim.x)
    to[i / fill * p.depth + window + i % fill] = dev::store<T>(0);
}
EXPORT_FLOATING(conv_turn_weight)

// dw (rows, window) = the sum over `chunks` of partial (chunks, rows, depth).
template <class T>
__global__ void __launch_bounds__(256)
    conv_weight_finish(const dev::Acc<T>* partial, T* dw, long long chunks, long long window,
                       long long depth, long long total) {
  const long long i = dev::global_thread();
  if (i >= total) return;
  const long long row = dev::divide(i, window), size = dev::divide(total, window) * depth;
  partial += row * depth + (i - row * window);
  dev::Acc<T> sum = 0;
#pragma unroll 8
  for (long long chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * size];
  dw[i] = dev::store<T>(sum);
}
EXPORT_FLOATING(conv_weight_finish)
