// Tensors made on the device: full, arange, rand, randn, randint.
#include <cmath>
#include <limits>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/arguments.h"
#include "lib/ops/fill.h"
#include "lib/ops/iteration.h"
#include "lib/ops/ops.h"
#include "lib/tensor/runtime.h"

namespace flame {
namespace {

using flame_params::Constant;
using Descs = std::span<const TensorDesc>;

constexpr unsigned kThreads = 256;
constexpr unsigned kArangeUnroll = 4;  // dev::kArangeUnroll of kernels/fill.cu
// Of kernels/random.cu.
constexpr unsigned kFewVectors = 4, kManyVectors = 8;

Constant constant(const AttrValue& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return {static_cast<double>(*i), *i, 1};
  if (const auto* b = std::get_if<bool>(&value)) return {double(*b), *b, 1};
  if (const auto* d = std::get_if<double>(&value)) return {*d, 0, 0};
  throw ValueError(str_cat("number expected, not ", to_string(value)));
}

Constant number_argument(std::string_view op, const Attrs& attrs, std::string_view argument) {
  const AttrValue* value = attrs.find(argument);
  try {
    return constant(value ? *value : AttrValue{});
  } catch (const ValueError& e) {
    throw ValueError(str_cat(op, ": ", argument, ": ", e.what()));
  }
}

TensorDesc sized(std::string_view op, const Attrs& attrs, DType dtype) {
  TensorDesc out{dtype, attrs.get_ints("size")};
  checked_numel(op, out.shape, dtype);
  return out;
}

// Blocks whose threads make `unroll` vectors of 16 bytes each.
driver::Dim3 blocks_for(const Tensor& out, unsigned unroll) {
  const auto per_thread = static_cast<std::int64_t>(unroll * 16 / size_of(out.dtype()));
  return {static_cast<unsigned>(ceil_div(out.numel(), kThreads * per_thread))};
}

Cost write_cost(const TensorDesc& out) {
  return {0, static_cast<double>(numel(out.shape)) * static_cast<double>(size_of(out.dtype))};
}

// -- arange

// ceil((end - start) / step), exact in integers where all three are.
std::int64_t arange_count(const Attrs& attrs) {
  const Constant start = number_argument("arange", attrs, "start");
  const Constant end = number_argument("arange", attrs, "end");
  const Constant step = number_argument("arange", attrs, "step");
  for (const Constant& c : {start, end, step})
    check<ValueError>(std::isfinite(c.real), "arange: start ", start.real, ", end ", end.real,
                      " and step ", step.real, " must be finite");
  check<ValueError>(step.real != 0, "arange: step must not be 0");
  check<ValueError>((end.real - start.real) * (step.real < 0 ? -1 : 1) >= 0, "arange: end ",
                    end.real, " does not lie in the direction of step ", step.real, " from start ",
                    start.real);
  if (start.is_integer && end.is_integer && step.is_integer) {
    __extension__ using Wide = __int128;
    const Wide span = Wide(end.integer) - start.integer;
    const Wide by = step.integer;
    const Wide count = (span + by + (by > 0 ? -1 : 1)) / by;
    check<ShapeError>(count <= std::numeric_limits<std::int64_t>::max(),
                      "arange: more elements than 64 bits count");
    return static_cast<std::int64_t>(count);
  }
  const double count = std::ceil((end.real - start.real) / step.real);
  check<ShapeError>(count < 0x1p63, "arange: ", count, " elements are more than 64 bits count");
  return static_cast<std::int64_t>(count);
}

TensorDescs arange_infer(Descs, const Attrs& attrs) {
  const TensorDesc out{dtype_argument("arange", attrs), {arange_count(attrs)}};
  checked_numel("arange", out.shape, out.dtype);
  return out;
}

Tensors arange_forward(OpContext& context, std::span<const Tensor>, const Attrs& attrs) {
  Tensor out = context.make_output();
  const auto n = static_cast<long long>(out.numel());
  if (n == 0) return out;
  launch(context.device(), {"fill.cu", expression("arange", out.dtype())},
         blocks_for(out, kArangeUnroll), {kThreads}, 0, out.data(),
         number_argument("arange", attrs, "start"), number_argument("arange", attrs, "step"), n);
  return out;
}

// -- random

flame_params::Philox philox(const Attrs& attrs) {
  return {static_cast<unsigned long long>(attrs.get_int("seed")),
          static_cast<unsigned long long>(attrs.get_int("offset"))};
}

// Elements that one counter gives: see the head of kernels/random.cu.
std::int64_t per_counter(DType dtype) { return dtype == DType::kFloat64 ? 2 : 4; }
constexpr std::int64_t kIntegersPerCounter = 2;

template <bool kNormal>
TensorDescs random_infer(Descs, const Attrs& attrs) {
  constexpr const char* op = kNormal ? "randn" : "rand";
  const DType dtype = dtype_argument(op, attrs);
  check<DTypeError>(is_floating(dtype), op, ": dtype ", name(dtype), " is not floating");
  return {sized(op, attrs, dtype)};
}

template <bool kNormal>
Tensors random_forward(OpContext& context, std::span<const Tensor>, const Attrs& attrs) {
  Tensor out = context.make_output();
  const auto n = static_cast<long long>(out.numel());
  if (n == 0) return out;
  const unsigned vectors = kNormal || size_of(out.dtype()) == 2 ? kManyVectors : kFewVectors;
  launch(context.device(),
         {"random.cu", expression("random", kNormal ? "Normal" : "Uniform", out.dtype())},
         blocks_for(out, vectors), {kThreads}, 0, out.data(), philox(attrs), n);
  return out;
}

// How kernels take numbers modulo `size`. A sum with 3 has no digits below 2^-51.
flame_params::Range range_of(unsigned long long size) {
  return {size, ~0ull / size, 1 / static_cast<double>(size) + 3 - 3,
          static_cast<unsigned>((1ull << 32) % size)};
}

TensorDescs randint_infer(Descs, const Attrs& attrs) {
  const DType dtype = dtype_argument("randint", attrs);
  const std::int64_t low = attrs.get_int("low"), high = attrs.get_int("high");
  check<ValueError>(low < high, "randint: low ", low, " must be below high ", high);
  const bool is_unsigned = dtype == DType::kUInt8 || dtype == DType::kBool;
  if (!is_floating(dtype) && dtype != DType::kInt64)
    check<ValueError>(static_cast<double>(low) >= (is_unsigned ? 0 : -max_finite(dtype) - 1) &&
                          static_cast<double>(high - 1) <= max_finite(dtype),
                      "randint: [", low, ", ", high, ") does not fit ", name(dtype));
  return {sized("randint", attrs, dtype)};
}

Tensors randint_forward(OpContext& context, std::span<const Tensor>, const Attrs& attrs) {
  Tensor out = context.make_output();
  const auto n = static_cast<long long>(out.numel());
  if (n == 0) return out;
  const long long low = attrs.get_int("low");
  const auto range = range_of(static_cast<unsigned long long>(attrs.get_int("high")) -
                              static_cast<unsigned long long>(low));
  launch(context.device(), {"random.cu", expression("random_integers", out.dtype())},
         blocks_for(out, kManyVectors), {kThreads}, 0, out.data(), philox(attrs), low, range, n);
  return out;
}

// Attributes of a random op whose numbers the device's sequence provides.
Attrs random_attrs(std::string_view op, const Shape& size, const TensorOptions& options,
                   std::int64_t per) {
  const std::int64_t n = checked_numel(op, size, options.dtype);
  const auto slice =
      options.device.runtime().take_random(static_cast<std::uint64_t>(ceil_div(n, per)));
  return {{"size", size},
          {"dtype", dtype_attr(options.dtype)},
          {"seed", static_cast<std::int64_t>(slice.seed)},
          {"offset", static_cast<std::int64_t>(slice.offset)}};
}

Tensor create(const OpDef& op, const Attrs& attrs, const TensorOptions& options) {
  Tensor out = apply_one(op, {}, attrs, &options.device);
  if (options.requires_grad) out.set_requires_grad();
  return out;
}

template <InferFn infer>
Cost cost(Descs, const Attrs& attrs) {
  return write_cost(infer({}, attrs)[0]);
}

TensorDescs full_infer(Descs, const Attrs& attrs) {
  number_argument("full", attrs, "fill_value");
  return {sized("full", attrs, dtype_argument("full", attrs))};
}

AttrValue float32_name() { return std::string("float32"); }
AttrValue zero() { return std::int64_t{0}; }

}  // namespace

void fill_into(const Tensor& to, const Number& value) {
  const Loop loop = make_loop(to.shape(), {to});
  if (loop.empty()) return;
  launch(to.device(), {"fill.cu", expression("fill", to.dtype(), loop.vector)}, loop.grid(),
         loop.block(), 0, loop.extent, loop[0], constant(value.attr()));
}

const OpDef& full_def() {
  static const OpDef def{
      .name = "full",
      .kind = OpKind::kCreation,
      .attrs = {{"size"}, {"fill_value"}, {"dtype", float32_name()}},
      .infer = full_infer,
      .forward =
          [](OpContext& context, std::span<const Tensor>, const Attrs& attrs) {
            Tensor out = context.make_output();
            const Constant c = number_argument("full", attrs, "fill_value");
            fill_into(out, c.is_integer ? Number(std::int64_t{c.integer}) : Number(c.real));
            return Tensors(std::move(out));
          },
      .cost = cost<full_infer>,
      .kernels = {"fill<*>"},
  };
  return def;
}

const OpDef& arange_def() {
  static const OpDef def{
      .name = "arange",
      .kind = OpKind::kCreation,
      .attrs = {{"start", zero()}, {"end"}, {"step", std::int64_t{1}}, {"dtype", float32_name()}},
      .infer = arange_infer,
      .forward = arange_forward,
      .cost = cost<arange_infer>,
      .kernels = {"arange<*>"},
  };
  return def;
}

const OpDef& rand_def() {
  static const OpDef def{
      .name = "rand",
      .kind = OpKind::kCreation,
      .attrs = {{"size"}, {"dtype", float32_name()}, {"seed", zero()}, {"offset", zero()}},
      .infer = random_infer<false>,
      .forward = random_forward<false>,
      .cost = cost<random_infer<false>>,
      .kernels = {"random<Uniform,*>"},
  };
  return def;
}

const OpDef& randn_def() {
  static const OpDef def{
      .name = "randn",
      .kind = OpKind::kCreation,
      .attrs = {{"size"}, {"dtype", float32_name()}, {"seed", zero()}, {"offset", zero()}},
      .infer = random_infer<true>,
      .forward = random_forward<true>,
      .cost = cost<random_infer<true>>,
      .kernels = {"random<Normal,*>"},
  };
  return def;
}

const OpDef& randint_def() {
  static const OpDef def{
      .name = "randint",
      .kind = OpKind::kCreation,
      .attrs = {{"low", zero()},
                {"high"},
                {"size"},
                {"dtype", AttrValue{std::string("int64")}},
                {"seed", zero()},
                {"offset", zero()}},
      .infer = randint_infer,
      .forward = randint_forward,
      .cost = cost<randint_infer>,
      .kernels = {"random_integers<*>"},
  };
  return def;
}

Tensor full(const Shape& size, const Number& fill_value, const TensorOptions& options) {
  return create(
      full_def(),
      {{"size", size}, {"fill_value", fill_value.attr()}, {"dtype", dtype_attr(options.dtype)}},
      options);
}

Tensor arange(const Number& start, const Number& end, const Number& step,
              const TensorOptions& options) {
  return create(arange_def(),
                {{"start", start.attr()},
                 {"end", end.attr()},
                 {"step", step.attr()},
                 {"dtype", dtype_attr(options.dtype)}},
                options);
}

Tensor rand(const Shape& size, const TensorOptions& options) {
  return create(rand_def(), random_attrs("rand", size, options, per_counter(options.dtype)),
                options);
}

Tensor randn(const Shape& size, const TensorOptions& options) {
  return create(randn_def(), random_attrs("randn", size, options, per_counter(options.dtype)),
                options);
}

Tensor randint(std::int64_t low, std::int64_t high, const Shape& size,
               const TensorOptions& options) {
  Attrs attrs = random_attrs("randint", size, options, kIntegersPerCounter);
  attrs.set("low", low).set("high", high);
  return create(randint_def(), attrs, options);
}

}  // namespace flame
