// sum, mean and amax over any set of dims.
#include <string>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/arguments.h"
#include "lib/ops/copy.h"
#include "lib/ops/fill.h"
#include "lib/ops/iteration.h"
#include "lib/ops/ops.h"
#include "lib/ops/reduce_plan.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

using Descs = std::span<const TensorDesc>;

// What the arguments dim and keepdim mean for one input.
struct Dims {
  KeptDims kept;
  Shape out;         // of the result
  Shape aligned;     // of the result with every reduced dim kept as 1
  double count = 1;  // elements of one output
};

Dims dims_of(std::string_view op, const Shape& shape, const Attrs& attrs) {
  Dims d{KeptDims(shape.size(), true), {}, shape};
  const IntList given = attrs.has("dim") ? attrs.get_ints("dim") : IntList{};
  for (int dim : normalize_dims(op, given, shape.size())) {
    const auto i = static_cast<std::size_t>(dim);
    d.kept[i] = false;
    d.aligned[i] = 1;
    d.count *= static_cast<double>(shape[i]);
  }
  const bool keepdim = attrs.get_bool("keepdim");
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (keepdim || d.kept[i]) d.out.push_back(d.aligned[i]);
  return d;
}

// A contiguous result (or its gradient, of any strides) seen with its reduced dims as 1.
Tensor aligned_view(const Tensor& t, const Dims& dims) {
  Strides strides(dims.aligned.size(), 0);
  const bool dropped = t.shape().size() != dims.aligned.size();
  std::size_t next = 0;
  for (std::size_t i = 0; i < strides.size(); ++i)
    if (!dropped || dims.kept[i]) strides[i] = t.strides()[next++];
  return make_view(t, dims.aligned, strides, t.storage_offset());
}

// `t`, of shape dims.aligned, repeated over the reduced dims: a view.
Tensor repeated(const Tensor& t, const Dims& dims, const Shape& shape) {
  Strides strides = t.strides();
  for (std::size_t i = 0; i < strides.size(); ++i)
    if (!dims.kept[i]) strides[i] = 0;
  return make_view(t, shape, strides, t.storage_offset());
}

Cost cost_of(const TensorDesc& in, const TensorDesc& out) {
  return {static_cast<double>(numel(in.shape)),
          static_cast<double>(numel(in.shape)) * static_cast<double>(size_of(in.dtype)) +
              static_cast<double>(numel(out.shape)) * static_cast<double>(size_of(out.dtype))};
}

// -- sum and mean

template <bool kMean>
TensorDescs sum_infer(Descs in, const Attrs& attrs) {
  constexpr const char* op = kMean ? "mean" : "sum";
  const DType dtype = dtype_argument(op, attrs, in[0].dtype);
  check<DTypeError>(is_floating(dtype), op, ": dtype ", name(dtype), " is not floating");
  return {{dtype, dims_of(op, in[0].shape, attrs).out}};
}

template <bool kMean>
Tensors sum_forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Dims dims = dims_of(context.op().name, in[0].shape(), attrs);
  Tensor out = context.make_output();
  // As PyTorch: the input is cast first, then summed.
  const Tensor x = in[0].dtype() == out.dtype() ? in[0] : as_contiguous(in[0], out.dtype());
  reduce_into(out,
              {.file = "reduce.cu",
               .op = "Sum",
               .divisor = kMean ? dims.count : 1,
               .vectors = true,
               .at_once = true},
              out.dtype(), x.shape(), dims.kept, {x});
  return out;
}

// gx = g / count written out, by one launch; undefined where the accesses of one need several g,
// whose divisions would take longer than their bytes.
Tensor mean_gradient(const BackwardContext& context, const Tensor& g, const Dims& dims) {
  Tensor gx = context.make_gradient(0);
  const Loop loop = make_loop(gx.shape(), {gx, g});
  if (loop.empty()) return gx;
  if (!loop.repeats(1)) return {};
  launch(gx.device(), {"reduce.cu", expression("mean_backward", gx.dtype(), loop.vector)},
         loop.grid(Loop::kRepeats), loop.block(), 0, loop.extent, loop[0], loop[1], dims.count);
  return gx;
}

