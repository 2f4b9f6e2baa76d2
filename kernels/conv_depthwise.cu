// conv2d where every input channel is a group of its own, directly: planes go through shared
// memory, so that global memory is read and written once, in order. kWindow: the kernel's size
// where it is a square of that size, else 0. Input plane p = image * channels + channel gives the
// output planes p * multiplier ... + multiplier - 1.
#include "pool_plane.cuh"
#include "reduce_block.cuh"

namespace dev {

// Bytes of `count` elements of T as elements of T, rounded up to 16 bytes.
template <class T>
__device__ __forceinline__ int padded(int count) {
  return padded_bytes<T>(count) / int(sizeof(T));
}

}  // namespace dev

// x: (planes, height, width), weight: (channels * multiplier, kernel_h, kernel_w), y: output
// planes.
template <int kWindow, class T>
__global__ void __launch_bounds__(256)
    conv_depthwise_forward(const T* x, const T* weight, const T* bias, T* y,
                           const __grid_constant__ flame_params::Depthwise p) {
  using A = dev::Acc<T>;
  const int area = p.height * p.width, pixels = p.out_h * p.out_w;
  const int kernel_h = kWindow ? kWindow : p.kernel_h, kernel_w = kWindow ? kWindow : p.kernel_w;
  const int taps = kernel_h * kernel_w, each = p.multiplier;
  const long long first = (long long)blockIdx.x * p.per_block;
  const int planes = int(min((long long)p.per_block, p.planes - first));
  T* image = dyn_shared<T>();
  T* taken = image + dev::padded<T>(p.per_block * area);  // the weights of these planes
  dev::copy_block(image, x + first * area, planes * area, p.vectors);
  for (int i = threadIdx.x; i < planes * each * taps; i += blockDim.x) {
    const int plane = i / (each * taps);
    taken[i] = weight[(first + plane) % p.channels * each * taps + (i - plane * each * taps)];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < planes * each * pixels; i += blockDim.x) {
    const int out_plane = dev::divide_small(i, p.by_pixels), pixel = i - out_plane * pixels,
              plane = dev::divide_small(out_plane, p.by_multiplier);
    const int oh = dev::divide_small(pixel, p.by_out_w), top = oh * p.stride_h - p.pad_h;
    const int left = (pixel - oh * p.out_w) * p.stride_w - p.pad_w;
    const T* from = image + plane * area + top * p.width + left;
    const T* w = taken + out_plane * taps;
    A sum = 0;
#pragma unroll
    for (int kh = 0; kh < kernel_h; ++kh) {
      const int dh = kh * p.dilation_h;
      if (unsigned(top + dh) >= unsigned(p.height)) continue;
#pragma unroll
      for (int kw = 0; kw < kernel_w; ++kw) {
        const int dw = kw * p.dilation_w;
        if (unsigned(left + dw) < unsigned(p.width))
          sum += dev::load(w[kh * kernel_w + kw]) * dev::load(from[dh * p.width + dw]);
      }
    }
    if (bias)
      sum += dev::load(bias[(first + plane) % p.channels * each + (out_plane - plane * each)]);
    y[first * each * pixels + i] = dev::store<T>(sum);
  }
}
EXPORT_FLOATING(conv_depthwise_forward, 0)
EXPORT_FLOATING(conv_depthwise_forward, 3)

