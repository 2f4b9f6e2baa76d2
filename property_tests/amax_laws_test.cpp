// amax's gradient on views of every kind, with ties, NaN and infinities in any number and at any
// place: an even share for each maximum, exactly, and none for anything else.
#include <array>
#include <cmath>
#include <limits>

#include "lib/ops/ops.h"
#include "property_tests/device_run.h"
#include "reference/array.h"
#include "tests/support/test_device.h"

namespace flame::property {
namespace {

using conformance::download;
using conformance::upload;

// What a kernel lays out in another way each: rows and columns of whole vectors or not, one row,
// outer and inner dims together, splits of an output, more dims than two.
Shape some_shape() {
  const auto size = [](std::int64_t least, std::int64_t end) {
    return *rc::gen::inRange<std::int64_t>(least, end);
  };
  switch (*rc::gen::inRange(0, 7)) {
    case 0:
      return *any_shape();
    case 1:
      return {size(1, 5), size(1, 700)};
    case 2:
      return {size(1, 5), 8 * size(1, 300)};
    case 3:
      return {size(1, 300), 8 * size(1, 9)};
    case 4:
      return {size(1, 5), size(1, 5), 8 * size(1, 40)};
    case 5:
      return {size(1, 40000)};
    default:
      return {size(1, 4), size(1, 4), size(1, 4), size(1, 4), 8 * size(1, 3)};
  }
}

// A few values, so that maxima are many; or mostly low ones, so that they are few.
std::vector<double> some_values(std::int64_t count) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> palette = *rc::gen::elementOf(std::vector<std::vector<double>>{
      {-1, 0, -0.0, 2}, {-kInf, -kInf, -3}, {-kInf}, {-1, kInf}, {1, 2, kNaN}, {5}});
  const double low = *rc::gen::element(-7.0, -kInf, 0.5);
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const std::uint64_t rarely = *rc::gen::element<std::uint64_t>(1, 2, 40, 3000);
  std::vector<double> out;
  std::uint64_t z = seed;
  for (std::int64_t i = 0; i < count; ++i) {
    z = z * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t random = z >> 33;
    out.push_back(random % rarely == 0 ? palette[random / rarely % palette.size()] : low);
  }
  return out;
}

// x seen in another way: dims exchanged, a part of one, one repeated with stride 0.
Tensor some_view(Tensor x) {
  for (int steps = *rc::gen::inRange(0, 4); steps > 0 && x.dim() > 0; --steps) {
    const auto d = *rc::gen::inRange<std::int64_t>(0, x.dim());
    const auto e = *rc::gen::inRange<std::int64_t>(0, x.dim());
    const std::int64_t start = *rc::gen::inRange<std::int64_t>(0, x.size(d));
    const int way = *rc::gen::inRange(0, 4);
    if (way == 0) {
      x = x.transpose(d, e);
    } else if (way == 1) {
      x = x.narrow(d, start, *rc::gen::inRange<std::int64_t>(1, x.size(d) - start + 1));
    } else if (way == 2) {
      x = x.narrow(d, 8 * (start / 8), x.size(d) - 8 * (start / 8));  // as aligned as before
    } else if (x.dim() < kMaxDims && x.numel() < 20000) {
      const std::int64_t at = *rc::gen::element(d, x.dim());
      IntList size = x.unsqueeze(at).shape();
      size[static_cast<std::size_t>(at)] = *rc::gen::element(1, 3, 8, 16);
      x = x.unsqueeze(at).expand(size);
    }
  }
  return x;
}

IntList some_dims(std::int64_t rank) {
  IntList dims;
  for (std::int64_t d = 0; d < rank; ++d)
    if (*rc::gen::inRange(0, 2)) dims.push_back(d);
  return dims;
}

// d(y . g) / dx.
HostTensor gradient(const Tensor& y, const Tensor& x, const Tensor& g) {
  const std::array<Tensor, 1> outputs{y}, inputs{x}, gradients{g};
  return download(grad(outputs, inputs, gradients)[0]);
}

// g / count in the accumulator type, rounded once.
double share_of(DType dtype, double g, std::size_t count) {
  if (dtype == DType::kFloat64) return g / static_cast<double>(count);
  return reference::round_to(dtype, static_cast<float>(g) / static_cast<float>(count));
}

HostTensor even_shares(const HostTensor& x, const HostTensor& g, const IntList& dims) {
  HostTensor out{x.dtype, x.shape, std::vector<double>(x.values.size(), 0)};
  const auto groups = reference::reduce_groups("amax", x.shape, dims, true);
  for (std::size_t o = 0; o < groups.members.size(); ++o) {
    const auto& members = groups.members[o];
    double most = -std::numeric_limits<double>::infinity();
    for (std::size_t i : members)
      if (!(x.values[i] <= most)) most = std::isnan(most) ? most : x.values[i];
    std::vector<std::size_t> maxima;
    for (std::size_t i : members)
      if (std::isnan(most) ? std::isnan(x.values[i]) : x.values[i] == most) maxima.push_back(i);
    for (std::size_t i : maxima) out.values[i] = share_of(x.dtype, g.values[o], maxima.size());
  }
  return out;
}

void expect_equal(const HostTensor& got, const HostTensor& want) {
  RC_ASSERT(got.shape == want.shape);
  for (std::size_t i = 0; i < want.values.size(); ++i)
    if (!(got.values[i] == want.values[i]))
      RC_FAIL("element " + std::to_string(i) + ": " + std::to_string(got.values[i]) + ", not " +
              std::to_string(want.values[i]));
}

RC_GTEST_PROP(AmaxLaws, EveryMaximumGetsAnEvenShare, ()) {
  const DType dtype = *floating_dtype();
  const Shape shape = some_shape();
  const Layout layout = *rc::gen::element(Layout::kContiguous, Layout::kOffset, Layout::kSliced);
  Tensor x =
      some_view(upload(test::device(), {dtype, shape, some_values(numel(shape))}, layout)).detach();
  x.set_requires_grad();
  const IntList dims = some_dims(x.dim());
  const Tensor y = amax(x, dims, *rc::gen::arbitrary<bool>());
  const Layout lies = *rc::gen::element(Layout::kContiguous, Layout::kTransposed, Layout::kExpanded,
                                        Layout::kOffset);
  const HostTensor g =
      conformance::values_in(lies, signed_values(y.desc(), *rc::gen::arbitrary<std::uint64_t>()));
  RC_LOG() << name(dtype) << " " << flame::to_string(x.shape()) << " strides "
           << flame::to_string(Shape(x.strides())) << " over " << flame::to_string(Shape(dims))
           << '\n';
  const HostTensor values = download(x);
  expect_equal(gradient(y, x, upload(test::device(), g, lies)), even_shares(values, g, dims));
}

// The forward keeps where a lone maximum lies: what is in the input by then does not matter. Half
// types in columns read all of it.
RC_GTEST_PROP(AmaxLaws, ALoneMaximumIsNotLookedForAgain, ()) {
  const DType dtype = *rc::gen::element(DType::kFloat32, DType::kFloat64);
  const Shape shape = some_shape();
  HostTensor host{dtype, shape, std::vector<double>(static_cast<std::size_t>(numel(shape)), -1)};
  const IntList dims = some_dims(std::ssize(shape));
  for (const auto& members : reference::reduce_groups("amax", shape, dims, true).members)
    host.values[members[*rc::gen::inRange<std::size_t>(0, members.size())]] = 1;
  const Layout layout =
      *rc::gen::element(Layout::kContiguous, Layout::kOffset, Layout::kTransposed);
  Tensor x = upload(test::device(), host, layout);
  x.set_requires_grad();
  const Tensor y = amax(x, dims);
  const HostTensor g = signed_values(y.desc(), 1);
  auto bytes = conformance::storage_bytes(x);
  std::fill(bytes.begin(), bytes.end(), std::byte{0xFF});
  conformance::write_storage(x, bytes);
  RC_LOG() << name(dtype) << " " << flame::to_string(shape) << " over "
           << flame::to_string(Shape(dims)) << '\n';
  expect_equal(gradient(y, x, upload(test::device(), g)), even_shares(host, g, dims));
}

}  // namespace
}  // namespace flame::property