// The gradient of every element is that of its output (over the count): a view of the small tensor,
// unless the engine would have to write it out.
template <bool kMean>
Tensors sum_backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  const TensorDesc& in = context.input(0);
  const Dims dims = dims_of(context.op().name, in.shape, attrs);
  Tensor g = aligned_view(grads[0], dims);
  if (kMean && !context.may_alias(0) && g.dtype() == in.dtype)
    if (Tensor gx = mean_gradient(context, g, dims); gx.defined()) return gx;
  if (kMean) {
    Tensor share = context.temporary(g.shape(), g.dtype());
    if (const Loop loop = make_loop(g.shape(), {share, g, dims.count}); !loop.empty())
      launch(context.device(),
             {"binary.cu", expression("binary_forward", "Div", g.dtype(), loop.vector)},
             loop.grid(), loop.block(), 0, loop.extent, loop[0], loop[1], loop[2],
             flame_params::Numbers{});
    g = share;
  }
  if (g.dtype() != in.dtype) g = as_contiguous(g, in.dtype);
  return {repeated(g, dims, in.shape)};
}

template <bool kMean>
Cost sum_cost(Descs in, const Attrs& attrs) {
  return cost_of(in[0], sum_infer<kMean>(in, attrs)[0]);
}

template <bool kMean>
std::int64_t sum_workspace(Descs in, const Attrs& attrs) {
  const TensorDesc out = sum_infer<kMean>(in, attrs)[0];
  const Dims dims = dims_of(kMean ? "mean" : "sum", in[0].shape, attrs);
  const std::int64_t cast =
      out.dtype == in[0].dtype ? 0
                               : numel(in[0].shape) * static_cast<std::int64_t>(size_of(out.dtype));
  return cast + reduce_workspace(out.dtype, in[0].shape, dims.kept, true);
}

template <bool kMean>
OpDef sum_def_of(std::string_view op_name) {
  return {.name = op_name,
          .inputs = {{.name = "input"}},
          .attrs = {{"dim", AttrValue{IntList{}}},
                    {"keepdim", AttrValue{false}},
                    {"dtype", AttrValue{}}},
          .infer = sum_infer<kMean>,
          .forward = sum_forward<kMean>,
          .backward = sum_backward<kMean>,
          .cost = sum_cost<kMean>,
          .kernels = {"reduce*<Sum,*>", "copy_convert<*>"},
          .backward_kernels =
              kMean ? std::vector<std::string_view>{"mean_backward<*>", "binary_forward<Div,*>",
                                                    "copy_convert<*>"}
                    : std::vector<std::string_view>{"copy_convert<*>"},
          .workspace = sum_workspace<kMean>,
          .backward_workspace = [](Descs in, const Attrs& a) -> std::int64_t {
            const std::int64_t outputs = numel(sum_infer<kMean>(in, a)[0].shape);
            return 2 * outputs * static_cast<std::int64_t>(size_of(DType::kFloat64));
          }};
}

// -- amax

constexpr int kPeak = 4;             // accumulators of dev::Peak
constexpr unsigned kPeakUnroll = 2;  // dev::kPeakUnroll of kernels/peak_gradient.cuh

TensorDescs amax_infer(Descs in, const Attrs& attrs) {
  const Dims dims = dims_of("amax", in[0].shape, attrs);
  for (std::size_t i = 0; i < dims.kept.size(); ++i)
    check<ShapeError>(dims.kept[i] || in[0].shape[i] > 0 || numel(dims.out) == 0,
                      "amax: cannot take the maximum over dim ", i, " of size 0 (shape ",
                      to_string(in[0].shape), ")");
  return {{in[0].dtype, dims.out}};
}

// Where a gradient will be asked for, the same pass makes a record of each output's maxima: how
// many there are, or where the only one lies in the input's memory (dev::Record of
// kernels/peak.cuh).
Tensors amax_forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Dims dims = dims_of("amax", in[0].shape(), attrs);
  Tensor out = context.make_output();
  if (!context.needs_grad(0)) {
    reduce_into(out, {.file = "reduce.cu", .op = "Max", .vectors = true, .at_once = true},
                out.dtype(), in[0].shape(), dims.kept, {in[0]});
    return out;
  }
  const Tensor record = context.temporary(out.shape(), accumulator(out.dtype()));
  reduce_into(out,
              {.file = "reduce.cu",
               .op = "MaxAndCount",
               .vectors = true,
               .state = kPeak,
               .second = record.data()},
              out.dtype(), in[0].shape(), dims.kept, {in[0]});
  context.save(in[0], Reads::kParts);  // of outputs that have more than one maximum
  context.save(out, Reads::kParts);
  context.save(record);
  return out;
}

