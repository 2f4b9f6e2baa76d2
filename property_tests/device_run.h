// Runs an op of the manifest on the test device from host values, and compares what comes back
// within the oracle's bounds.
#pragma once
#include <string>
#include <vector>

#include "conformance/runner/device_io.h"
#include "lib/autograd/apply.h"
#include "property_tests/law_case.h"

namespace flame::property {

using conformance::Layout;
using reference::BoundTensor;
using reference::HostTensor;

// Values, and what each may be off by.
struct Judged {
  HostTensor got;
  std::vector<double> tolerance;
};

// The op's outputs on the device, as values or as stored bytes.
std::vector<HostTensor> device_forward(const LawCase& c, const std::vector<HostTensor>& inputs,
                                       Layout layout = Layout::kContiguous);
std::vector<std::byte> device_bytes(const LawCase& c, const std::vector<HostTensor>& inputs,
                                    Layout layout = Layout::kContiguous);
// The gradient of every input; undefined where none flows.
std::vector<HostTensor> device_backward(const LawCase& c, const std::vector<HostTensor>& inputs,
                                        const std::vector<HostTensor>& grad_outputs,
                                        Layout layout = Layout::kContiguous);

// The same with the oracle's tolerances beside them. Discards the case (RC_DISCARD) when the truth
// is not finite: laws are about numbers.
Judged judged_forward(const LawCase& c, const std::vector<HostTensor>& inputs,
                      Layout layout = Layout::kContiguous);
std::vector<Judged> judged_backward(const LawCase& c, const std::vector<HostTensor>& inputs,
                                    const std::vector<HostTensor>& grad_outputs,
                                    Layout layout = Layout::kContiguous);

// Both sides of a law: sum of scale * values, each off by at most |scale| * tolerance.
class Side {
 public:
  explicit Side(std::size_t n) : value_(n), tolerance_(n) {}
  static Side of(const Judged& j, double scale = 1) {
    return Side(j.got.values.size()).add(j, scale);
  }
  Side& add(const Judged& j, double scale = 1);
  // One term for element i.
  Side& add(std::size_t i, double value, double tolerance);
  std::size_t size() const { return value_.size(); }
  // Fails the property unless both agree element by element.
  static void expect_equal(const std::string& what, const Side& left, const Side& right);

 private:
  std::vector<long double> value_;
  std::vector<double> tolerance_;
};

// Small signed integers, exact in every dtype, as are their sums and small multiples.
HostTensor small_integers(const TensorDesc& desc, std::uint64_t seed);
// Signed values of ordinary size, exact in the dtype.
HostTensor signed_values(const TensorDesc& desc, std::uint64_t seed);
std::vector<HostTensor> signed_values(const std::vector<TensorDesc>& descs, std::uint64_t seed);

// out[i] = t[permutation[i]] along `dim`.
HostTensor permuted(const HostTensor& t, std::size_t dim,
                    const std::vector<std::int64_t>& permutation);
// One after the other along dim 0.
HostTensor concatenated(const HostTensor& a, const HostTensor& b);
// Broadcast to `shape`.
HostTensor expanded(const HostTensor& t, const Shape& shape);
// For every element of `big`, which element of the tensor of `small` it was broadcast from.
std::vector<std::size_t> broadcast_sources(const Shape& small, const Shape& big);

}  // namespace flame::property
