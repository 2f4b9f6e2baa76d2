// Argument structs of kernels. The one header that kernels/ and lib/ops both include, so that the
// two sides of a launch cannot disagree. Plain data only; no includes.
#pragma once

namespace flame_params {

inline constexpr int kMaxDims = 8;

// Where the elements of one operand of a `rank`-dim iteration lie: strides in elements, 0 where
// broadcast. `scalar` stands in for memory when `data` is null.
struct Strided {
  const void* data;
  double scalar;
  long long stride[kMaxDims];
};

// The sizes of an iteration space, outermost first.
struct Extent {
  long long size[kMaxDims];
  long long numel;
  int rank;
};

}  // namespace flame_params
