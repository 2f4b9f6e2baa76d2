// conv2d on matrix products: the columns of an image, their inverse, and the bias.
// Column element (image, row, pixel) is what weight column `row` = (channel, kh, kw) sees at output
// pixel (oh, ow): input[image][channel][oh * stride - pad + kh * dilation][ow * ...], 0 outside.
#include "reduce_block.cuh"

// x: (images, channels, height, width); columns as flame_params::Im2col says. One thread per
// (image, channel, pixel) writes its whole window; neighbouring threads are neighbouring pixels, so
// that writes are coalesced. Reads x once from memory, kernel_h * kernel_w times from caches.
template <class T>
__global__ void __launch_bounds__(256)
    conv_im2col(const T* x, T* columns, const __grid_constant__ flame_params::Im2col p) {
  const long long pixels = (long long)p.out_h * p.out_w;
  const long long total = p.images * p.channels * pixels;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long plane = dev::divide(i, pixels);
    const int pixel = int(i - plane * pixels), oh = pixel / p.out_w, ow = pixel - oh * p.out_w;
    const long long image = dev::divide(plane, p.channels), channel = plane - image * p.channels;
    const T* from = x + plane * p.height * p.width;
    T* to =
        columns + image * p.image_stride + channel * p.kernel_h * p.kernel_w * p.row_stride + pixel;
    for (int kh = 0; kh < p.kernel_h; ++kh) {
      const int h = oh * p.stride_h - p.pad_h + kh * p.dilation_h;
      for (int kw = 0; kw < p.kernel_w; ++kw, to += p.row_stride) {
        const int w = ow * p.stride_w - p.pad_w + kw * p.dilation_w;
        const bool inside = h >= 0 && h < p.height && w >= 0 && w < p.width;
        *to = inside ? from[(long long)h * p.width + w] : dev::store<T>(0);
      }
    }
  }
}
EXPORT_FLOATING(conv_im2col)

// The adjoint as a gather: each input element sums the column elements that copied it, in the order
// of (kh, kw). Columns are in the accumulator's type; dx is rounded once. No atomics.
template <class T>
__global__ void __launch_bounds__(256)
    conv_col2im(const dev::Acc<T>* columns, T* dx, const __grid_constant__ flame_params::Im2col p) {
  const long long area = (long long)p.height * p.width;
  const long long total = p.images * p.channels * area;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long plane = dev::divide(i, area);
    const int at = int(i - plane * area), h = at / p.width, w = at - h * p.width;
    const long long image = dev::divide(plane, p.channels), channel = plane - image * p.channels;
    const dev::Acc<T>* row =
        columns + image * p.image_stride + channel * p.kernel_h * p.kernel_w * p.row_stride;
    dev::Acc<T> sum = 0;
    for (int kh = 0; kh < p.kernel_h; ++kh) {
      const int top = h + p.pad_h - kh * p.dilation_h, oh = top / p.stride_h;
      const bool hit = top >= 0 && oh * p.stride_h == top && oh < p.out_h;
      for (int kw = 0; kw < p.kernel_w; ++kw, row += p.row_stride) {
        const int left = w + p.pad_w - kw * p.dilation_w, ow = left / p.stride_w;
        if (hit && left >= 0 && ow * p.stride_w == left && ow < p.out_w)
          sum += row[(long long)oh * p.out_w + ow];
      }
    }
    dx[i] = dev::store<T>(sum);
  }
}
EXPORT_FLOATING(conv_col2im)

// y[image][channel][pixel] = product[image][channel][pixel] + bias[channel], rounded once. The
// product is in the accumulator's type: one rounded to T would lose what the bias cancels. One
// block for each kBiasPixels pixels of a plane. Reads the product once, writes y once.
constexpr int kBiasPixels = 2048;
template <class T>
__global__ void __launch_bounds__(256)
    conv_add_bias(const dev::Acc<T>* product, const T* bias, T* y, long long channels,
                  long long pixels, long long blocks_a_plane) {
  const long long plane = blockIdx.x / blocks_a_plane;
  const long long first = (blockIdx.x - plane * blocks_a_plane) * kBiasPixels;
  const dev::Acc<T> added = dev::load(bias[plane % channels]);
  const long long end = min(first + kBiasPixels, pixels);
  for (long long i = first + threadIdx.x; i < end; i += blockDim.x)
    y[plane * pixels + i] = dev::store<T>(product[plane * pixels + i] + added);
}
EXPORT_FLOATING(conv_add_bias)

// Sums of g (images, channels, pixels) over a chunk of its (image, pixel) pairs: one block per
// (chunk, channel). partial: (chunks, channels). Reads g once, coalesced.
template <class T>
__global__ void __launch_bounds__(256)
    conv_bias_partial(const T* g, dev::Acc<T>* partial, long long channels, long long images,
                      long long pixels, long long chunk_size) {
  const long long channel = blockIdx.x % channels, chunk = blockIdx.x / channels;
  const long long end = min((chunk + 1) * chunk_size, images * pixels);
  dev::Acc<T> sum = 0;
  for (long long i = chunk * chunk_size + threadIdx.x; i < end; i += blockDim.x) {
    const long long image = dev::divide(i, pixels);
    sum += dev::load(g[(image * channels + channel) * pixels + (i - image * pixels)]);
  }
  sum = dev::row_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
EXPORT_FLOATING(conv_bias_partial)

// db[channel] = the sum of its partial sums; also of a weight's, element by element.
template <class T>
__global__ void __launch_bounds__(256)
    conv_bias_finish(const dev::Acc<T>* partial, T* db, long long chunks, long long channels) {
  const long long channel = dev::global_thread();
  if (channel >= channels) return;
  dev::Acc<T> sum = 0;
#pragma unroll 8
  for (long long chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * channels + channel];
  db[channel] = dev::store<T>(sum);
}
EXPORT_FLOATING(conv_bias_finish)
