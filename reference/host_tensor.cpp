#include "reference/host_tensor.h"

#include <Eigen/Core>
#include <cmath>
#include <cstring>

#include "lib/core/error.h"

namespace flame::reference {
namespace {

// To an odd neighbour instead of to even, so that a second rounding to a shorter type is right
// (Boldo & Melquiond 2008): Eigen's half types are built from float.
float round_to_odd(double value) {
  float f = static_cast<float>(value);
  if (!std::isfinite(f) || static_cast<double>(f) == value) {
    if (std::isinf(f) && std::isfinite(value)) return f;
    return f;
  }
  if (std::fabs(static_cast<double>(f)) > std::fabs(value))
    f = std::nextafter(f, 0.0f);  // now truncated
  std::uint32_t bits = 0;
  std::memcpy(&bits, &f, sizeof bits);
  bits |= 1u;
  std::memcpy(&f, &bits, sizeof f);
  return f;
}

template <class T>
T stored(double value) {
  if constexpr (std::is_same_v<T, Eigen::half> || std::is_same_v<T, Eigen::bfloat16>)
    return T(round_to_odd(value));
  else if constexpr (std::is_same_v<T, bool>)
    return value != 0;
  else
    return static_cast<T>(value);
}

// Calls f with a value of the type that stores `dtype`.
template <class F>
auto dispatch(DType dtype, F f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(float{});
    case DType::kFloat64:
      return f(double{});
    case DType::kFloat16:
      return f(Eigen::half{});
    case DType::kBFloat16:
      return f(Eigen::bfloat16{});
    case DType::kInt64:
      return f(std::int64_t{});
    case DType::kInt32:
      return f(std::int32_t{});
    case DType::kUInt8:
      return f(std::uint8_t{});
    case DType::kBool:
      return f(bool{});
  }
  throw DTypeError("host tensor: unknown dtype");
}

}  // namespace

double round_to(DType dtype, double value) {
  return dispatch(
      dtype, [&](auto t) -> double { return static_cast<double>(stored<decltype(t)>(value)); });
}

std::vector<std::byte> encode(const HostTensor& tensor) {
  return dispatch(tensor.dtype, [&](auto t) {
    using T = decltype(t);
    std::vector<std::byte> bytes(tensor.values.size() * sizeof(T));
    for (std::size_t i = 0; i < tensor.values.size(); ++i) {
      const T element = stored<T>(tensor.values[i]);
      std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
    }
    return bytes;
  });
}

HostTensor decode(DType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  HostTensor out{dtype, shape, {}};
  const std::int64_t n = numel(shape, size_of(dtype));
  check<ValueError>(bytes.size() == static_cast<std::size_t>(n) * size_of(dtype),
                    "decode: ", bytes.size(), " bytes cannot be a ", name(dtype),
                    " tensor of shape ", to_string(shape));
  out.values.reserve(static_cast<std::size_t>(n));
  dispatch(dtype, [&](auto t) {
    using T = decltype(t);
    for (std::int64_t i = 0; i < n; ++i) {
      // A byte that is neither 0 nor 1 must not be read as bool.
      using Raw = std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>;
      Raw element;
      std::memcpy(static_cast<void*>(&element), bytes.data() + i * sizeof(T), sizeof(T));
      out.values.push_back(std::is_same_v<T, bool> ? double(element != Raw(0))
                                                   : static_cast<double>(element));
    }
  });
  return out;
}

}  // namespace flame::reference
