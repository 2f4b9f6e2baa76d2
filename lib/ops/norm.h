// How kernels that work row by row are launched (softmax, layer_norm).
#pragma once
#include <cstdint>
#include <initializer_list>

#include "lib/tensor/launch.h"
#include "lib/tensor/tensor.h"

namespace flame {

// Elements of one 16-byte access.
constexpr std::int64_t vector_width(DType t) { return 16 / static_cast<std::int64_t>(size_of(t)); }
bool is_aligned16(const void* p);

// Whether rows of `cols` elements can be read 16 bytes at a time from all these tensors.
bool rows_are_vectors(std::int64_t cols, std::initializer_list<Tensor> tensors);

// Launch shape of a kernel that holds a row in registers: `items` vectors a thread, a warp a row
// where that is enough (four rows a block), else a block a row of `max_items`. Kernels exist for 1,
// 2 and 4 items, with `warp_items` for each number up to it.
struct RowPlan {
  int items = 0;  // 0: the row does not fit `max_items` vectors in each of 1024 threads
  driver::Dim3 grid, block;
};
RowPlan plan_rows(std::int64_t rows, std::int64_t cols, DType dtype, int max_items,
                  int warp_items = 0);

// Launch shape of a kernel that takes a long row per block, and how many elements of each of its
// `tensors` inputs it keeps in shared memory meanwhile: all, or whole strides of the block.
struct LongRowPlan {
  driver::Dim3 grid, block;
  unsigned shared_bytes = 0;
  long long kept = 0;
};
LongRowPlan plan_long_rows(const Device& device, std::int64_t rows, std::int64_t cols, int tensors,
                           DType dtype);

}  // namespace flame
