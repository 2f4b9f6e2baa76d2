// Wrong implementations, each of a kind that was found in the wild, and the check that must catch
// it. They are worn by every op that can wear them; the kill matrix says whether each was caught.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conformance/checks/check.h"
#include "conformance/runner/implementation.h"

namespace flame::conformance {

// How a fake shows in one honest comparison. A fake of values is only tried on a case on which it
// gives other bits than the library: where it gives the same, there is nothing to catch.
enum class Shows : std::uint8_t { kOutput, kGradient, kBehaviour };

struct Fake {
  std::string id, description;
  std::string check;  // must catch it
  Shows shows = Shows::kOutput;
  // Why an op cannot wear it on this case; nullopt when it can. Structural: never by name.
  std::optional<std::string> (*unfit)(const OpDef&, const reference::Case&) = nullptr;
  // Either of the two.
  std::unique_ptr<Implementation> (*implementation)(Implementation& inner) = nullptr;
  std::shared_ptr<driver::Driver> (*driver)(std::shared_ptr<driver::Driver> base) = nullptr;
  Layout layout = Layout::kContiguous;
  DType dtype = DType::kFloat32;
  bool simulator_only = false;
  // Only where the result is memory of its own: a view of the same memory is always up to date.
  bool own_output = false;
};

std::span<const Fake> all_fakes();

// The families that make up the list.
std::vector<Fake> output_fakes();     // what comes out is wrong
std::vector<Fake> gradient_fakes();   // what backward gives is wrong
std::vector<Fake> ignoring_fakes();   // a part of the call is ignored
std::vector<Fake> behaviour_fakes();  // the result is right, how it came about is not
std::vector<Fake> driver_fakes();     // the device under the library is wrong

// -- for writing fakes: tampering with what the library gave. It goes over the host, which the
// witness sees as well: that the witness also caught a fake of values says little of those values.
using Edit = void (*)(reference::HostTensor& tensor, std::uint64_t call);
// Downloads, edits, uploads: the same shape and dtype unless the edit changed them.
std::vector<Tensor> edited(const std::vector<Tensor>& tensors, Edit edit, std::uint64_t call = 0);

// Structural questions.
std::optional<std::string> fits_all(const OpDef&, const reference::Case&);
std::optional<std::string> needs_gradient(const OpDef& op, const reference::Case& c);
std::optional<std::string> needs_input(const OpDef& op, const reference::Case& c);
std::optional<std::string> needs_kernel(const OpDef& op, const reference::Case& c);

}  // namespace flame::conformance
