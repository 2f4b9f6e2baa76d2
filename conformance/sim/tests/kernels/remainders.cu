// Every way that kernels/remainder.cuh has, side by side.
#include "remainder.cuh"

// results[k * n + i]: (high[i], low[i]) mod range by way k.
__global__ void remainders(const unsigned* high, const unsigned* low,
                           const flame_params::Range range, unsigned long long* results, int n) {
  const dev::AnyRange any(range);
  const dev::SmallRange small(range);
  const dev::SmallRangeByDouble by_double(range);
  for (int i = int(dev::global_thread()); i < n; i += int(dev::global_threads())) {
    results[i] = any(high[i], low[i]);
    results[n + i] = small(high[i], low[i]);
    results[2 * n + i] = by_double(high[i], low[i]);
  }
}

DEV_EXPORT(remainders)
