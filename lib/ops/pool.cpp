#include <algorithm>
#include <limits>

#include "kernels/params.h"
#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/conv.h"
#include "lib/ops/copy.h"
#include "lib/ops/iteration.h"
#include "lib/ops/norm.h"
#include "lib/ops/ops.h"
#include "lib/ops/rows.h"
#include "lib/ops/workspace.h"

namespace flame {
namespace {

struct Pool {
  Images in;
  Pair kernel{}, stride{}, pad{}, dilation{}, out{};
  std::int64_t planes() const { return in.count * in.channels; }
  // The type of coordinates in an image, in which a place is kept for backward.
  DType place() const {
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max() / 4;
    bool small = in.size[0] * in.size[1] <= kMost;
    for (std::size_t d = 0; d < 2; ++d)
      small &= std::max({in.size[d], out[d], stride[d], dilation[d] * kernel[d]}) <= kMost;
    return small ? DType::kInt32 : DType::kInt64;
  }
  std::int64_t area() const { return in.size[0] * in.size[1]; }
  std::int64_t pixels() const { return out[0] * out[1]; }
  // Windows that overlap along a dim.
  std::int64_t phases(std::size_t d) const {
    return ceil_div(dilation[d] * (kernel[d] - 1) + 1, stride[d]);
  }
  // Planes that a block keeps in shared memory (kernels/pool_plane.cuh); 0: planes are too large,
  // a place in the window is more than a byte, or too many windows overlap.
  std::int64_t planes_at_once(DType t) const {
    constexpr std::int64_t kMostElements = 16384, kEnough = 3072, kMostPhases = 16;
    constexpr std::int64_t kSharedBytes = 96 << 10;  // what every GPU of compute capability 8 has
    const std::int64_t largest = std::max(area(), pixels());
    const auto wide = static_cast<std::int64_t>(size_of(accumulator(t)));
    if (largest > kMostElements || area() * wide + pixels() * (wide + 1) > kSharedBytes ||
        kernel[0] * kernel[1] >= 255)
      return 0;
    for (std::size_t d = 0; d < 2; ++d)
      if (std::max({stride[d], pad[d], dilation[d] * kernel[d]}) > kMostElements) return 0;
    if (phases(0) * phases(1) > kMostPhases) return 0;
    return std::clamp<std::int64_t>(kEnough / largest, 1, std::max<std::int64_t>(planes(), 1));
  }
  // Whether threads can take pieces of rows (kernels/pool_rows.cu): square windows of 2 or 3,
  // stride 2, as many columns out as half of those in.
  bool by_rows(DType t) const {
    constexpr std::int64_t kMostArea = std::int64_t{1} << 30;
    const bool window =
        kernel == Pair{2, 2} ? pad == Pair{0, 0} : kernel == Pair{3, 3} && pad == Pair{1, 1};
    const bool halves = in.size[1] % row_piece(t) == 0 && out[1] * 2 == in.size[1] &&
                        (out[0] == in.size[0] / 2 || out[0] == (in.size[0] + 1) / 2);
    return window && stride == Pair{2, 2} && dilation == Pair{1, 1} && halves &&
           area() <= kMostArea && planes() > 0 && row_units(t) < (std::int64_t{1} << 31);
  }
  static std::int64_t row_piece(DType t) { return size_of(t) == 2 ? 8 : 4; }
  static std::int64_t rows_of_outputs(DType t) {
    return flame_params::pool_rows(static_cast<int>(size_of(t)));
  }
  std::int64_t row_strips(DType t) const {
    return ceil_div(ceil_div(in.size[0], 2), rows_of_outputs(t));
  }
  std::int64_t row_units(DType t) const {
    return planes() * row_strips(t) * (in.size[1] / row_piece(t));
  }
  // Where the maxima were, kept for backward: 4 bits, a byte or a coordinate each.
  DType kept_place(DType t) const {
    return by_rows(t) || planes_at_once(t) > 0 ? DType::kUInt8 : place();
  }
  std::int64_t kept_places(DType t) const {
    // 4 bits for each output of a unit, half as many as it has columns in each row.
    if (by_rows(t)) return row_units(t) * rows_of_outputs(t) * row_piece(t) / 4;
    return planes() * pixels();
  }
};

// PyTorch's rule: with ceil_mode a last window counts that starts inside the input or the padding
// before it.
std::int64_t out_size(const Pool& p, std::size_t d, bool ceil_mode) {
  const std::int64_t reach = p.dilation[d] * (p.kernel[d] - 1) + 1;
  const std::int64_t room = p.in.size[d] + 2 * p.pad[d] - reach;
  if (room < 0 && (!ceil_mode || room <= -p.stride[d])) return 0;
  std::int64_t out = (ceil_mode ? ceil_div(room, p.stride[d]) : room / p.stride[d]) + 1;
  if (ceil_mode && (out - 1) * p.stride[d] >= p.in.size[d] + p.pad[d]) --out;
  return out;
}

Pool pool_of(const Shape& input, const Attrs& attrs) {
  Pool p;
  p.in = images_of("max_pool2d", input);
  check<ShapeError>(p.in.channels > 0 && p.in.size[0] > 0 && p.in.size[1] > 0,
                    "max_pool2d: input of shape ", to_string(input),
                    " may be empty in its batch dim only");
  p.kernel = pair_argument("max_pool2d", attrs, "kernel_size", 1);
  const bool own_stride = !attrs.get_ints("stride").empty();
  p.stride = own_stride ? pair_argument("max_pool2d", attrs, "stride", 1) : p.kernel;
  p.pad = pair_argument("max_pool2d", attrs, "padding", 0);
  p.dilation = pair_argument("max_pool2d", attrs, "dilation", 1);
  for (std::size_t d = 0; d < 2; ++d) {
    check<ValueError>(p.pad[d] <= p.kernel[d] / 2, "max_pool2d: padding ", p.pad[d],
                      " is more than half of kernel_size ", p.kernel[d]);
    p.out[d] = out_size(p, d, attrs.get_bool("ceil_mode"));
    check<ShapeError>(p.out[d] >= 1, "max_pool2d: input of shape ", to_string(input),
                      " is too small for kernel_size ", p.kernel[d], ", dilation ", p.dilation[d],
                      ", padding ", p.pad[d], ": output size ", p.out[d]);
  }
  return p;
}

TensorDescs infer(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Pool p = pool_of(in[0].shape, attrs);
  Shape out;
  if (p.in.batched) out.push_back(p.in.count);
  out.insert(out.end(), {p.in.channels, p.out[0], p.out[1]});
  numel(out, size_of(in[0].dtype));
  return {{in[0].dtype, out}};
}

template <class Index>
flame_params::Pool<Index> params_of(const Pool& p) {
  auto at = [](std::int64_t v) { return static_cast<Index>(v); };
  return {.planes = p.planes(),
          .height = at(p.in.size[0]),
          .width = at(p.in.size[1]),
          .out_h = at(p.out[0]),
          .out_w = at(p.out[1]),
          .kernel_h = at(p.kernel[0]),
          .kernel_w = at(p.kernel[1]),
          .stride_h = at(p.stride[0]),
          .stride_w = at(p.stride[1]),
          .pad_h = at(p.pad[0]),
          .pad_w = at(p.pad[1]),
          .dilation_h = at(p.dilation[0]),
          .dilation_w = at(p.dilation[1])};
}

flame_params::PlanePool plane_params(const Pool& p, std::int64_t per_block,
                                     std::initializer_list<Tensor> tensors) {
  auto at = [](std::int64_t v) { return static_cast<int>(v); };
  const std::int64_t rows = ceil_div(p.out[0], p.phases(0)), cols = ceil_div(p.out[1], p.phases(1));
  // 16 bytes of the smallest element, a place, divide a plane.
  bool vectors = p.area() % 16 == 0 && p.pixels() % 16 == 0;
  for (const Tensor& t : tensors) vectors &= !t.defined() || is_aligned16(t.data());
  return {.planes = p.planes(),
          .per_block = at(per_block),
          .height = at(p.in.size[0]),
          .width = at(p.in.size[1]),
          .out_h = at(p.out[0]),
          .out_w = at(p.out[1]),
          .kernel_h = at(p.kernel[0]),
          .kernel_w = at(p.kernel[1]),
          .stride_h = at(p.stride[0]),
          .stride_w = at(p.stride[1]),
          .pad_h = at(p.pad[0]),
          .pad_w = at(p.pad[1]),
          .dilation_h = at(p.dilation[0]),
          .dilation_w = at(p.dilation[1]),
          .phases_h = at(p.phases(0)),
          .phases_w = at(p.phases(1)),
          .phase_rows = at(rows),
          .phase_cols = at(cols),
          .by_pixels = small_divisor(p.pixels()),
          .by_out_w = small_divisor(p.out[1]),
          .by_phase_rows = small_divisor(rows),
          .by_phase_cols = small_divisor(cols),
          .by_kernel_w = small_divisor(p.kernel[1]),
          .vectors = vectors};
}

flame_params::RowPool row_params(const Pool& p, DType t, std::initializer_list<Tensor> tensors) {
  const std::int64_t pieces = p.in.size[1] / Pool::row_piece(t), strips = p.row_strips(t);
  bool vectors = true;  // a piece may be of 32 bytes
  for (const Tensor& tensor : tensors)
    vectors &= reinterpret_cast<std::uintptr_t>(tensor.data()) % 32 == 0;
  const flame_params::RowUnits units = row_units(p.planes() * strips, pieces, strips);
  const bool full = strips * Pool::rows_of_outputs(t) * 2 == p.in.size[0];
  return {.units = units,
          .height = static_cast<int>(p.in.size[0]),
          .width = static_cast<int>(p.in.size[1]),
          .out_h = static_cast<int>(p.out[0]),
          .vectors = vectors,
          .whole = vectors && full && units.together > 0};
}

driver::Dim3 grid_for(std::int64_t threads) {
  return {static_cast<unsigned>(std::min<std::int64_t>(ceil_div(threads, 256), 1 << 30))};
}

driver::Dim3 grid_of(const flame_params::RowPool& params, std::int64_t turns) {
  return {static_cast<unsigned>(ceil_div(warps_of(params.units), 256 / 32 * turns))};
}

void forward_rows(const Device& device, const Pool& p, const Tensor& x, const Tensor& y,
                  const Tensor& where) {
  const DType t = x.dtype();
  const void* places = where.defined() ? where.data() : nullptr;
  const flame_params::RowPool params = row_params(p, t, {x, y});
  const int turns = flame_params::pool_turns(static_cast<int>(size_of(t)), where.defined());
  launch(device,
         {"pool_rows.cu",
          expression("max_pool_forward_rows", static_cast<int>(p.kernel[0]), where.defined(), t)},
         grid_of(params, turns), {256}, 0, x.data(), y.data(), places, params);
}

void backward_rows(const Device& device, const Pool& p, const Tensor& g, const Tensor& where,
                   const Tensor& dx) {
  const DType t = g.dtype();
  const flame_params::RowPool params = row_params(p, t, {g, dx});
  launch(device,
         {"pool_rows.cu", expression("max_pool_backward_rows", static_cast<int>(p.kernel[0]), t)},
         grid_of(params, 1), {256}, 0, g.data(), where.data(), dx.data(), params);
}

// `elements` rounded up to 16 bytes, as kernels/pool_plane.cuh does.
unsigned padded_bytes(std::int64_t elements, DType t) {
  return static_cast<unsigned>(ceil_div(elements * static_cast<std::int64_t>(size_of(t)), 16) * 16);
}

void forward_planes(const Device& device, const Pool& p, const Tensor& x, const Tensor& y,
                    const Tensor& where) {
  const std::int64_t per_block = p.planes_at_once(x.dtype());
  const bool square = p.kernel[0] == p.kernel[1] && (p.kernel[0] == 2 || p.kernel[0] == 3) &&
                      p.dilation == Pair{1, 1};
  const void* places = where.defined() ? where.data() : nullptr;
  launch(device,
         {"pool.cu", expression("max_pool_forward_plane",
                                square ? static_cast<int>(p.kernel[0]) : 0, x.dtype())},
         {static_cast<unsigned>(ceil_div(p.planes(), per_block))}, {256},
         padded_bytes(per_block * p.area(), x.dtype()), x.data(), y.data(), places,
         plane_params(p, per_block, {x, y, where}));
}

void backward_planes(const Device& device, const Pool& p, const Tensor& g, const Tensor& where,
                     const Tensor& dx) {
  const DType t = g.dtype();
  const std::int64_t per_block = p.planes_at_once(t);
  const unsigned shared = padded_bytes(per_block * p.area(), accumulator(t)) +
                          padded_bytes(per_block * p.pixels(), t) +
                          padded_bytes(per_block * p.pixels(), DType::kUInt8);
  launch(device, {"pool.cu", expression("max_pool_backward_plane", t)},
         {static_cast<unsigned>(ceil_div(p.planes(), per_block))}, {256}, shared, g.data(),
         where.data(), dx.data(), plane_params(p, per_block, {g, where, dx}));
}

Tensors forward(OpContext& context, std::span<const Tensor> in, const Attrs& attrs) {
  const Tensor x = as_contiguous(in[0]);
  const Tensor y = context.make_output();
  const Pool p = pool_of(x.shape(), attrs);
  Tensor where;
  if (context.needs_grad(0)) {
    where = context.temporary({p.kept_places(x.dtype())}, p.kept_place(x.dtype()));
    context.save(where);
  }
  if (y.numel() > 0 && p.by_rows(x.dtype())) {
    forward_rows(context.device(), p, x, y, where);
  } else if (y.numel() > 0 && p.planes_at_once(x.dtype()) > 0) {
    forward_planes(context.device(), p, x, y, where);
  } else if (y.numel() > 0) {
    const void* places = where.defined() ? where.data() : nullptr;
    auto run = [&](const auto& params) {
      launch(context.device(), {"pool.cu", expression("max_pool_forward", p.place(), x.dtype())},
             grid_for(y.numel()), {256}, 0, x.data(), y.data(), places, params);
    };
    p.place() == DType::kInt32 ? run(params_of<int>(p)) : run(params_of<long long>(p));
  }
  return y;
}

Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs& attrs) {
  const Tensor g = as_contiguous(grads[0]), where = context.saved(0);
  const Tensor dx = context.make_gradient(0);
  const Pool p = pool_of(dx.shape(), attrs);
  if (dx.numel() > 0 && p.by_rows(dx.dtype())) {
    backward_rows(context.device(), p, g, where, dx);
    return dx;
  }
  if (dx.numel() > 0 && p.planes_at_once(dx.dtype()) > 0) {
    backward_planes(context.device(), p, g, where, dx);
    return dx;
  }
  auto run = [&](const auto& params) {
    launch(context.device(), {"pool.cu", expression("max_pool_backward", p.place(), g.dtype())},
           grid_for(dx.numel()), {256}, 0, g.data(), where.data(), dx.data(), params);
  };
  if (dx.numel() > 0)
    p.place() == DType::kInt32 ? run(params_of<int>(p)) : run(params_of<long long>(p));
  return dx;
}

Cost cost(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Pool p = pool_of(in[0].shape, attrs);
  const auto outputs = static_cast<double>(p.planes() * p.out[0] * p.out[1]);
  return {outputs * static_cast<double>(p.kernel[0] * p.kernel[1]),
          (static_cast<double>(numel(in[0].shape)) + outputs) *
              static_cast<double>(size_of(in[0].dtype))};
}

// Where each maximum was, kept for backward.
std::int64_t workspace(std::span<const TensorDesc> in, const Attrs& attrs) {
  const Pool p = pool_of(in[0].shape, attrs);
  return held_bytes(p.kept_places(in[0].dtype) *
                    static_cast<std::int64_t>(size_of(p.kept_place(in[0].dtype))));
}

std::int64_t no_workspace(std::span<const TensorDesc>, const Attrs&) { return 0; }

}  // namespace

const OpDef& max_pool2d_def() {
  static const OpDef def{
      .name = "max_pool2d",
      .inputs = {{.name = "input"}},
      .attrs = {{"kernel_size"},
                {"stride", AttrValue{}},
                {"padding", AttrValue{IntList{0}}},
                {"dilation", AttrValue{IntList{1}}},
                {"ceil_mode", AttrValue{false}}},
      .infer = infer,
      .forward = forward,
      .backward = backward,
      .cost = cost,
      .kernels = {"max_pool_forward*", "copy*"},
      .backward_kernels = {"max_pool_backward*", "copy*"},
      .workspace = workspace,
      .backward_workspace = no_workspace,
  };
  return def;
}

Tensor max_pool2d(const Tensor& input, const IntList& kernel_size, const IntList& stride,
                  const IntList& padding, const IntList& dilation, bool ceil_mode) {
  return apply_one(max_pool2d_def(), {input},
                   {{"kernel_size", kernel_size},
                    {"stride", stride},
                    {"padding", padding},
                    {"dilation", dilation},
                    {"ceil_mode", ceil_mode}});
}

}  // namespace flame
