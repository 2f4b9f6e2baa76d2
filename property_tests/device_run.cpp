#include "property_tests/device_run.h"

#include <cmath>
#include <sstream>

#include "conformance/judge/judge.h"
#include "tests/support/test_device.h"

namespace flame::property {
namespace {

std::vector<Tensor> uploaded(const std::vector<HostTensor>& hosts, Layout layout) {
  std::vector<Tensor> out;
  for (const HostTensor& h : hosts) out.push_back(conformance::upload(test::device(), h, layout));
  return out;
}

std::vector<double> tolerances(DType dtype, const BoundTensor& truth) {
  std::vector<double> out;
  for (const reference::Bound& b : truth.values) {
    const double t = conformance::tolerance(dtype, b);
    if (!std::isfinite(static_cast<double>(b.value)) || !std::isfinite(t)) RC_DISCARD("not finite");
    out.push_back(t);
  }
  return out;
}

Judged with_bound(HostTensor got, const BoundTensor& truth) {
  RC_ASSERT(got.shape == truth.shape);
  std::vector<double> tolerance = tolerances(got.dtype, truth);
  return {std::move(got), std::move(tolerance)};
}

std::uint64_t mixed(std::uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

std::vector<HostTensor> device_forward(const LawCase& c, const std::vector<HostTensor>& inputs,
                                       Layout layout) {
  return conformance::download(apply(*c.op, uploaded(inputs, layout), c.attrs));
}

std::vector<std::byte> device_bytes(const LawCase& c, const std::vector<HostTensor>& inputs,
                                    Layout layout) {
  return conformance::packed_bytes(apply_one(*c.op, uploaded(inputs, layout), c.attrs));
}

std::vector<HostTensor> device_backward(const LawCase& c, const std::vector<HostTensor>& inputs,
                                        const std::vector<HostTensor>& grad_outputs,
                                        Layout layout) {
  std::vector<Tensor> leaves = uploaded(inputs, layout);
  std::vector<Tensor> wanted;
  for (std::size_t i = 0; i < leaves.size(); ++i)
    if (differentiable(c, i)) wanted.push_back(leaves[i].set_requires_grad());
  const std::vector<Tensor> outputs = apply(*c.op, leaves, c.attrs);
  const std::vector<Tensor> found =
      grad(outputs, wanted, uploaded(grad_outputs, Layout::kContiguous));
  std::vector<HostTensor> out;
  for (std::size_t i = 0, k = 0; i < leaves.size(); ++i) {
    HostTensor none;
    none.defined = false;
    out.push_back(differentiable(c, i) ? conformance::download(found[k++]) : none);
  }
  return out;
}

Judged judged_forward(const LawCase& c, const std::vector<HostTensor>& inputs, Layout layout) {
  const BoundTensor truth = c.contract->forward(inputs, c.attrs)[0];
  return with_bound(device_forward(c, inputs, layout)[0], truth);
}

std::vector<Judged> judged_backward(const LawCase& c, const std::vector<HostTensor>& inputs,
                                    const std::vector<HostTensor>& grad_outputs, Layout layout) {
  const std::vector<BoundTensor> truth = c.contract->backward(inputs, c.attrs, grad_outputs);
  std::vector<HostTensor> got = device_backward(c, inputs, grad_outputs, layout);
  std::vector<Judged> out;
  for (std::size_t i = 0; i < got.size(); ++i)
    out.push_back(got[i].defined ? with_bound(std::move(got[i]), truth[i]) : Judged{got[i], {}});
  return out;
}

Side& Side::add(const Judged& j, double scale) {
  RC_ASSERT(j.got.values.size() == value_.size());
  for (std::size_t i = 0; i < value_.size(); ++i)
    add(i, scale * j.got.values[i], std::fabs(scale) * j.tolerance[i]);
  return *this;
}

Side& Side::add(std::size_t i, double value, double tolerance) {
  value_[i] += value;
  tolerance_[i] += tolerance;
  return *this;
}

void Side::expect_equal(const std::string& what, const Side& left, const Side& right) {
  RC_ASSERT(left.size() == right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    const long double off = std::fabs(left.value_[i] - right.value_[i]);
    const double allowed = left.tolerance_[i] + right.tolerance_[i];
    if (off <= allowed) continue;  // NaN does not pass
    std::ostringstream why;
    why.precision(17);
    why << what << ": element " << i << ": " << left.value_[i] << " and " << right.value_[i]
        << " differ by " << off << ", the oracle allows " << allowed;
    RC_FAIL(why.str());
  }
}

HostTensor small_integers(const TensorDesc& desc, std::uint64_t seed) {
  HostTensor t{desc.dtype, desc.shape, {}, desc.defined};
  const std::int64_t n = desc.defined ? numel(desc.shape) : 0;
  for (std::int64_t i = 0; i < n; ++i)
    t.values.push_back(static_cast<double>(mixed(seed * 0x2545f4914f6cdd1du + i) % 9) - 4);
  return t;
}

HostTensor signed_values(const TensorDesc& desc, std::uint64_t seed) {
  HostTensor t{desc.dtype, desc.shape, {}, desc.defined};
  const std::int64_t n = desc.defined ? numel(desc.shape) : 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double unit = static_cast<double>(mixed(seed * 0x2545f4914f6cdd1du + i) >> 11) * 0x1p-53;
    t.values.push_back(reference::round_to(desc.dtype, 4 * unit - 2));
  }
  return t;
}

std::vector<HostTensor> signed_values(const std::vector<TensorDesc>& descs, std::uint64_t seed) {
  std::vector<HostTensor> out;
  for (std::size_t i = 0; i < descs.size(); ++i)
    out.push_back(signed_values(descs[i], seed + 1000 * i));
  return out;
}

HostTensor permuted(const HostTensor& t, std::size_t dim,
                    const std::vector<std::int64_t>& permutation) {
  HostTensor out = t;
  const std::int64_t inner = contiguous_strides(t.shape)[dim], n = t.shape[dim];
  for (std::int64_t i = 0; i < std::ssize(t.values); ++i) {
    const std::int64_t at = i / inner % n;
    const std::int64_t from = i + (permutation[static_cast<std::size_t>(at)] - at) * inner;
    out.values[static_cast<std::size_t>(i)] = t.values[static_cast<std::size_t>(from)];
  }
  return out;
}

HostTensor concatenated(const HostTensor& a, const HostTensor& b) {
  HostTensor out = a;
  out.shape[0] += b.shape[0];
  out.values.insert(out.values.end(), b.values.begin(), b.values.end());
  return out;
}

std::vector<std::size_t> broadcast_sources(const Shape& small, const Shape& big) {
  const Strides from = contiguous_strides(small), to = contiguous_strides(big);
  const std::size_t lead = big.size() - small.size();
  std::vector<std::size_t> out;
  for (std::int64_t i = 0, n = numel(big); i < n; ++i) {
    std::int64_t at = 0;
    for (std::size_t d = 0; d < small.size(); ++d)
      if (small[d] != 1) at += i / to[lead + d] % big[lead + d] * from[d];
    out.push_back(static_cast<std::size_t>(at));
  }
  return out;
}

HostTensor expanded(const HostTensor& t, const Shape& shape) {
  HostTensor out{t.dtype, shape, {}};
  for (std::size_t at : broadcast_sources(t.shape, shape)) out.values.push_back(t.values[at]);
  return out;
}

}  // namespace flame::property
