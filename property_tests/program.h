// Random programs: a small graph of the manifest's ops with the oracle's value of every node.
#pragma once
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "conformance/runner/device_io.h"
#include "lib/core/op_def.h"
#include "property_tests/generators.h"
#include "reference/contract.h"

namespace flame::property {

// A leaf (no op) with its numbers, or an op on earlier entries.
struct Entry {
  const OpDef* op = nullptr;
  Attrs attrs;                  // complete
  std::vector<int> inputs;      // entries; -1: undefined
  reference::HostTensor value;  // of a leaf: its data; of an op: the oracle's, rounded to the dtype
  conformance::Layout layout = conformance::Layout::kContiguous;  // of a leaf
};

struct Program {
  DType dtype = DType::kFloat32;
  std::vector<Entry> entries;

  std::size_t op_count() const;
  // Entries that no other entry uses: where backward starts.
  std::vector<int> results() const;
};

// C++ that builds the program on a device and differentiates it.
std::string to_cpp(const Program& program);
void showValue(const Program& program, std::ostream& out);

// How a program is evaluated: as it is, or with noise of single precision on every intermediate
// value and every term of a gradient (each element moved by up to 2^-24 of its tensor's largest, a
// term of a gradient by its derived bound as well), which shows how far honest rounding can carry.
struct Noise {
  bool on = false;
  std::uint64_t seed = 0;
};
// The oracle's value of entry `i` from the values of earlier entries, rounded to its dtype.
reference::HostTensor evaluate(const Program& program, std::size_t i,
                               const std::vector<reference::HostTensor>& values);
// All values, in float64 and with noise.
std::vector<reference::HostTensor> evaluate(const Program& program, const Noise& noise);
// The gradient of every entry given those of the results, by the contracts' backward, node by node.
std::vector<reference::HostTensor> differentiate(
    const Program& program, const std::vector<reference::HostTensor>& values,
    const std::vector<reference::HostTensor>& result_gradients, const Noise& noise);
// What backward starts from, one per result: signed, exact in the dtype.
std::vector<reference::HostTensor> result_gradients(const Program& program);

// Whether all numbers are of ordinary size, so that neither overflow nor cancellation of huge terms
// decides what comes out.
bool is_tame(const reference::HostTensor& t);

// Programs of up to eight ops. Shrinks to one op on leaves of simple numbers.
rc::Gen<Program> any_program(std::vector<DType> dtypes);

// Runs the program on the test device, forward and backward, and fails the property unless every
// node's value and every entry's gradient is what the contracts say of the device's own inputs to
// that node: no error is carried from node to node, so no bound grows.
// `tamper` may change what the device gave before it is judged: for tests of this judge.
using Tamper = std::function<void(std::vector<reference::HostTensor>& values,
                                  std::vector<reference::HostTensor>& gradients)>;
void expect_nodes_agree(const Program& program, const Tamper& tamper = nullptr);
// float64: the gradients of all leaves against the oracle's whole chain; off by no more than noise
// of single precision moves the chain itself.
void expect_chain_agrees(const Program& program);

}  // namespace flame::property
