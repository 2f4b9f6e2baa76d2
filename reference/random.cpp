// Counter-based random numbers: element i is a function of (seed, offset, i) and nothing else. How
// words become numbers is the library's published convention.
#include "lib/core/error.h"
#include "reference/case_builder.h"
#include "reference/evaluate.h"
#include "reference/philox.h"

namespace flame::reference {
namespace {

struct Stream {
  explicit Stream(const Attrs& attrs)
      : seed(static_cast<std::uint64_t>(attrs.get_int("seed"))),
        offset(static_cast<std::uint64_t>(int_or(attrs, "offset", 0))) {}

  PhiloxWords words(std::uint64_t c) const {
    const std::uint64_t at = offset + c;
    return philox4x32_10(
        {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32), 0, 0},
        {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }
  // Two words of a counter as one number of 64 bits.
  static std::uint64_t pair(const PhiloxWords& w, std::size_t first) {
    return std::uint64_t{w[first]} << 32 | w[first + 1];
  }
  // Half counters of 64 bits.
  std::uint64_t long_word(std::size_t i) const { return pair(words(i / 2), 2 * (i % 2)); }

  std::uint64_t seed, offset;
};

template <class S>
S exact_number(double value) {
  return number<S>(value, DType::kFloat64);
}

// As many bits as the dtype has digits, so that 1 never comes out.
struct Rand {
  template <class S>
  static Arrays<S> forward(ArraySpan<S>, const Attrs& attrs) {
    const Stream stream(attrs);
    const DType dtype = dtype_or(attrs, DType::kFloat32);
    return {generate<S>(dtype, attrs.get_ints("size"), [&](std::size_t i) {
      if (dtype == DType::kFloat64)
        return exact_number<S>(static_cast<double>(stream.long_word(i) >> 11) * 0x1p-53);
      const int digits = dtype == DType::kFloat32 ? 24 : dtype == DType::kFloat16 ? 11 : 8;
      const std::uint32_t word = stream.words(i / 4)[i % 4] >> (32 - digits);
      return exact_number<S>(std::ldexp(static_cast<double>(word), -digits));
    })};
  }
};

// Box & Muller 1958: r cos(2 pi u2), r sin(2 pi u2) with r = sqrt(-2 ln u1).
struct Randn {
  template <class S>
  static Arrays<S> forward(ArraySpan<S>, const Attrs& attrs) {
    const Stream stream(attrs);
    const DType dtype = dtype_or(attrs, DType::kFloat32);
    return {generate<S>(dtype, attrs.get_ints("size"), [&](std::size_t i) {
      const auto [u1, u2] =
          dtype == DType::kFloat64 ? long_uniforms(stream, i) : uniforms(stream, i);
      const S r = sqrt(S(-2) * log(exact_number<S>(u1)));
      const S angle = S(2 * kPi) * exact_number<S>(u2);
      return r * (i % 2 == 0 ? cos(angle) : sin(angle));
    })};
  }