// What amax_backward takes: x, and an element of the others for each output.
struct Peaks {
  Tensor x, maximum, record, g;
};

// By reading all of x.
void dense_amax_gradient(const BackwardContext& context, const Tensor& gx, const Peaks& of) {
  const DType t = of.x.dtype();
  const Tensor share = context.temporary(of.g.shape(), t);
  const Loop outputs = make_loop(share.shape(), {share, of.g, of.record});
  launch(context.device(), {"reduce.cu", expression("amax_share", t, outputs.vector)},
         outputs.grid(), outputs.block(), 0, outputs.extent, outputs[0], outputs[1], outputs[2]);
  const Loop loop = make_loop(gx.shape(), {gx, of.x, of.maximum, share});
  launch(context.device(), {"reduce.cu", expression("amax_backward_dense", t, loop.vector)},
         loop.grid(), loop.block(), 0, loop.extent, loop[0], loop[1], loop[2], loop[3]);
}

Tensors amax_backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  const Tensor x = context.saved(0);
  const Dims dims = dims_of("amax", x.shape(), attrs);
  const Peaks of{x, aligned_view(context.saved(1), dims), aligned_view(context.saved(2), dims),
                 aligned_view(grads[0], dims)};
  Tensor gx = context.make_gradient(0);
  const Loop loop = make_loop(x.shape(), {gx, x, of.record, of.g, of.maximum}, size_of(x.dtype()));
  if (loop.empty()) return gx;
  if (is_half(x.dtype()) && loop.vector > 1 && !loop.repeats(2)) {
    dense_amax_gradient(context, gx, of);
    return gx;
  }
  launch(context.device(), {"reduce.cu", expression("amax_backward", x.dtype(), loop.vector)},
         loop.grid(kPeakUnroll), loop.block(), 0, loop.extent, loop[0], loop[1], loop[2], loop[3],
         loop[4]);
  return gx;
}

}  // namespace

const OpDef& sum_def() {
  static const OpDef def = sum_def_of<false>("sum");
  return def;
}

const OpDef& mean_def() {
  static const OpDef def = sum_def_of<true>("mean");
  return def;
}

const OpDef& amax_def() {
  static const OpDef def{
      .name = "amax",
      .inputs = {{.name = "input"}},
      .attrs = {{"dim", AttrValue{IntList{}}}, {"keepdim", AttrValue{false}}},
      .infer = amax_infer,
      .forward = amax_forward,
      .backward = amax_backward,
      .cost = [](Descs in, const Attrs& attrs) { return cost_of(in[0], amax_infer(in, attrs)[0]); },
      .kernels = {"reduce*<Max,*>", "reduce*<MaxAndCount,*>"},
      .backward_kernels = {"amax_share<*>", "amax_backward*<*>"},
      .workspace =
          [](Descs in, const Attrs& attrs) {
            const Dims dims = dims_of("amax", in[0].shape, attrs);
            return numel(dims.out) * static_cast<std::int64_t>(size_of(accumulator(in[0].dtype))) +
                   reduce_workspace(in[0].dtype, in[0].shape, dims.kept, true, kPeak);
          },
      .backward_workspace =
          [](Descs in, const Attrs& attrs) {
            return numel(dims_of("amax", in[0].shape, attrs).out) *
                   static_cast<std::int64_t>(size_of(in[0].dtype));
          },
  };
  return def;
}

Tensor sum(const Tensor& input, const IntList& dim, bool keepdim, std::optional<DType> dtype) {
  return apply_one(sum_def(), {input},
                   {{"dim", dim}, {"keepdim", keepdim}, {"dtype", dtype_attr(dtype)}});
}

Tensor mean(const Tensor& input, const IntList& dim, bool keepdim, std::optional<DType> dtype) {
  return apply_one(mean_def(), {input},
                   {{"dim", dim}, {"keepdim", keepdim}, {"dtype", dtype_attr(dtype)}});
}

Tensor amax(const Tensor& input, const IntList& dim, bool keepdim) {
  return apply_one(amax_def(), {input}, {{"dim", dim}, {"keepdim", keepdim}});
}

}  // namespace flame
