// The geometry of an elementwise launch: dims merged, strides and addresses gathered, the widest
// access that they allow. The other half is kernels/elementwise.cuh.
#pragma once
#include <array>
#include <initializer_list>

#include "kernels/params.h"
#include "lib/tensor/launch.h"
#include "lib/tensor/tensor.h"

namespace flame {

// What an elementwise kernel reads or writes: a tensor that broadcasts to the iteration's shape, a
// number, or nothing (a gradient that is not wanted). The tensor is only referred to.
class LoopOperand {
 public:
  LoopOperand(const Tensor& tensor) : tensor_(&tensor) {}
  LoopOperand(Tensor&&) = delete;  // would be gone before the launch
  LoopOperand(double number) : number_(number) {}
  const Tensor& tensor() const { return *tensor_; }  // undefined: a number or nothing
  double number() const { return number_; }

 private:
  inline static const Tensor kNone;
  const Tensor* tensor_ = &kNone;
  double number_ = 0;
};

// The most operands of one loop: no kernel takes more.
inline constexpr std::size_t kMaxOperands = 6;

struct Loop {
  flame_params::Extent extent = {};
  std::array<flame_params::Strided, kMaxOperands> operands = {};  // in the order given
  int vector = 1;  // elements of one access: the kernels' V

  const flame_params::Strided& operator[](std::size_t i) const { return operands[i]; }
  bool empty() const { return extent.numel == 0; }
  static constexpr int kRepeats = 2;  // dev::kRepeats of kernels/elementwise.cuh
  // Whether operand i has one element for a whole access: a thread then takes kRepeats of them.
  bool repeats(std::size_t i) const {
    return vector > 1 && operands[i].stride[extent.rank - 1] == 0;
  }
  // Enough blocks where a thread takes `unroll` vectors.
  driver::Dim3 grid(unsigned unroll = 1) const;
  driver::Dim3 block() const;
};

// An iteration over `shape`; operand 0 decides in which order. Vectors are 16 bytes of the widest
// operand, or of elements of `element` bytes where wider operands are read by several accesses.
Loop make_loop(const Shape& shape, std::initializer_list<LoopOperand> operands,
               std::size_t element = 0);

// How kernels divide 31-bit numbers by one: n / size is n * factor >> shift.
struct Divisor {
  unsigned factor;
  int shift;
};
Divisor divisor_of(std::int64_t size);

// Fills in how dev::quotient divides by extent.size[0, rank), for indices below their product.
void set_divisors(flame_params::Extent& extent);

// A broadcast tensor's strides over `shape`: 0 where it has one element for many.
Strides broadcast_strides(const Tensor& tensor, const Shape& shape);

}  // namespace flame
