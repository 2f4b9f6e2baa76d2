// Views and what undoes them: values come back bit for bit, in every dtype, and gradients flow
// through as the same elements in the other direction.
#include <functional>
#include <numeric>

#include "conformance/judge/judge.h"
#include "lib/ops/ops.h"
#include "property_tests/device_run.h"
#include "tests/support/test_device.h"

namespace flame::property {
namespace {

using conformance::packed_bytes;
using conformance::upload;

// Any values of a dtype: every float, or small non-negative integers.
HostTensor any_values(DType dtype, const Shape& shape) {
  HostTensor t{dtype, shape, {}};
  if (is_floating(dtype)) {
    t.values = *any_floats(dtype, numel(shape));
  } else {
    for (std::int64_t i = 0, n = numel(shape); i < n; ++i)
      t.values.push_back(dtype == DType::kBool ? i % 2 : i % 100);
  }
  return t;
}

// A view that loses nothing, and what undoes it.
struct Step {
  std::string text;
  std::function<Tensor(const Tensor&)> there, back;
};

std::vector<std::int64_t> inverse(const std::vector<std::int64_t>& p) {
  std::vector<std::int64_t> out(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) out[static_cast<std::size_t>(p[i])] = i;
  return out;
}

// Another shape of as many elements: neighbours joined, or a size split where it can be.
IntList other_shape(const Shape& shape) {
  IntList out = shape;
  if (out.size() > 1 && *rc::gen::inRange(0, 2)) {
    const auto at = *rc::gen::inRange<std::size_t>(0, out.size() - 1);
    out[at] *= out[at + 1];
    out.erase(out.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    return out;
  }
  for (std::size_t i = 0; i < out.size() && out.size() < 6; ++i) {
    if (out[i] % 2 != 0 || out[i] == 0) continue;
    out[i] /= 2;
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(i), 2);
    break;
  }
  return out;
}

Step any_step(const Shape& shape) {
  const auto rank = std::ssize(shape);
  switch (*rc::gen::inRange(0, 4)) {
    case 0: {
      const IntList to = other_shape(shape), from = shape;
      return {"reshape" + flame::to_string(to), [=](const Tensor& t) { return t.reshape(to); },
              [=](const Tensor& t) { return t.reshape(from); }};
    }
    case 1: {
      const IntList p = *permutation(rank), q = inverse(p);
      return {"permute" + flame::to_string(p), [=](const Tensor& t) { return t.permute(p); },
              [=](const Tensor& t) { return t.permute(q); }};
    }
    case 2: {
      if (rank == 0) return any_step({1});
      const auto a = *rc::gen::inRange(-rank, rank), b = *rc::gen::inRange(-rank, rank);
      auto swap = [=](const Tensor& t) { return t.transpose(a, b); };
      return {"transpose(" + std::to_string(a) + ", " + std::to_string(b) + ")", swap, swap};
    }
    default: {
      if (rank >= 6) return any_step(Shape(shape.begin(), shape.end() - 1));
      const auto at = *rc::gen::inRange<std::int64_t>(0, rank + 1);
      return {"unsqueeze(" + std::to_string(at) + ")",
              [=](const Tensor& t) { return t.unsqueeze(at); },
              [=](const Tensor& t) { return t.squeeze({at}); }};
    }
  }
}

// Applies up to six steps; `undo` holds them in order.
Tensor through_views(Tensor t, std::vector<Step>& undo) {
  for (int n = *rc::gen::inRange(0, 6); n > 0; --n) {
    if (t.dim() == 0) {
      undo.push_back({"unsqueeze(0)", [](const Tensor& x) { return x.unsqueeze(0); },
                      [](const Tensor& x) { return x.squeeze({0}); }});
    } else if (t.dim() >= 6) {
      const IntList from = t.shape();
      undo.push_back({"reshape(-1)", [](const Tensor& x) { return x.reshape({-1}); },
                      [=](const Tensor& x) { return x.reshape(from); }});
    } else {
      undo.push_back(any_step(t.shape()));
    }
    RC_LOG() << undo.back().text << " of " << flame::to_string(t.shape()) << '\n';
    t = undo.back().there(t);
  }
  return t;
}

Tensor back_again(Tensor t, const std::vector<Step>& undo) {
  for (auto step = undo.rbegin(); step != undo.rend(); ++step) t = step->back(t);
  return t;
}

RC_GTEST_PROP(ViewLaws, ViewsAndTheirInversesAreTheIdentity, ()) {
  const HostTensor x = any_values(*any_dtype(), *any_shape({.max_rank = 4, .min_size = 0}));
  const Tensor t = upload(test::device(), x);
  std::vector<Step> undo;
  const Tensor same = back_again(through_views(t, undo), undo);
  RC_ASSERT(same.shape() == x.shape);
  RC_ASSERT(packed_bytes(same) == packed_bytes(t));
}

// y = views(x): the gradient of x is the gradient of y seen through the views backwards.
RC_GTEST_PROP(ViewLaws, GradientsGoBackThroughTheViews, ()) {
  const DType dtype = *floating_dtype();
  const HostTensor x = any_values(dtype, *any_shape({.max_rank = 4, .min_size = 0}));
  Tensor leaf = upload(test::device(), x).set_requires_grad();
  std::vector<Step> undo;
  const Tensor y = through_views(leaf, undo);
  RC_PRE(!undo.empty());
  const Tensor g = upload(test::device(), any_values(dtype, y.shape()));
  const Tensor got = grad(std::vector{y}, std::vector{leaf}, std::vector{g})[0];
  RC_ASSERT(packed_bytes(got) == packed_bytes(back_again(g, undo)));
}

RC_GTEST_PROP(ViewLaws, PiecesJoinToTheWhole, ()) {
  const HostTensor x = any_values(*any_dtype(), *any_shape({.min_rank = 1, .max_rank = 3}));
  const auto dim = *rc::gen::inRange<std::int64_t>(0, std::ssize(x.shape));
  const auto cut = *rc::gen::inRange<std::int64_t>(0, x.shape[dim] + 1);
  const Tensor t = upload(test::device(), x);
  const Tensor a = t.narrow(dim, 0, cut), b = t.narrow(dim, cut, x.shape[dim] - cut);
  RC_ASSERT(packed_bytes(cat(std::vector{a, b}, dim)) == packed_bytes(t));
  std::vector<Tensor> rows;
  for (std::int64_t i = 0; i < x.shape[dim]; ++i) rows.push_back(t.select(dim, i).unsqueeze(dim));
  RC_ASSERT(packed_bytes(cat(rows, dim)) == packed_bytes(t));
}

RC_GTEST_PROP(ViewLaws, ExpandedCopiesAreTheSource, ()) {
  const HostTensor x = any_values(*any_dtype(), *any_shape({.max_rank = 3}));
  const auto times = *rc::gen::inRange<std::int64_t>(1, 4);
  const Tensor t = upload(test::device(), x);
  IntList wide = x.shape;
  wide.insert(wide.begin(), times);
  const Tensor big = t.expand(wide);
  RC_ASSERT((big.data() == t.data()));
  for (std::int64_t i = 0; i < times; ++i)
    RC_ASSERT(packed_bytes(big.select(0, i)) == packed_bytes(t));
  RC_ASSERT(packed_bytes(big.contiguous().select(0, times - 1)) == packed_bytes(t));
}

// What a narrowed view's gradient leaves out is zero, and what it has is the gradient.
RC_GTEST_PROP(ViewLaws, ANarrowedGradientIsPaddedWithZeros, ()) {
  const DType dtype = *floating_dtype();
  const Shape shape = *any_shape({.min_rank = 1, .max_rank = 3});
  const auto dim = *rc::gen::inRange<std::int64_t>(0, std::ssize(shape));
  const auto start = *rc::gen::inRange<std::int64_t>(0, shape[dim]);
  const auto length = *rc::gen::inRange<std::int64_t>(1, shape[dim] - start + 1);
  Tensor leaf = upload(test::device(), signed_values(TensorDesc{dtype, shape}, 1));
  leaf.set_requires_grad();
  const Tensor y = leaf.narrow(dim, start, length);
  const Tensor g = upload(test::device(), signed_values(y.desc(), 2));
  const Tensor got = grad(std::vector{y}, std::vector{leaf}, std::vector{g})[0];
  RC_ASSERT(packed_bytes(got.narrow(dim, start, length)) == packed_bytes(g));
  for (const auto& [from, count] : {std::pair{std::int64_t{0}, start},
                                    std::pair{start + length, shape[dim] - start - length}}) {
    for (std::byte b : packed_bytes(got.narrow(dim, from, count))) RC_ASSERT(b == std::byte{0});
  }
}

// (A B)^T = B^T A^T with batches, bit for bit on small integers and within the bounds elsewhere.
RC_GTEST_PROP(ViewLaws, TheTransposeOfAProductIsTheProductOfTransposes, ()) {
  const DType dtype = *floating_dtype();
  const auto size = [] { return *rc::gen::inRange<std::int64_t>(1, 20); };
  const std::int64_t m = size(), k = size(), n = size();
  Shape a_shape = *any_shape({.max_rank = 2, .max_size = 3}), b_shape = a_shape;
  a_shape.insert(a_shape.end(), {m, k});
  b_shape.insert(b_shape.end(), {k, n});
  const bool integers = *rc::gen::arbitrary<bool>();
  const auto values = [&](const Shape& shape, std::uint64_t seed) {
    const TensorDesc desc{dtype, shape};
    return integers ? small_integers(desc, seed) : signed_values(desc, seed);
  };
  const HostTensor a = values(a_shape, 1), b = values(b_shape, 2);
  const Tensor x = upload(test::device(), a), y = upload(test::device(), b);
  const HostTensor left = conformance::download(matmul(x, y).transpose(-1, -2));
  const HostTensor right = conformance::download(matmul(y.transpose(-1, -2), x.transpose(-1, -2)));
  RC_ASSERT(left.shape == right.shape);
  if (integers) {
    RC_ASSERT(left.values == right.values);
    return;
  }
  const BoundTensor truth =
      reference::matmul_contract().forward(std::vector{a, b}, complete_attrs(matmul_def(), {}))[0];
  // The truth lies as A B does; turn its tolerances as the results were turned.
  Side one(left.values.size()), other(left.values.size());
  for (std::size_t i = 0; i < left.values.size(); ++i) {
    const auto mn = static_cast<std::size_t>(m * n), rows = static_cast<std::size_t>(m);
    const std::size_t matrix = i / mn, column = i % mn / rows, row = i % rows;
    const std::size_t at = matrix * mn + row * static_cast<std::size_t>(n) + column;
    const double t = conformance::tolerance(dtype, truth.values[at]);
    one.add(i, left.values[i], t);
    other.add(i, right.values[i], t);
  }
  Side::expect_equal("(A B)^T and B^T A^T", one, other);
}

}  // namespace
}  // namespace flame::property
