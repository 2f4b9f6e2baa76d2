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

// dx[line][bin] = the sum of g over the entries of the line's index that name the bin, in order.
// A block of (L, R) threads owns L neighbouring lines and a range of bins, whose sums it keeps in
// shared memory: (bins_per_block, L) sums, then as many claims. It walks the entries R at a time;
// of the threads that name one bin the lowest row claims it, adds, and the others try again: the
// order of additions is the order of entries. Each dx is written once, rounded once.
template <class Index, class T>
__global__ void __launch_bounds__(1024)
    gather_backward(const T* g, const Index* index, T* dx,
                    const __grid_constant__ flame_params::GatherLines p) {
  using A = dev::Acc<T>;
  constexpr int kFree = 1 << 30;
  const int lanes = blockDim.x, lane = threadIdx.x, rank = threadIdx.y;
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
  for (int b = rank; b < bins; b += blockDim.y) {
    sums[b * lanes + lane] = 0;
    claims[b * lanes + lane] = kFree;
  }
  __syncthreads();
  for (long long start = 0; start < p.entries; start += blockDim.y) {
    const long long entry = start + rank;
    long long bin = -1;
    A value = 0;
    if (covered && entry < p.entries) {
      bin = (long long)index[index_at + entry * p.entry_stride] - first_bin;
      if (bin >= 0 && bin < bins) value = dev::load(g[grad_at + entry * p.entry_grad_stride]);
    }
    bool waiting = bin >= 0 && bin < bins;
    const int mine = waiting ? int(bin) * lanes + lane : 0;
    while (__syncthreads_or(waiting)) {
      if (waiting) atomicMin(&claims[mine], rank);
      __syncthreads();
      const bool won = waiting && claims[mine] == rank;
      __syncthreads();
      if (won) {
        sums[mine] += value;
        claims[mine] = kFree;
        waiting = false;
      }
    }
  }
  if (line < p.lines.numel)
    for (int b = rank; b < bins; b += blockDim.y)
      dx[to + (first_bin + b) * p.bin_stride] = dev::store<T>(sums[b * lanes + lane]);
}
EXPORT_FLOATING(gather_backward, int)
EXPORT_FLOATING(gather_backward, long long)
