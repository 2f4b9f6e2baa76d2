// Generators of what kernels get wrong: floats with every special value (RapidCheck's own never
// gives NaN, infinities, subnormals or a negative zero), shapes, pairs that broadcast, dims and
// permutations. All shrink: floats towards 0 and 1, shapes towards few dims of size 1.
#pragma once
#include <gtest/gtest.h>
// RapidCheck's GoogleTest bridge needs GoogleTest before it.
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "lib/core/attrs.h"
#include "lib/core/dtype.h"
#include "lib/core/shape.h"

namespace flame::property {

// Any value of `dtype`: one in two is ordinary, the others are signed zeros, subnormals,
// infinities, NaN, the largest and the smallest values, ones and their neighbours. Exact in
// `dtype`.
rc::Gen<double> any_float(DType dtype);
// The same without NaN and infinities.
rc::Gen<double> finite_float(DType dtype);
// `count` of them.
rc::Gen<std::vector<double>> any_floats(DType dtype, std::int64_t count);

rc::Gen<DType> floating_dtype();
rc::Gen<DType> any_dtype();

struct ShapeLimits {
  int min_rank = 0, max_rank = 4;
  std::int64_t min_size = 1, max_size = 6;  // min_size 0: tensors without elements too
};
rc::Gen<Shape> any_shape(const ShapeLimits& limits = {});
// Two shapes that broadcast with each other, by NumPy's rules.
rc::Gen<std::pair<Shape, Shape>> broadcastable_shapes(const ShapeLimits& limits = {});
// A permutation of 0 ... n - 1; shrinks towards the identity.
rc::Gen<std::vector<std::int64_t>> permutation(std::int64_t n);
// Attributes of every kind, with names and texts that quoting could break.
rc::Gen<Attrs> any_attrs();

}  // namespace flame::property