  // (0, 1] and [0, 1), rounded to float32 by convention.
  static std::pair<double, double> uniforms(const Stream& stream, std::size_t i) {
    const PhiloxWords w = stream.words(i / 4);
    const std::size_t first = i % 4 / 2 * 2;
    const auto a = static_cast<float>(std::uint64_t{w[first]} + 1);
    const auto b = static_cast<float>(w[first + 1]);
    return {a * 0x1p-32, b * 0x1p-32};
  }
  static std::pair<double, double> long_uniforms(const Stream& stream, std::size_t i) {
    const PhiloxWords w = stream.words(i / 2);
    return {static_cast<double>((Stream::pair(w, 0) >> 11) + 1) * 0x1p-53,
            static_cast<double>(Stream::pair(w, 2) >> 11) * 0x1p-53};
  }
};

struct Randint {
  template <class S>
  static Arrays<S> forward(ArraySpan<S>, const Attrs& attrs) {
    const Stream stream(attrs);
    const DType dtype = dtype_or(attrs, DType::kInt64);
    const std::int64_t low = attrs.get_int("low");
    const std::uint64_t span =
        static_cast<std::uint64_t>(attrs.get_int("high")) - static_cast<std::uint64_t>(low);
    return {generate<S>(dtype, attrs.get_ints("size"), [&](std::size_t i) {
      const auto step = static_cast<std::int64_t>(stream.long_word(i) % span);
      return exact_number<S>(round_to(dtype, static_cast<double>(low + step)));
    })};
  }
};

Attrs drawn(Shape size, std::int64_t seed, std::int64_t offset = 0) {
  return {{"size", std::move(size)}, {"seed", seed}, {"offset", offset}};
}

std::vector<Case> stream_cases(bool exact, const Attrs& more = {}) {
  std::vector<Case> cases;
  const auto add = [&](const char* name, Attrs attrs, bool quick = true) {
    for (const auto& [key, value] : more.items()) attrs.set(key, value);
    cases.push_back({name, {}, std::move(attrs), quick, exact, false});
  };
  add("vector_tail", drawn({1027}, 1));
  add("matrix", drawn({9, 33}, 20261120));
  add("scalar", drawn({}, 7));
  add("one", drawn({1}, 0));
  add("empty", drawn({0, 4}, 3));
  add("offset", drawn({129}, 1, 5));
  add("long_seed", drawn({31}, 0x123456789abcdefLL));
  add("negative_seed", drawn({31}, -1));
  add("offset_carries", drawn({65}, 42, 0xfffffffeLL));
  add("large", drawn({262147}, 99), false);
  return cases;
}

std::vector<ErrorCase> stream_error_cases() {
  return {{"negative_size", {}, drawn({2, -1}, 0), "ShapeError", {"(2, -1)"}},
          {"overflow",
           {},
           drawn({std::int64_t{1} << 40, std::int64_t{1} << 40}, 0),
           "ShapeError",
           {"(1099511627776, 1099511627776)"}}};
}

std::vector<BenchCase> stream_bench_cases() {
  return {{"16777216", {}, drawn({16777216}, 1)}, {"67108864", {}, drawn({67108864}, 1)}};
}

const Attrs kSmallRange = {{"low", std::int64_t{-3}}, {"high", std::int64_t{11}}};

std::vector<Case> randint_cases() {
  std::vector<Case> cases = stream_cases(true, kSmallRange);
  const auto add = [&](const char* name, std::int64_t low, std::int64_t high, DType dtype) {
    Attrs attrs = drawn({257}, 5);
    attrs.set("low", low).set("high", high).set("dtype", std::string(flame::name(dtype)));
    cases.push_back({name, {}, std::move(attrs), true, true, false, false, {DType::kFloat32}});
  };
  add("int64", -1000000000000, 1000000000000, DType::kInt64);
  add("int32", -100000, 100000, DType::kInt32);
  add("uint8", 0, 256, DType::kUInt8);
  add("one_value", 5, 6, DType::kInt64);
  return cases;
}

}  // namespace

const Contract& rand_contract() {
  static const Contract c = make_contract_without_gradient<Rand>(
      "rand", {[] { return stream_cases(true); }, stream_error_cases, stream_bench_cases, {}});
  return c;
}

const Contract& randn_contract() {
  static const Contract c = make_contract_without_gradient<Randn>(
      "randn", {[] { return stream_cases(false); }, stream_error_cases, stream_bench_cases, {}});
  return c;
}

const Contract& randint_contract() {
  static const Contract c = make_contract_without_gradient<Randint>(
      "randint", {randint_cases,
                  [] {
                    std::vector<ErrorCase> errors = stream_error_cases();
                    for (ErrorCase& e : errors)
                      e.attrs.set("low", std::int64_t{0}).set("high", std::int64_t{5});
                    Attrs nothing = drawn({3}, 0);
                    nothing.set("low", std::int64_t{5}).set("high", std::int64_t{5});
                    errors.push_back({"empty_range", {}, nothing, "ValueError", {"5"}});
                    return errors;
                  },
                  [] {
                    std::vector<BenchCase> benches = stream_bench_cases();
                    for (BenchCase& b : benches)
                      b.attrs.set("low", std::int64_t{0}).set("high", std::int64_t{1000});
                    return benches;
                  },
                  {}});
  return c;
}

}  // namespace flame::reference
