// One situation in which a law is tried: an op of the manifest, the shape and the attributes of one
// of its contract's cases with other sizes, an element type, and the seed of the numbers.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/core/op_def.h"
#include "property_tests/generators.h"
#include "reference/contract.h"

namespace flame::property {

struct LawCase {
  const OpDef* op = nullptr;
  const reference::Contract* contract = nullptr;
  std::string case_name;
  std::vector<reference::InputSpec> inputs;
  Attrs attrs;  // complete
  DType dtype = DType::kFloat32;
  std::uint64_t seed = 0;

  // The numbers; `salt` gives others.
  std::vector<reference::HostTensor> draw(std::uint64_t salt = 0) const;
  // Descriptions of the outputs. Throws what the op's shape inference throws.
  std::vector<TensorDesc> outputs() const;
  std::vector<TensorDesc> input_descs() const;
};
// "softmax(float32; (3, 4); dim=1) case rows, seed 7".
std::string to_string(const LawCase& c);
void showValue(const LawCase& c, std::ostream& out);

bool has_law(const reference::Contract& contract, reference::Law law);
// The parameter of input i: a list parameter takes the rest.
const TensorParam& param_of(const OpDef& op, std::size_t i);
// Whether gradients flow into input i.
bool differentiable(const LawCase& c, std::size_t i);

// The contract's case in `dtype`, its sizes replaced: every size above 1 that occurs becomes one of
// `sizes`, equal sizes staying equal, wherever the op's shape inference accepts the result. Sizes
// stay as they are when an index input depends on them. Nothing when the case has no such dtype, or
// is too large to try often.
std::optional<LawCase> make_case(const OpDef& op, const reference::Case& from, DType dtype,
                                 std::span<const std::int64_t> sizes, std::uint64_t seed);

// Cases of the ops that `suits` takes, op by op with equal weight. Shrinks to the first op, its
// first case, sizes of 1, float32 and seed 0. Fails when there is no such case at all.
rc::Gen<LawCase> law_case(std::function<bool(const LawCase&)> suits);
rc::Gen<LawCase> law_case(reference::Law law, std::function<bool(const LawCase&)> suits = nullptr);
// Cases whose gradients the contract states.
rc::Gen<LawCase> differentiable_case();

}  // namespace flame::property