// dx: (planes, height, width), each element a sum over the outputs that saw it.
template <int kWindow, class T>
__global__ void __launch_bounds__(256)
    conv_depthwise_input(const T* g, const T* weight, T* dx,
                         const __grid_constant__ flame_params::Depthwise p) {
  using A = dev::Acc<T>;
  const int area = p.height * p.width, pixels = p.out_h * p.out_w;
  const int kernel_h = kWindow ? kWindow : p.kernel_h, kernel_w = kWindow ? kWindow : p.kernel_w;
  const int taps = kernel_h * kernel_w, each = p.multiplier;
  const long long first = (long long)blockIdx.x * p.per_block;
  const int planes = int(min((long long)p.per_block, p.planes - first));
  T* grad = dyn_shared<T>();
  T* taken = grad + dev::padded<T>(p.per_block * each * pixels);
  dev::copy_block(grad, g + first * each * pixels, planes * each * pixels, p.vectors);
  for (int i = threadIdx.x; i < planes * each * taps; i += blockDim.x) {
    const int plane = i / (each * taps);
    taken[i] = weight[(first + plane) % p.channels * each * taps + (i - plane * each * taps)];
  }
  __syncthreads();
  for (int i = threadIdx.x; i < planes * area; i += blockDim.x) {
    const int plane = dev::divide_small(i, p.by_area), at = i - plane * area,
              h = dev::divide_small(at, p.by_width), w = at - h * p.width;
    A sum = 0;
    for (int m = plane * each; m < (plane + 1) * each; ++m)
#pragma unroll
      for (int kh = 0; kh < kernel_h; ++kh) {
        const int top = h + p.pad_h - kh * p.dilation_h;
        const int oh = dev::divide_small(max(top, 0), p.by_stride_h);
        if (top < 0 || oh >= p.out_h || oh * p.stride_h != top) continue;
#pragma unroll
        for (int kw = 0; kw < kernel_w; ++kw) {
          const int left = w + p.pad_w - kw * p.dilation_w;
          const int ow = dev::divide_small(max(left, 0), p.by_stride_w);
          if (left >= 0 && ow < p.out_w && ow * p.stride_w == left)
            sum += dev::load(taken[m * taps + kh * kernel_w + kw]) *
                   dev::load(grad[m * pixels + oh * p.out_w + ow]);
        }
      }
    dx[first * area + i] = dev::store<T>(sum);
  }
}
EXPORT_FLOATING(conv_depthwise_input, 0)
EXPORT_FLOATING(conv_depthwise_input, 3)

// partial: (chunks, output channels, taps): sums over a chunk of per_block images. One block per
// (chunk, output channel).
template <int kWindow, class T>
__global__ void __launch_bounds__(128)
    conv_depthwise_weight(const T* x, const T* g, dev::Acc<T>* partial,
                          const __grid_constant__ flame_params::Depthwise p) {
  using A = dev::Acc<T>;
  const int area = p.height * p.width, pixels = p.out_h * p.out_w;
  const int taps = kWindow ? kWindow * kWindow : p.kernel_h * p.kernel_w;
  const long long outputs = p.channels * p.multiplier;
  const long long output = blockIdx.x % outputs, channel = output / p.multiplier;
  const long long begin = blockIdx.x / outputs * p.per_block;
  const long long end = min(begin + p.per_block, p.images);
  T* image = dyn_shared<T>();
  T* grad = image + dev::padded<T>(area);
  A* to = partial + (long long)blockIdx.x * taps;
  // All taps in registers where their number is known; else the images once for every tap.
  constexpr int kTaps = kWindow ? kWindow * kWindow : 1;
  const int kernel_w = kWindow ? kWindow : p.kernel_w;
  for (int tap = 0; tap < taps; tap += kTaps) {
    A sum[kTaps] = {};
    for (long long n = begin; n < end; ++n) {
      __syncthreads();  // the last image has been used
      dev::copy_block(image, x + (n * p.channels + channel) * area, area, p.vectors);
      dev::copy_block(grad, g + (n * outputs + output) * pixels, pixels, p.vectors);
      __syncthreads();
      for (int i = threadIdx.x; i < pixels; i += blockDim.x) {
        const int oh = dev::divide_small(i, p.by_out_w), ow = i - oh * p.out_w;
        const A v = dev::load(grad[i]);
#pragma unroll
        for (int k = 0; k < kTaps; ++k) {
          const int kh = (tap + k) / kernel_w, kw = tap + k - kh * kernel_w;
          const int h = oh * p.stride_h - p.pad_h + kh * p.dilation_h;
          const int w = ow * p.stride_w - p.pad_w + kw * p.dilation_w;
          if (unsigned(h) < unsigned(p.height) && unsigned(w) < unsigned(p.width))
            sum[k] += v * dev::load(image[h * p.width + w]);
        }
      }
    }
#pragma unroll
    for (int k = 0; k < kTaps; ++k) {
      const A total = dev::row_sum(sum[k]);
      if (threadIdx.x == 0) to[tap + k] = total;
    }
  }
}
EXPORT_FLOATING(conv_depthwise_weight, 0)
EXPORT_FLOATING(conv_depthwise_weight, 3)
