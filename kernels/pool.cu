// Max pooling over (planes, height, width). NaN wins; the first maximum in row-major order of the
// window is the one, and takes the gradient.
#include "pool_plane.cuh"

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

namespace dev {

template <class A>
struct Best {
  A value = A(-inf());
  int at = kNoPlace;  // in the window
};

template <class T>
__device__ __forceinline__ Best<Acc<T>> best_of_window(const T* image, int top, int left,
                                                       const flame_params::PlanePool& p) {
  Best<Acc<T>> best;
  for (int kh = 0; kh < p.kernel_h; ++kh) {
    const int h = top + kh * p.dilation_h;
    if (unsigned(h) >= unsigned(p.height)) continue;
    for (int kw = 0; kw < p.kernel_w; ++kw) {
      const int w = left + kw * p.dilation_w;
      if (unsigned(w) >= unsigned(p.width)) continue;
      const Acc<T> v = load(image[h * p.width + w]);
      if (best.at == kNoPlace || (!(v <= best.value) && best.value == best.value)) {
        best.value = v;
        best.at = kh * p.kernel_w + kw;
      }
    }
  }
  return best;
}

// Without branches: what lies outside reads as the nearest element inside, which is of the window
// too; max_pool_backward_plane finds it by the same rule.
template <int kWindow, class T>
__device__ __forceinline__ Best<Acc<T>> best_of_square(const T* image, int top, int left,
                                                       const flame_params::PlanePool& p) {
  Best<Acc<T>> best;
  if (top >= p.height || left >= p.width || top + kWindow <= 0 || left + kWindow <= 0) return best;
  int column[kWindow];
#pragma unroll
  for (int k = 0; k < kWindow; ++k) column[k] = min(max(left + k, 0), p.width - 1);
#pragma unroll
  for (int kh = 0; kh < kWindow; ++kh) {
    const T* row = image + min(max(top + kh, 0), p.height - 1) * p.width;
#pragma unroll
    for (int kw = 0; kw < kWindow; ++kw) {
      const Acc<T> v = load(row[column[kw]]);
      const bool better = !(v <= best.value) && best.value == best.value;
      if (better || (kh == 0 && kw == 0)) {
        best.value = v;
        best.at = kh * kWindow + kw;
      }
    }
  }
  return best;
}

}  // namespace dev

// Planes in shared memory, kWindow the kernel's size where it is a square of that size without
// dilation, else 0. x: (planes, height, width), y: (planes, out_h, out_w), where: as y, or null.
template <int kWindow, class T>
__global__ void __launch_bounds__(256)
    max_pool_forward_plane(const T* x, T* y, unsigned char* where,
                           const __grid_constant__ flame_params::PlanePool p) {
  using A = dev::Acc<T>;
  const int area = p.height * p.width, outputs = p.out_h * p.out_w;
  const long long first = (long long)blockIdx.x * p.per_block;
  const int planes = int(min((long long)p.per_block, p.planes - first));
  T* image = dyn_shared<T>();
  dev::copy_block(image, x + first * area, planes * area, p.vectors);
  __syncthreads();
  for (int i = threadIdx.x; i < planes * outputs; i += blockDim.x) {
    const int plane = dev::divide_small(i, p.by_pixels), pixel = i - plane * outputs;
    const int oh = dev::divide_small(pixel, p.by_out_w), top = oh * p.stride_h - p.pad_h;
    const int left = (pixel - oh * p.out_w) * p.stride_w - p.pad_w;
    const T* from = image + plane * area;
    dev::Best<A> found;
    if constexpr (kWindow > 0)
      found = dev::best_of_square<kWindow>(from, top, left, p);
    else
      found = dev::best_of_window(from, top, left, p);
    y[first * outputs + i] = dev::store<T>(found.value);
    if (where) where[first * outputs + i] = (unsigned char)found.at;
  }
}
EXPORT_FLOATING(max_pool_forward_plane, 0)
EXPORT_FLOATING(max_pool_forward_plane, 2)
EXPORT_FLOATING(max_pool_forward_plane, 3)

// dx: (planes, height, width). The windows give their gradients to sums in shared memory; windows
// that share an element follow one another, in the order of their phases. Traffic: g and `where`
// read, dx written once.
template <class T>
__global__ void __launch_bounds__(256)
    max_pool_backward_plane(const T* g, const unsigned char* where, T* dx,
                            const __grid_constant__ flame_params::PlanePool p) {
  using A = dev::Acc<T>;
  const int area = p.height * p.width, outputs = p.out_h * p.out_w;
  const long long first = (long long)blockIdx.x * p.per_block;
  const int planes = int(min((long long)p.per_block, p.planes - first));
  unsigned char* shared = dyn_shared<unsigned char>();
  A* sums = reinterpret_cast<A*>(shared);
  shared += dev::padded_bytes<A>(p.per_block * area);
  T* grad = reinterpret_cast<T*>(shared);
  unsigned char* place = shared + dev::padded_bytes<T>(p.per_block * outputs);
  dev::copy_block(grad, g + first * outputs, planes * outputs, p.vectors);
  dev::copy_block(place, where + first * outputs, planes * outputs, p.vectors);
  for (int i = threadIdx.x; i < planes * area; i += blockDim.x) sums[i] = 0;
  __syncthreads();
  const int windows = planes * p.phase_rows * p.phase_cols;
  for (int ph = 0; ph < p.phases_h; ++ph)
    for (int pw = 0; pw < p.phases_w; ++pw) {
      for (int i = threadIdx.x; i < windows; i += blockDim.x) {
        const int line = dev::divide_small(i, p.by_phase_cols);
        const int plane = dev::divide_small(line, p.by_phase_rows);
        const int oh = (line - plane * p.phase_rows) * p.phases_h + ph;
        const int ow = (i - line * p.phase_cols) * p.phases_w + pw;
        if (oh >= p.out_h || ow >= p.out_w) continue;
        const int window = plane * outputs + oh * p.out_w + ow, at = place[window];
        if (at == dev::kNoPlace) continue;
        const int kh = dev::divide_small(at, p.by_kernel_w), kw = at - kh * p.kernel_w;
        const int h = oh * p.stride_h - p.pad_h + kh * p.dilation_h;
        const int w = ow * p.stride_w - p.pad_w + kw * p.dilation_w;
        sums[plane * area + min(max(h, 0), p.height - 1) * p.width + min(max(w, 0), p.width - 1)] +=
            dev::load(grad[window]);
      }
      __syncthreads();
    }
  constexpr int kN = dev::kVec<T>;
  T* to = dx + first * area;
  if (p.vectors) {
    for (int i = threadIdx.x * kN; i < planes * area; i += blockDim.x * kN) {
      *reinterpret_cast<dev::Piece<T>*>(to + i) = dev::Piece<T>::of(sums + i);
    }
  } else {
    for (int i = threadIdx.x; i < planes * area; i += blockDim.x) to[i] = dev::store<T>(sums[i]);
  }
}
EXPORT_FLOATING(max_pool_backward_plane)
