#include "property_tests/generators.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "reference/host_tensor.h"

namespace flame::property {
namespace {

using reference::round_to;

// A generator of its own randomness and its own way to shrink: `draw` takes a Random by reference.
template <class T, class Draw, class Shrink>
rc::Gen<T> generator(Draw draw, Shrink shrink) {
  return rc::Gen<T>([=](const rc::Random& random, int) {
    rc::Random r = random;
    return rc::shrinkable::shrinkRecur(
        draw(r), [=](const T& value) { return rc::seq::fromContainer(shrink(value)); });
  });
}

std::int64_t below(rc::Random& r, std::int64_t n) {
  return static_cast<std::int64_t>(r.next() % static_cast<std::uint64_t>(n));
}
std::int64_t between(rc::Random& r, std::int64_t low, std::int64_t high) {
  return low + below(r, high - low + 1);
}
double unit(rc::Random& r) { return static_cast<double>(r.next() >> 11) * 0x1p-53; }

double special(DType dtype, rc::Random& r) {
  const double tiny = denorm_min(dtype);
  const double u = unit_roundoff(dtype);
  const double smallest_normal = tiny / u / 2;
  const double table[] = {0.0,
                          -0.0,
                          std::numeric_limits<double>::quiet_NaN(),
                          std::numeric_limits<double>::infinity(),
                          -std::numeric_limits<double>::infinity(),
                          tiny,
                          -tiny,
                          3 * tiny,
                          smallest_normal,
                          smallest_normal - tiny,
                          max_finite(dtype),
                          -max_finite(dtype),
                          1.0,
                          -1.0,
                          1 + 2 * u,
                          1 - u};
  return table[below(r, std::size(table))];
}

double ordinary(DType dtype, rc::Random& r) {
  const double v = std::ldexp(unit(r) * 2 - 1, static_cast<int>(between(r, -4, 4)));
  return round_to(dtype, v);
}

// A value of the type taken at random from all its bit patterns, roughly: any exponent.
double of_any_size(DType dtype, rc::Random& r) {
  const int low = std::ilogb(denorm_min(dtype)), high = std::ilogb(max_finite(dtype));
  const double v = std::ldexp(1 + unit(r), static_cast<int>(between(r, low, high - 1)));
  return round_to(dtype, below(r, 2) ? v : -v);
}

std::vector<double> smaller_floats(double v) {
  std::vector<double> out;
  auto offer = [&](double candidate) {
    // By bits, so that -0 becomes 0 and NaN ends.
    const bool simpler = std::isnan(v) || std::isinf(v) || std::fabs(candidate) < std::fabs(v) ||
                         (candidate == v && std::signbit(v) && !std::signbit(candidate));
    if (simpler && std::bit_cast<std::uint64_t>(candidate) != std::bit_cast<std::uint64_t>(v))
      out.push_back(candidate);
  };
  offer(0.0);
  offer(1.0);
  if (v < 0) offer(-1.0);
  if (std::isfinite(v)) {
    if (v < 0) offer(-v);
    offer(std::trunc(v));
  }
  return out;
}

std::vector<Shape> smaller_shapes(const Shape& shape, const ShapeLimits& limits) {
  std::vector<Shape> out;
  if (static_cast<int>(shape.size()) > limits.min_rank) {
    for (std::size_t i = 0; i < shape.size(); ++i) {
      Shape s = shape;
      s.erase(s.begin() + static_cast<std::ptrdiff_t>(i));
      out.push_back(s);
    }
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    for (std::int64_t size : {limits.min_size, std::int64_t{1}, shape[i] / 2, shape[i] - 1}) {
      if (size < limits.min_size || size >= shape[i]) continue;
      Shape s = shape;
      s[i] = size;
      out.push_back(s);
    }
  }
  return out;
}

Shape draw_shape(rc::Random& r, const ShapeLimits& limits) {
  Shape shape(static_cast<std::size_t>(between(r, limits.min_rank, limits.max_rank)));
  for (auto& size : shape) size = between(r, limits.min_size, limits.max_size);
  return shape;
}

std::string draw_text(rc::Random& r) {
  static constexpr std::string_view kAlphabet = "ab \"\\=[],.e0-";
  std::string out;
  for (std::int64_t n = below(r, 8); n > 0; --n) out += kAlphabet[below(r, kAlphabet.size())];
  return out;
}

AttrValue draw_attr(rc::Random& r) {
  switch (below(r, 7)) {
    case 0:
      return std::monostate{};
    case 1:
      return below(r, 2) == 1;
    case 2:
      return static_cast<std::int64_t>(r.next());
    case 3:
      return std::bit_cast<double>(r.next() & ~(std::uint64_t{1} << 62));  // finite
    case 4:
      return draw_text(r);
    case 5: {
      IntList list(static_cast<std::size_t>(below(r, 4)));
      for (auto& v : list) v = between(r, -9, 9);
      return list;
    }
    default:
      return special(DType::kFloat64, r);
  }
}

}  // namespace

rc::Gen<double> any_float(DType dtype) {
  return generator<double>(
      [=](rc::Random& r) {
        switch (below(r, 4)) {
          case 0:
            return special(dtype, r);
          case 1:
            return of_any_size(dtype, r);
          default:
            return ordinary(dtype, r);
        }
      },
      smaller_floats);
}

rc::Gen<double> finite_float(DType dtype) {
  return rc::gen::suchThat(any_float(dtype), [](double v) { return std::isfinite(v); });
}

rc::Gen<std::vector<double>> any_floats(DType dtype, std::int64_t count) {
  return rc::gen::container<std::vector<double>>(static_cast<std::size_t>(count), any_float(dtype));
}

rc::Gen<DType> floating_dtype() {
  return rc::gen::element(DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kBFloat16);
}

rc::Gen<DType> any_dtype() {
  return rc::gen::map(rc::gen::inRange(0, kDTypeCount), [](int i) { return DType(i); });
}

rc::Gen<Shape> any_shape(const ShapeLimits& limits) {
  return generator<Shape>([=](rc::Random& r) { return draw_shape(r, limits); },
                          [=](const Shape& s) { return smaller_shapes(s, limits); });
}

rc::Gen<std::pair<Shape, Shape>> broadcastable_shapes(const ShapeLimits& limits) {
  using Pair = std::pair<Shape, Shape>;
  auto draw = [=](rc::Random& r) {
    const Shape full = draw_shape(r, limits);
    // Each side loses leading dims and has some sizes set to 1; never both at one place.
    Pair pair{full, full};
    for (std::size_t i = 0; i < full.size(); ++i) {
      const std::int64_t which = below(r, 4);
      if (which == 0) pair.first[i] = 1;
      if (which == 1) pair.second[i] = 1;
    }
    Shape& shorter = below(r, 2) ? pair.first : pair.second;
    shorter.erase(shorter.begin(), shorter.begin() + below(r, std::ssize(shorter) + 1));
    return pair;
  };
  auto shrink = [=](const Pair& pair) {
    std::vector<Pair> out;
    auto offer = [&](const Shape& a, const Shape& b) {
      for (std::size_t i = 1; i <= std::min(a.size(), b.size()); ++i) {
        const std::int64_t x = a[a.size() - i], y = b[b.size() - i];
        if (x != y && x != 1 && y != 1) return;
      }
      out.emplace_back(a, b);
    };
    for (const Shape& a : smaller_shapes(pair.first, limits)) offer(a, pair.second);
    for (const Shape& b : smaller_shapes(pair.second, limits)) offer(pair.first, b);
    return out;
  };
  return generator<Pair>(draw, shrink);
}

rc::Gen<std::vector<std::int64_t>> permutation(std::int64_t n) {
  using List = std::vector<std::int64_t>;
  auto draw = [=](rc::Random& r) {
    List p(static_cast<std::size_t>(n));
    std::iota(p.begin(), p.end(), 0);
    for (std::size_t i = p.size(); i > 1; --i)
      std::swap(p[i - 1], p[static_cast<std::size_t>(below(r, static_cast<std::int64_t>(i)))]);
    return p;
  };
  auto shrink = [](const List& p) {
    std::vector<List> out;
    for (std::size_t i = 0; i + 1 < p.size(); ++i) {
      if (p[i] < p[i + 1]) continue;
      List q = p;
      std::swap(q[i], q[i + 1]);  // one inversion fewer
      out.push_back(q);
    }
    return out;
  };
  return generator<List>(draw, shrink);
}

rc::Gen<Attrs> any_attrs() {
  auto draw = [](rc::Random& r) {
    static constexpr std::string_view kNames[] = {"dim", "keepdim", "eps", "a", "x_1", "mode"};
    Attrs attrs;
    for (std::int64_t n = below(r, 6); n > 0; --n)
      attrs.set(kNames[below(r, std::size(kNames))], draw_attr(r));
    return attrs;
  };
  auto shrink = [](const Attrs& attrs) {
    std::vector<Attrs> out;
    for (const auto& [gone, unused] : attrs.items()) {
      Attrs fewer;
      for (const auto& [name, value] : attrs.items())
        if (name != gone) fewer.set(name, value);
      out.push_back(fewer);
    }
    return out;
  };
  return generator<Attrs>(draw, shrink);
}

}  // namespace flame::property
