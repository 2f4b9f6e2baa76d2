// What formulas are written on: row-major arrays of any scalar, and the index arithmetic they
// share.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lib/core/attrs.h"
#include "lib/core/dtype.h"
#include "lib/core/shape.h"
#include "reference/scalar/functions.h"

namespace flame::reference {

template <class S>
struct Array {
  DType dtype = DType::kFloat64;
  Shape shape;
  std::vector<S> values;
  bool defined = true;

  std::size_t size() const { return values.size(); }
};

template <class S>
using Arrays = std::vector<Array<S>>;
// The inputs of a formula: one per parameter, a list parameter takes the rest.
template <class S>
using ArraySpan = std::span<const Array<S>>;

// An array of `shape` whose element i is f(i), i counting row-major.
template <class S, class F>
Array<S> generate(DType dtype, const Shape& shape, F f) {
  Array<S> out{dtype, shape, {}};
  const auto n = static_cast<std::size_t>(numel(shape));
  out.values.reserve(n);
  for (std::size_t i = 0; i < n; ++i) out.values.push_back(f(i));
  return out;
}

// positions[i]: where element i of a row-major walk over `shape` lies, with these strides.
std::vector<std::size_t> positions(const Shape& shape, const Strides& strides,
                                   std::size_t offset = 0);
// Where element i of `to` comes from in an array of shape `from` that broadcasts to it.
std::vector<std::size_t> broadcast_positions(const Shape& from, const Shape& to);

// out[i] = in[positions[i]].
template <class S>
Array<S> pick(const Array<S>& in, const Shape& shape, const std::vector<std::size_t>& positions) {
  return generate<S>(in.dtype, shape, [&](std::size_t i) { return in.values[positions[i]]; });
}

// A reduction: the elements of the input that make up each element of the output.
struct Groups {
  Shape shape;                                    // of the output
  std::vector<std::vector<std::size_t>> members;  // row-major within each
};
Groups reduce_groups(std::string_view op, const Shape& shape, const IntList& dims, bool keepdim);

// The rows along `dim`: row r, element j lies at starts[r] + j * step.
struct Rows {
  std::vector<std::size_t> starts;
  std::size_t length = 1, step = 1;
};
Rows rows_along(std::string_view op, const Shape& shape, std::int64_t dim);

// Attributes that may be left out: then the default of ops.inc.
double number_or(const Attrs& attrs, std::string_view name, double otherwise);
std::int64_t int_or(const Attrs& attrs, std::string_view name, std::int64_t otherwise);
bool bool_or(const Attrs& attrs, std::string_view name, bool otherwise);
std::string string_or(const Attrs& attrs, std::string_view name, std::string otherwise);
IntList ints_or(const Attrs& attrs, std::string_view name, IntList otherwise);
// The attribute "dtype" by PyTorch's name; `otherwise` when absent. ValueError when unknown.
DType dtype_or(const Attrs& attrs, DType otherwise);

// A number argument as a kernel holds it: rounded to the working precision of `dtype`.
template <class S>
S number(double value, DType dtype);

// A tensor operand, or the number that stands in its place as the attribute `name`.
template <class S>
Array<S> operand(const Array<S>& in, const Attrs& attrs, std::string_view name, DType dtype) {
  if (in.defined) return in;
  return {dtype, {}, {number<S>(attrs.get_double(name), dtype)}};
}

}  // namespace flame::reference
