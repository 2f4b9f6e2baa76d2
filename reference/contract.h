// The proof half of an op: what it must compute, on which inputs, and how exactly. Written from the
// textbook, never from a kernel; sees lib/core only. The product half is the OpDef of the same
// name.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/attrs.h"
#include "lib/core/op_def.h"
#include "reference/host_tensor.h"

namespace flame::reference {

// A true value and a first-order bound of what an honest evaluation in working precision may be off
// by: |got - value| <= u * error, u the unit roundoff of the accumulation type (section 3 of the
// design). 64-bit significand, so that float64 results can be judged too.
struct Bound {
  long double value = 0;
  double error = 0;
};
// One tensor of them, row-major.
struct BoundTensor {
  Shape shape;
  std::vector<Bound> values;
  bool defined = true;
};

// How the elements of an input are drawn. The runner draws with a counter-based generator from the
// run's seed, then rounds to the dtype.
enum class Domain : std::uint8_t {
  kNormal,        // standard normal, times b if b != 0, plus a
  kUniform,       // [a, b)
  kAwayFromZero,  // +-[a, b): keeps clear of a kink at 0
  kDistinct,      // a shuffled ladder in [a, b]: equal values never, gaps as wide as they can be
  kIntegers,      // integers in [a, b]: sums of them are exact in every order
  kIndices,       // integers in [a, b)
  kMask,          // 0 or 1
  kExplicit,      // `values`, repeated cyclically
};

struct InputSpec {
  Shape shape;
  Domain domain = Domain::kNormal;
  double a = 0, b = 1;
  std::vector<double> values = {};  // kExplicit
  std::optional<DType> dtype =
      std::nullopt;     // set for index and mask inputs; else the case's dtype
  bool defined = true;  // false: optional input left out, or a number's place
};

// One input situation. Its string form ("exp(float32; (3, 4); ...)") reruns it.
struct Case {
  std::string name;  // short, unique within the op: "vector_tail", "two_dims_keepdim"
  std::vector<InputSpec> inputs;
  Attrs attrs;
  bool quick = true;             // part of --level quick
  bool exact = false;            // results are exact in every order: compared with ==
  bool differentiable = true;    // false: sits on a kink or on NaN; only forward is judged, unless
  bool pinned_gradient = false;  // true: the gradient at this kink is the documented convention
  DTypeSet dtypes = kFloating;   // the case's dtypes (intersected with what the op takes)
};

// A call that must fail, before anything is launched.
struct ErrorCase {
  std::string name;
  std::vector<InputSpec> inputs;
  Attrs attrs;
  std::string error;                  // "ShapeError", "DTypeError", "IndexError", ...
  std::vector<std::string> mentions;  // what the message must contain; the op's name always
  DType dtype = DType::kFloat32;
  bool deferred =
      false;  // reported at the next synchronisation (index out of range in device data)
};

struct BenchCase {
  std::string name;  // "8192x8192"
  std::vector<InputSpec> inputs;
  Attrs attrs;
  // order[i]: the dims of input i from outermost to innermost in memory; absent or empty: row-major.
  std::vector<IntList> order = {};
};

// Laws that property tests check on random shapes.
enum class Law : std::uint8_t {
  kElementwise,             // f(x)[i] depends on x[i] alone: concatenation, permutation, reshape
  kLinear,                  // f(a x + b y) = a f(x) + b f(y) in all its floating inputs together
  kBilinear,                // in each of its first two inputs
  kShiftInvariant,          // f(x + c) = f(x) along attrs.dim
  kPermutationEquivariant,  // f(P x) = P f(x) along attrs.dim
  kBatchIsConcatenation,    // f([x; y]) = [f(x); f(y)] along dim 0
};

// The order in which plain_forward and plain_backward add up.
enum class SumOrder : std::uint8_t { kSequential, kPairwise, kLanes32 };

// Inputs are given as stored (rounded); one entry per OpDef input, a list parameter takes the rest.
using Inputs = std::span<const HostTensor>;

struct Contract {
  std::string_view op;
  // The truth with its bound, at Bounded scalars.
  std::vector<BoundTensor> (*forward)(Inputs, const Attrs&) = nullptr;
  // d(outputs)/d(inputs)^T * grad_outputs with bounds: one entry per input, undefined for those
  // that are not differentiable or not defined. nullptr when the op is not differentiable.
  std::vector<BoundTensor> (*backward)(Inputs, const Attrs&, Inputs grad_outputs) = nullptr;
  // d(outputs)/d(inputs) * tangents, by dual numbers (an independent road to the same derivative).
  std::vector<HostTensor> (*jvp)(Inputs, const Attrs&, Inputs tangents) = nullptr;
  std::vector<Case> (*cases)() = nullptr;
  std::vector<ErrorCase> (*error_cases)() = nullptr;
  std::vector<BenchCase> (*bench_cases)() = nullptr;
  std::vector<Law> laws = {};
  // The same formula in ordinary float32, an honest kernel stripped to its arithmetic: what the
  // bounds themselves are tested against.
  std::vector<HostTensor> (*plain_forward)(Inputs, const Attrs&, SumOrder) = nullptr;
  std::vector<HostTensor> (*plain_backward)(Inputs, const Attrs&, Inputs grad_outputs,
                                            SumOrder) = nullptr;
};

// One accessor per manifest line: a missing contract is a link error.
#define FLAME_OP(id, signature) const Contract& id##_contract();
#include "lib/core/ops.inc"
#undef FLAME_OP

// Every contract, in manifest order. Throws UnknownOpError from find_contract.
std::span<const Contract* const> all_contracts();
const Contract& find_contract(std::string_view op);

// Draws the inputs of a case in `dtype` from `seed`: the same numbers on every machine.
std::vector<HostTensor> draw_inputs(const std::vector<InputSpec>& specs, DType dtype,
                                    std::uint64_t seed);

}  // namespace flame::reference
