// Every op as a function, declared from the manifest.
#pragma once
#include <optional>
#include <span>
#include <string_view>

#include "lib/tensor/tensor.h"

namespace flame {

#define FLAME_OP(id, signature) Tensor id signature;
#include "lib/core/ops.inc"
#undef FLAME_OP

inline Tensor operator+(const Tensor& a, const Operand& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Operand& b) { return add(a, b, -1); }
inline Tensor operator*(const Tensor& a, const Operand& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Operand& b) { return div(a, b); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, a); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }
inline Tensor operator-(const Tensor& a) { return mul(a, -1); }

}  // namespace flame
