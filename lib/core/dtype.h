// The element types a tensor can store, and what each of them is.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <string_view>

namespace flame {

// Floating types carry values and gradients; integers and bool are storage, indices and masks.
enum class DType : std::uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt64,
  kInt32,
  kUInt8,
  kBool,
};
inline constexpr int kDTypeCount = 8;

// Bytes of one element.
constexpr std::size_t size_of(DType t) {
  switch (t) {
    case DType::kFloat64:
    case DType::kInt64:
      return 8;
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kUInt8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

constexpr bool is_floating(DType t) { return t <= DType::kBFloat16; }
constexpr bool is_half(DType t) { return t == DType::kFloat16 || t == DType::kBFloat16; }

// PyTorch's name: "float32", "bfloat16", "int64", "bool", ...
std::string_view name(DType t);
std::ostream& operator<<(std::ostream& out, DType t);  // its name
// The inverse of name(); also takes safetensors' spellings ("F32", "BF16", "I64", "BOOL").
std::optional<DType> parse_dtype(std::string_view text);
// The type as kernels spell it: "float", "double", "__half", "__nv_bfloat16", "long long", ...
std::string_view device_name(DType t);
// The type a device accumulates in: float for half types and float32, double for float64.
constexpr DType accumulator(DType t) { return t == DType::kFloat64 ? t : DType::kFloat32; }
// PyTorch's promotion of two floating types: the wider; float16 with bfloat16 gives float32.
DType promote(DType a, DType b);

// Unit roundoff u: half the distance from 1 to the next number (2^-24 for float32).
double unit_roundoff(DType t);
// The smallest positive subnormal.
double denorm_min(DType t);
// The largest finite value.
double max_finite(DType t);

// A small set of dtypes, for declarations.
class DTypeSet {
 public:
  constexpr DTypeSet(std::initializer_list<DType> types) {
    for (DType t : types) bits_ |= std::uint16_t(1u << unsigned(t));
  }
  constexpr bool has(DType t) const { return bits_ >> unsigned(t) & 1u; }

 private:
  std::uint16_t bits_ = 0;
};
inline constexpr DTypeSet kFloating{DType::kFloat32, DType::kFloat64, DType::kFloat16,
                                    DType::kBFloat16};
inline constexpr DTypeSet kIndex{DType::kInt64, DType::kInt32};
inline constexpr DTypeSet kMask{DType::kBool, DType::kUInt8};
inline constexpr DTypeSet kAnyDType{DType::kFloat32,  DType::kFloat64, DType::kFloat16,
                                    DType::kBFloat16, DType::kInt64,   DType::kInt32,
                                    DType::kUInt8,    DType::kBool};

}  // namespace flame
