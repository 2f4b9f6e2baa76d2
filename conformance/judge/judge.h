// The judge: componentwise, NaN-safe, with a bound that was derived and never typed.
//
//   r = |got - want| / (u_acc * E + u_out * |want| + denorm_min)      pass only if r <= 1
//   everywhere
//
// E is the oracle's running error (reference::Bound), u_acc the unit roundoff of the type the
// device accumulates in, u_out and denorm_min those of the type it stores. The form is that of the
// BLAS testers' componentwise gauge (Dongarra et al. 1990), with E in the place of a constant times
// sum |a||b|.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reference/contract.h"

namespace flame::conformance {

struct Judgement {
  bool pass = false;
  double r = -1;                        // worst over all elements; infinite where a rule was broken
  std::string where;                    // of the worst: "grad.input[1, 7]"
  std::int64_t compared = 0;            // elements
  std::string reason;                   // why it failed; empty when it passed
  double got = 0, want = 0, bound = 0;  // at `where`

  // Both: fails when either did, keeps the worse r, adds what was compared.
  void merge(const Judgement& other);
};

// "[1, 7]" of the flat row-major index; "" for a scalar.
std::string position(const Shape& shape, std::int64_t flat);

// Judges one tensor read back from the device, called `name` in reports.
//
// Rules, each tested with a planted fault:
// - Shapes must agree. Zero elements compared is a failure unless the truth has zero elements: then
//   the shape is what was compared, and the reason of a pass stays empty with compared = 0.
// - NaN where the truth is NaN, an infinity of the same sign where it is infinite, and nowhere
// else;
//   except that a finite truth which reaches the storage type's largest value within its bound may
//   come out as the infinity of its sign.
// - `exact`: == after the truth was rounded to the dtype. Otherwise r as above.
// - Integer and bool outputs are always compared with ==.
// - -0 equals +0: no op of ours promises the sign of a zero.
// A failure whose errors are alike in size over most elements is named by that size (float32
// promised, TF32 or bfloat16 delivered).
Judgement judge(std::string_view name, const reference::HostTensor& got,
                const reference::BoundTensor& want, bool exact = false);

// A tensor as it was stored, row-major.
struct Bits {
  DType dtype = DType::kFloat32;
  Shape shape;
  std::vector<std::byte> bytes;
  bool defined = false;
};
// Bitwise equality of two readbacks of one computation.
Judgement judge_same(std::string_view name, const Bits& got, const Bits& want);

// What an element may be off by: u_acc * E + u_out * |want| + denorm_min.
double tolerance(DType dtype, const reference::Bound& want);

}  // namespace flame::conformance
