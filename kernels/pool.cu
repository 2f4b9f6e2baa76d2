// Max pooling over (planes, height, width). NaN wins; the first maximum in row-major order of the
// window is the one, and takes the gradient.
#include "prelude.cuh"

// y: (planes, out_h, out_w); where: h * width + w of the maximum, or -1 for a window that lies
// wholly in the padding (its value is -inf), or null when no gradient is wanted. One thread per
// output; reads x once from memory, overlapping windows from caches.
template <class Index, class T>
__global__ void __launch_bounds__(256)
    max_pool_forward(const T* x, T* y, Index* where, const __grid_constant__ flame_params::Pool p) {
  using A = dev::Acc<T>;
  const long long total = p.planes * p.out_h * p.out_w;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long row = dev::divide(i, p.out_w), ow = i - row * p.out_w;
    const long long plane = dev::divide(row, p.out_h), oh = row - plane * p.out_h;
    const T* from = x + plane * p.height * p.width;
    A best = A(-dev::inf());
    long long at = -1;
    for (long long kh = 0; kh < p.kernel_h; ++kh) {
      const long long h = oh * p.stride_h - p.pad_h + kh * p.dilation_h;
      if (h < 0 || h >= p.height) continue;
      for (long long kw = 0; kw < p.kernel_w; ++kw) {
        const long long w = ow * p.stride_w - p.pad_w + kw * p.dilation_w;
        if (w < 0 || w >= p.width) continue;
        const A v = dev::load(from[h * p.width + w]);
        if (at < 0 || v > best || (v != v && best == best)) {
          best = v;
          at = h * p.width + w;
        }
      }
    }
    y[i] = dev::store<T>(best);
    if (where) where[i] = Index(at);
  }
}
EXPORT_FLOATING(max_pool_forward, int)
EXPORT_FLOATING(max_pool_forward, long long)

// dx: (planes, height, width). One thread per input element sums the gradients of the windows that
// chose it, in row-major order. Reads g and `where` once from memory; no atomics.
template <class Index, class T>
__global__ void __launch_bounds__(256)
    max_pool_backward(const T* g, const Index* where, T* dx,
                      const __grid_constant__ flame_params::Pool p) {
  const long long total = p.planes * p.height * p.width;
  for (long long i = dev::global_thread(); i < total; i += dev::global_threads()) {
    const long long row = dev::divide(i, p.width), w = i - row * p.width;
    const long long plane = dev::divide(row, p.height), h = row - plane * p.height;
    // Windows oh * stride - pad ... + (kernel - 1) * dilation that reach h.
    const long long reach_h = h + p.pad_h - (p.kernel_h - 1) * p.dilation_h;
    const long long reach_w = w + p.pad_w - (p.kernel_w - 1) * p.dilation_w;
    const long long first_h = reach_h > 0 ? dev::divide(reach_h + p.stride_h - 1, p.stride_h) : 0;
    const long long first_w = reach_w > 0 ? dev::divide(reach_w + p.stride_w - 1, p.stride_w) : 0;
    const long long last_h = min(dev::divide(h + p.pad_h, p.stride_h), p.out_h - 1);
    const long long last_w = min(dev::divide(w + p.pad_w, p.stride_w), p.out_w - 1);
    const Index me = Index(h * p.width + w);
    dev::Acc<T> sum = 0;
    for (long long oh = first_h; oh <= last_h; ++oh)
      for (long long ow = first_w; ow <= last_w; ++ow) {
        const long long at = (plane * p.out_h + oh) * p.out_w + ow;
        if (where[at] == me) sum += dev::load(g[at]);
      }
    dx[i] = dev::store<T>(sum);
  }
}
EXPORT_FLOATING(max_pool_backward, int)
EXPORT_FLOATING(max_pool_backward, long long)
