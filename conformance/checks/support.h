// What most checks do first: draw, upload, ask the oracle, compare.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "conformance/checks/check.h"

namespace flame::conformance {

// A 64-bit mix (SplitMix64's finaliser) of what is given: the source of every seed.
std::uint64_t mix(std::uint64_t a, std::uint64_t b);
std::uint64_t hash_text(std::string_view text);

// The case's attributes with their defaults; an op that takes no tensor but a dtype gets the
// plan's.
Attrs case_attrs(const CheckContext& context);

// Inputs as the layout can hold them, drawn from the context's seed and `salt`.
std::vector<reference::HostTensor> draw(const CheckContext& context, std::uint64_t salt = 0);
Call upload_call(const CheckContext& context, const Device& device,
                 const std::vector<reference::HostTensor>& inputs);

std::vector<TensorDesc> output_descs(const CheckContext& context,
                                     const std::vector<reference::HostTensor>& inputs);

// How grad_outputs are drawn. All are signed: a gradient of ones hides permutations, and what sums
// to zero.
enum class GradKind : std::uint8_t {
  kSigned,    // standard normal
  kZeros,     // the same with half of its elements exactly 0
  kOneHot,    // a single nonzero element
  kIntegers,  // small integers, for exact cases
};
std::vector<reference::HostTensor> draw_grad_outputs(const CheckContext& context,
                                                     const std::vector<TensorDesc>& outputs,
                                                     GradKind kind, std::uint64_t salt = 0);
std::vector<Tensor> upload_all(const Device& device,
                               const std::vector<reference::HostTensor>& hosts,
                               Layout layout = Layout::kContiguous);

// Why the case has no gradient to check; nullopt when it has.
std::optional<std::string> no_gradient(const CheckContext& context);
// The same from what is declared alone, before anything is drawn.
std::optional<std::string> no_gradient(const OpDef& op, const reference::Contract& contract,
                                       const reference::Case& c, DType dtype);

// Downloads and judges every output against the truth of `inputs`.
Judgement judge_outputs(const CheckContext& context, const std::vector<Tensor>& outputs,
                        const std::vector<reference::HostTensor>& inputs);
// Every gradient against the truth; one that is declared and missing fails.
Judgement judge_gradients(const CheckContext& context, const std::vector<Tensor>& gradients,
                          const std::vector<reference::HostTensor>& inputs,
                          const std::vector<reference::HostTensor>& grad_outputs);

// "grad.tensors[2]", "output", "output[1]".
std::string input_name(const OpDef& op, std::size_t i);
std::string output_name(std::size_t i, std::size_t count);

// The bits of tensors, row-major, for comparisons of a computation with itself.
std::vector<Bits> bits_of(const std::vector<Tensor>& tensors);
Judgement judge_same(std::string_view what, const std::vector<Bits>& got,
                     const std::vector<Bits>& want);

// Kernel launches among what a witness saw.
std::int64_t count_launches(const std::vector<Event>& events);

// A case whose every output is empty: nothing to compare, launch or perturb.
bool all_empty(const std::vector<TensorDesc>& outputs);

}  // namespace flame::conformance
