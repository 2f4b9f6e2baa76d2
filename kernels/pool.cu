// Max pooling over (planes, height, width). NaN wins; the first maximum in row-major order of the
// window is the one, and takes the gradient.
#include "prelude.cuh"

// y: (planes, out_h, out_w); where: h * width + w of the maximum, or -1 for a window that lies
// wholly in the padding (its value is -inf), or null when no gradient is wanted. One thread per
// output; reads x once from memory, overlapping windows from caches.
template <class Index, class T>
__global__ void __launch_bounds__(256)
    max_pool_forward(const T* x, T* y, Index* where,
                     const __grid_constant__ flame_params::Pool<Index> p) {
  using A = dev::Acc<T>;
  const long long total = p.planes * p.out_h * p.out_w;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long row = dev::divide(i, p.out_w), plane = dev::divide(row, p.out_h);
    const Index ow = Index(i - row * p.out_w), oh = Index(row - plane * p.out_h);
    const T* from = x + plane * ((long long)p.height * p.width);
    A best = A(-dev::inf());
    Index at = -1;
    for (Index kh = 0; kh < p.kernel_h; ++kh) {
      const Index h = oh * p.stride_h - p.pad_h + kh * p.dilation_h;
      if (h < 0 || h >= p.height) continue;
#pragma unroll 1  // windows are short; unrolled, 64-bit coordinates spill
      for (Index kw = 0; kw < p.kernel_w; ++kw) {
        const Index w = ow * p.stride_w - p.pad_w + kw * p.dilation_w;
        if (w < 0 || w >= p.width) continue;
        const A v = dev::load(from[h * p.width + w]);
        if (at < 0 || v > best || (v != v && best == best)) {
          best = v;
          at = h * p.width + w;
        }
      }
    }
    y[i] = dev::store<T>(best);
    if (where) where[i] = at;
  }
}
EXPORT_FLOATING(max_pool_forward, int)
EXPORT_FLOATING(max_pool_forward, long long)

// dx: (planes, height, width). One thread per input element sums the gradients of the windows that
// chose it, in row-major order. Reads g and `where` once from memory; no atomics.
template <class Index, class T>
__global__ void __launch_bounds__(256)
    max_pool_backward(const T* g, const Index* where, T* dx,
                      const __grid_constant__ flame_params::Pool<Index> p) {
  const long long total = p.planes * p.height * p.width;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long row = dev::divide(i, p.width), plane = dev::divide(row, p.height);
    const Index w = Index(i - row * p.width), h = Index(row - plane * p.height);
    // Windows oh * stride - pad ... + (kernel - 1) * dilation that reach h.
    const Index reach_h = h + p.pad_h - (p.kernel_h - 1) * p.dilation_h;
    const Index reach_w = w + p.pad_w - (p.kernel_w - 1) * p.dilation_w;
    const Index first_h = reach_h > 0 ? (reach_h + p.stride_h - 1) / p.stride_h : 0;
    const Index first_w = reach_w > 0 ? (reach_w + p.stride_w - 1) / p.stride_w : 0;
    const Index last_h = min((h + p.pad_h) / p.stride_h, p.out_h - 1);
    const Index last_w = min((w + p.pad_w) / p.stride_w, p.out_w - 1);
    const Index me = h * p.width + w;
    dev::Acc<T> sum = 0;
    for (Index oh = first_h; oh <= last_h; ++oh)
      for (Index ow = first_w; ow <= last_w; ++ow) {
        const long long at = (plane * p.out_h + oh) * p.out_w + ow;
        if (where[at] == me) sum += dev::load(g[at]);
      }
    dx[i] = dev::store<T>(sum);
  }
}
EXPORT_FLOATING(max_pool_backward, int)
EXPORT_FLOATING(max_pool_backward, long long)
