// gather along a dim, and its gradient without float atomics.
#include "fault.cuh"

// out[i] = input[coordinates of i in the index, but index[i] along dim]; row-major over the index.
// One thread per element; an index out of range reads as NaN and is reported. Traffic: the index
// and the output once, the input as the index says.
template <class Index, class T>
__global__ void __launch_bounds__(256)
    gather_forward(const T* input, const Index* index, T* out, flame_params::FaultWord* fault,
                   const __grid_constant__ flame_params::Gather p) {
  for (long long i = dev::global_thread(); i < p.index.numel; i += dev::global_threads()) {
    long long rest = i, from = 0, index_at = 0;
    for (int d = p.index.rank - 1; d >= 0; --d) {
      const long long outer = dev::divide(rest, p.index.size[d]),
                      at = rest - outer * p.index.size[d];
      rest = outer;
      index_at += at * p.index_stride[d];
      if (d != p.dim) from += at * p.input_stride[d];
    }
    const long long chosen = index[index_at];
    if (chosen >= 0 && chosen < p.dim_size) {
      out[i] = input[from + chosen * p.input_stride[p.dim]];
    } else {
      out[i] = dev::store<T>(dev::nan());
      dev::report_fault(fault, chosen, p.dim_size, i);
    }
  }
}
EXPORT_FLOATING(gather_forward, int)
EXPORT_FLOATING(gather_forward, long long)

// The innermost dim: a block takes one line, whose `dim_size` elements it keeps in shared memory.
// input, index, out: lines of `dim_size`, `entries`, `entries` neighbouring elements. A thread
// takes 16 bytes' worth of neighbouring outputs at a time where `vectors` (index and out start on
// 16 bytes and `entries` is whole pieces).
template <class Index, class T>
__global__ void __launch_bounds__(512)
    gather_forward_line(const T* input, const Index* index, T* out, flame_params::FaultWord* fault,
                        const __grid_constant__ flame_params::GatherLine p) {
  constexpr int kN = dev::kVec<T>, kIndices = dev::kVec<Index>;
  long long rest = blockIdx.x, from = 0, index_at = 0;
  for (int d = p.lines.rank - 1; d >= 0; --d) {
    const long long outer = dev::divide(rest, p.lines.size[d]), at = rest - outer * p.lines.size[d];
    rest = outer;
    from += at * p.input_stride[d];
    index_at += at * p.index_stride[d];
  }
  input += from, index += index_at;
  const long long first = blockIdx.x * p.entries;
  T* line = dyn_shared<T>();
  if (p.line_vectors) {
#pragma unroll 4
    for (int i = threadIdx.x * kN; i < p.dim_size; i += blockDim.x * kN)
      *reinterpret_cast<dev::Vec<T, kN>*>(line + i) =
          *reinterpret_cast<const dev::Vec<T, kN>*>(input + i);
  } else {
    for (int i = threadIdx.x; i < p.dim_size; i += blockDim.x) line[i] = input[i];
  }
  __syncthreads();
  const auto inside = [&](long long chosen) { return chosen >= 0 && chosen < p.dim_size; };
  const T none = dev::store<T>(dev::nan());
  if (p.vectors) {
    using Indices = dev::Vec<Index, kIndices>;
#pragma unroll(kN > 4 ? 1 : 2)
    for (long long i = threadIdx.x * kN; i < p.entries; i += blockDim.x * kN) {
      Indices at[kN / kIndices > 0 ? kN / kIndices : 1];
#pragma unroll
      for (int u = 0; u < kN / kIndices; ++u)
        at[u] = *reinterpret_cast<const Indices*>(index + i + u * kIndices);
      dev::Vec<T, kN> chosen;
#pragma unroll
      for (int j = 0; j < kN; ++j) {
        const long long k = at[j / kIndices].v[j % kIndices];
        chosen.v[j] = inside(k) ? line[k] : none;
      }
      *reinterpret_cast<dev::Vec<T, kN>*>(out + first + i) = chosen;
      // After the store: no value has to outlive a call.
#pragma unroll
      for (int j = 0; j < kN; ++j) {
        const long long k = at[j / kIndices].v[j % kIndices];
        if (!inside(k)) dev::report_fault(fault, k, p.dim_size, first + i + j);
      }
    }
  } else {
    for (long long i = threadIdx.x; i < p.entries; i += blockDim.x) {
      const long long k = index[i];
      out[first + i] = inside(k) ? line[k] : none;
      if (!inside(k)) dev::report_fault(fault, k, p.dim_size, first + i);
    }
  }
}
EXPORT_FLOATING(gather_forward_line, int)
EXPORT_FLOATING(gather_forward_line, long long)

