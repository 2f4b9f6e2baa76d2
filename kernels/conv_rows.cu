// Columns of an image as products in TF32 want them: for each output pixel its window in one run.
#include "packed.cuh"

// x: (images, channels, height, width); rows: (image, group, pixel, depth), where a row holds what
// the weights of an output see, (channel, kh, kw), and zeros from the window's end on. One block
// per `pixels` neighbours of an output row and `chunk` channels: it reads the piece of the input
// rows that they see into shared memory, and writes runs of chunk * taps elements, 16 bytes a
// thread, neighbouring threads along the run. Memory traffic: x once (kernel_h times from caches),
// rows once. Which element of the tile belongs to which place of a run is the same for every pixel.
__global__ void __launch_bounds__(256, 5)
    conv_im2row(const float* x, float* rows, const __grid_constant__ flame_params::Im2row p) {
  using Words = dev::Vec<unsigned, 4>;
  constexpr unsigned kNone = ~0u;
  const flame_params::Im2col& c = p.conv;
  const int tile_rows = p.chunk * c.kernel_h, taps = c.kernel_h * c.kernel_w;
  float* tile = dyn_shared<float>();
  unsigned* place = reinterpret_cast<unsigned*>(tile + tile_rows * p.span);

  unsigned block = blockIdx.x;
  const int first = int(block % unsigned(p.chunks)) * p.chunk;
  block /= unsigned(p.chunks);
  const unsigned segments = unsigned(c.out_w + p.pixels - 1) / unsigned(p.pixels);
  const int ow = int(block % segments) * p.pixels;
  block /= segments;
  const int oh = int(block % unsigned(c.out_h));
  const long long plane = block / unsigned(c.out_h);  // image and group
  const int channels = min(p.chunk, int(c.group_channels) - first);
  const int run =
      first + channels < c.group_channels ? channels * taps : int(c.depth) - first * taps;

  for (int k = threadIdx.x; k < run; k += blockDim.x) {
    const int channel = k / taps, tap = k - channel * taps, kh = tap / c.kernel_w;
    place[k] = channel < channels ? unsigned((channel * c.kernel_h + kh) * p.span +
                                             (tap - kh * c.kernel_w) * c.dilation_w)
                                  : kNone;
  }
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const int left = ow * c.stride_w - c.pad_w, top = oh * c.stride_h - c.pad_h;
  for (int row = warp; row < channels * c.kernel_h; row += warps) {
    const int channel = row / c.kernel_h, h = top + (row - channel * c.kernel_h) * c.dilation_h;
    const bool row_inside = unsigned(h) < unsigned(c.height);
    const float* from =
        x +
        ((plane * c.group_channels + first + channel) * c.height + (row_inside ? h : 0)) * c.width;
#pragma unroll 4
    for (int s = lane; s < p.span; s += 32) {
      const bool inside = row_inside && unsigned(left + s) < unsigned(c.width);
      tile[row * p.span + s] = inside ? from[left + s] : 0.0f;
    }
  }
  __syncthreads();

  const int pixels = min(p.pixels, c.out_w - ow), pieces = run / 4;
  float* to = rows + ((plane * c.out_h + oh) * c.out_w + ow) * c.depth + (long long)first * taps;
  for (int pixel = warp; pixel < pixels; pixel += warps) {
    const float* at = tile + pixel * c.stride_w;
    for (int piece = lane; piece < pieces; piece += 32) {
      const Words places = reinterpret_cast<const Words*>(place)[piece];
      dev::Packet<float, 4> packet;
#pragma unroll
      for (int j = 0; j < 4; ++j) packet.set(j, places.v[j] == kNone ? 0.0f : at[places.v[j]]);
      dev::write(to + pixel * c.depth + piece * 4, packet, 4);
    }
  }
}
DEV_EXPORT(conv_im2row)
