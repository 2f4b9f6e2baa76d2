#include "lib/core/dtype.h"

#include <cmath>
#include <ostream>

namespace flame {
namespace {

struct Row {
  std::string_view name, safetensors, device;
  int significand;   // bits, the hidden one counted; 0 for integers
  int min_exponent;  // of the smallest subnormal
  double max;
};

const Row& row(DType t) {
  static const Row rows[kDTypeCount] = {
      {"float32", "F32", "float", 24, -149, 0x1.fffffep127},
      {"float64", "F64", "double", 53, -1074, 0x1.fffffffffffffp1023},
      {"float16", "F16", "__half", 11, -24, 65504.0},
      {"bfloat16", "BF16", "__nv_bfloat16", 8, -133, 0x1.fep127},
      {"int64", "I64", "long long", 0, 0, 0x1p63},
      {"int32", "I32", "int", 0, 0, 2147483647.0},
      {"uint8", "U8", "unsigned char", 0, 0, 255.0},
      {"bool", "BOOL", "bool", 0, 0, 1.0},
  };
  return rows[static_cast<int>(t)];
}

}  // namespace

std::string_view name(DType t) { return row(t).name; }
std::ostream& operator<<(std::ostream& out, DType t) { return out << name(t); }
std::string_view device_name(DType t) { return row(t).device; }

std::optional<DType> parse_dtype(std::string_view text) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto t = static_cast<DType>(i);
    if (text == row(t).name || text == row(t).safetensors) return t;
  }
  return std::nullopt;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (a == DType::kFloat64 || b == DType::kFloat64) return DType::kFloat64;
  return DType::kFloat32;
}

double unit_roundoff(DType t) { return is_floating(t) ? std::ldexp(1.0, -row(t).significand) : 0; }
double denorm_min(DType t) { return is_floating(t) ? std::ldexp(1.0, row(t).min_exponent) : 0; }
double max_finite(DType t) { return row(t).max; }

}  // namespace flame