// Another dim than the innermost: (outer, entries, inner) of the index. A block of (32, 8) threads
// takes 32 neighbouring columns and kRows * 8 entries; blocks that follow one another take the same
// columns, whose input then lies in the L2 cache.
template <class Index, class T>
__global__ void __launch_bounds__(256)
    gather_forward_strip(const T* input, const Index* index, T* out, flame_params::FaultWord* fault,
                         const __grid_constant__ flame_params::GatherStrip p) {
  constexpr int kRows = 8;
  const long long blocks = (p.entries + kRows * 8 - 1) / (kRows * 8);
  const long long strip = blockIdx.x / blocks, strips = (p.inner + 31) / 32;
  const long long outer = strip / strips, column = strip % strips * 32 + threadIdx.x;
  const long long start = blockIdx.x % blocks * (kRows * 8) + threadIdx.y;
  if (column >= p.inner) return;
  input += outer * p.input_outer + column * p.input_inner;
  index += outer * p.index_outer + column * p.index_inner;
  const long long first = outer * p.entries * p.inner + column;
  Index chosen[kRows];
#pragma unroll
  for (int u = 0; u < kRows; ++u)
    chosen[u] = start + u * 8 < p.entries ? index[(start + u * 8) * p.index_dim] : Index(0);
  T value[kRows];
#pragma unroll
  for (int u = 0; u < kRows; ++u) {
    const bool inside = chosen[u] >= 0 && chosen[u] < p.dim_size;
    value[u] = inside && start + u * 8 < p.entries ? input[chosen[u] * p.input_dim]
                                                   : dev::store<T>(dev::nan());
  }
#pragma unroll
  for (int u = 0; u < kRows; ++u) {
    if (start + u * 8 >= p.entries) continue;
    const long long to = first + (start + u * 8) * p.inner;
    out[to] = value[u];
  }
  // After the stores: no value has to outlive a call.
#pragma unroll
  for (int u = 0; u < kRows; ++u)
    if (start + u * 8 < p.entries && (chosen[u] < 0 || chosen[u] >= p.dim_size))
      dev::report_fault(fault, chosen[u], p.dim_size, first + (start + u * 8) * p.inner);
}
EXPORT_FLOATING(gather_forward_strip, int)
EXPORT_FLOATING(gather_forward_strip, long long)

// dx[line][bin] = the sum of g over the entries of the line's index that name the bin, in order.
// A block of (L, R) threads owns L neighbouring lines and a range of bins, whose sums it keeps in
// shared memory: (bins_per_block, L) sums, then as many claims. It walks the entries kEach * R at a
// time, in rounds: of the entries that name one bin the first one claims it by the largest key,
// adds, and the others try again: the order of additions is the order of entries. Keys grow from
// round to round, so that claims need not be cleared. Each dx is written once, rounded once.
template <class Index, class T>
__global__ void __launch_bounds__(1024)
    gather_backward(const T* g, const Index* index, T* dx,
                    const __grid_constant__ flame_params::GatherLines p) {
  using A = dev::Acc<T>;
  constexpr int kEach = 8, kOrderBits = 13, kMostRounds = 1 << (31 - kOrderBits);
  const int lanes = blockDim.x, lane = threadIdx.x, rank = threadIdx.y, ranks = blockDim.y;
  const long long ranges = (p.bins + p.bins_per_block - 1) / p.bins_per_block;
  const long long first_bin = blockIdx.x % ranges * p.bins_per_block;
  const int bins = int(min(p.bins_per_block, p.bins - first_bin));
  A* sums = dyn_shared<A>();
  int* claims = reinterpret_cast<int*>(sums + p.bins_per_block * lanes);

  const long long line = blockIdx.x / ranges * lanes + lane;
  bool covered = line < p.lines.numel;
  long long rest = covered ? line : 0, to = 0, index_at = 0, grad_at = 0;
  for (int d = p.lines.rank - 1; d >= 0; --d) {
    const long long outer = dev::divide(rest, p.lines.size[d]), at = rest - outer * p.lines.size[d];
    rest = outer;
    to += at * p.line_stride[d];
    index_at += at * p.index_stride[d];
    grad_at += at * p.grad_stride[d];
    covered = covered && at < p.index_size[d];
  }
  for (int b = rank; b < bins; b += ranks) {
    sums[b * lanes + lane] = 0;
    claims[b * lanes + lane] = 0;
  }
  __syncthreads();
  int round = 0;
  for (long long start = 0; start < p.entries; start += kEach * ranks) {
    if (round > kMostRounds / 2) {  // no chunk needs as many as the other half
      for (int b = rank; b < bins; b += ranks) claims[b * lanes + lane] = 0;
      round = 0;
      __syncthreads();
    }
    int mine[kEach];  // where the bin lies, or -1
    A value[kEach];
#pragma unroll
    for (int u = 0; u < kEach; ++u) {
      const long long entry = start + u * ranks + rank;
      const bool there = covered && entry < p.entries;
      const long long bin =
          there ? (long long)index[index_at + entry * p.entry_stride] - first_bin : -1;
      value[u] = there ? dev::load(g[grad_at + entry * p.entry_grad_stride]) : A(0);
      mine[u] = bin >= 0 && bin < bins ? int(bin) * lanes + lane : -1;
    }
    bool waiting;
    do {
      const int key = (++round << kOrderBits) - 1 - rank;  // the first entry has the largest
#pragma unroll
      for (int u = 0; u < kEach; ++u)
        if (mine[u] >= 0) atomicMax(&claims[mine[u]], key - u * ranks);
      __syncthreads();
      waiting = false;
#pragma unroll
      for (int u = 0; u < kEach; ++u) {
        if (mine[u] < 0) continue;
        if (claims[mine[u]] == key - u * ranks) {
          sums[mine[u]] += value[u];
          mine[u] = -1;
        } else {
          waiting = true;
        }
      }
    } while (__syncthreads_or(waiting));
  }
  if (line < p.lines.numel)
    for (int b = rank; b < bins; b += ranks)
      dx[to + (first_bin + b) * p.bin_stride] = dev::store<T>(sums[b * lanes + lane]);
}
EXPORT_FLOATING(gather_backward, int)
EXPORT_FLOATING(gather_backward, long long)
