// conv2d's bias.
#include "reduce_block.cuh"

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
