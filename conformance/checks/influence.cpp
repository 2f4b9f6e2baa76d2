// Perturb one input element: outputs that the oracle moves beyond both bounds must move on the
// device, outputs that it does not move at all must not. Catches results computed from a part of
// the data, or from the wrong part.
#include <algorithm>
#include <cmath>

#include "conformance/checks/support.h"
#include "lib/core/error.h"

namespace flame::conformance {
namespace {

using reference::BoundTensor;
using reference::HostTensor;

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// Another value of the same domain for element k of input i; false when there is none.
bool perturb(const CheckContext& x, std::vector<HostTensor>& inputs, std::size_t i, std::size_t k) {
  const double now = inputs[i].values[k];
  for (std::uint64_t salt = 11; salt < 15; ++salt) {
    const auto others = draw(x, salt);
    // Of explicit values every draw is the same: take a neighbour's.
    for (std::size_t shift : {std::size_t{0}, std::size_t{1}}) {
      const auto& values = others[i].values;
      const double other = values[(k + shift) % values.size()];
      if (same(other, now)) continue;
      inputs[i].values[k] = other;
      return true;
    }
  }
  return false;
}

struct Sample {
  std::size_t input, element;
};

// Corners, the middle and a few drawn elements of every input.
std::vector<Sample> samples(const CheckContext& x, const std::vector<HostTensor>& inputs) {
  std::vector<Sample> out;
  const int drawn = x.level == Level::kQuick ? 2 : 8;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t n = inputs[i].values.size();
    if (!inputs[i].defined || n == 0) continue;
    std::vector<std::size_t> at{0, n - 1, n / 2};
    for (int d = 0; d < drawn; ++d)
      at.push_back(std::size_t(mix(x.seed, out.size() + std::size_t(d)) % n));
    std::sort(at.begin(), at.end());
    at.erase(std::unique(at.begin(), at.end()), at.end());
    for (std::size_t k : at) out.push_back({i, k});
  }
  return out;
}

}  // namespace

Outcome check_influence(const CheckContext& x) {
  const auto inputs = draw(x);
  if (inputs.empty()) return not_run("the op takes no tensors");
  const Attrs attrs = case_attrs(x);
  const auto truth = x.contract.forward(inputs, attrs);
  const auto base = download(x.implementation.forward(upload_call(x, x.rig.device, inputs)));
  std::int64_t moved = 0, still = 0;
  for (const Sample& sample : samples(x, inputs)) {
    auto changed = inputs;
    if (!perturb(x, changed, sample.input, sample.element)) continue;
    const auto truth_now = x.contract.forward(changed, attrs);
    const auto got = download(x.implementation.forward(upload_call(x, x.rig.device, changed)));
    const std::string what = input_name(x.op, sample.input) +
                             position(inputs[sample.input].shape, std::int64_t(sample.element));
    for (std::size_t o = 0; o < truth.size(); ++o) {
      const std::string out_name = output_name(o, truth.size());
      if (got[o].values.size() != truth[o].values.size() ||
          base[o].values.size() != got[o].values.size())
        return failed(out_name + " has the wrong number of elements");
      for (std::size_t j = 0; j < got[o].values.size(); ++j) {
        const auto &was = truth[o].values[j], &is = truth_now[o].values[j];
        const double room = tolerance(got[o].dtype, was) + tolerance(got[o].dtype, is);
        const bool must = std::fabs(double(is.value - was.value)) > room;
        const bool may_not = same(double(is.value), double(was.value)) && is.error == was.error;
        const bool did = !same(got[o].values[j], base[o].values[j]);
        moved += must;
        still += may_not;
        if (must && !did)
          return failed(str_cat(what, " does not influence ", out_name,
                                position(got[o].shape, std::int64_t(j)), ", in truth it does"));
        if (may_not && did)
          return failed(str_cat(what, " influences ", out_name,
                                position(got[o].shape, std::int64_t(j)), ", in truth it does not"));
      }
    }
  }
  if (moved + still == 0) return not_run("no element of this case can be perturbed");
  return passed(moved + still);
}

}  // namespace flame::conformance
