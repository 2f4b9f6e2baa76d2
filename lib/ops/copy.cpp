#include "lib/ops/copy.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "lib/autograd/apply.h"
#include "lib/autograd/op_context.h"
#include "lib/core/error.h"
#include "lib/ops/arguments.h"
#include "lib/ops/iteration.h"
#include "lib/ops/ops.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

using flame_params::Extent;
using flame_params::Strided;

constexpr unsigned kConvertUnroll = 2;  // dev::kConvertUnroll of kernels/copy.cu
constexpr std::int64_t kSide = 16;      // of copy_transposed: a tile is this many vectors squared
constexpr std::int64_t kLeast = 8;      // elements along a dim that are worth a tile

// The unsigned type of a size, as kernels spell it.
std::string_view bits_type(std::size_t bytes) {
  switch (bytes) {
    case 1:
      return "unsigned char";
    case 2:
      return "unsigned short";
    case 4:
      return "unsigned int";
    default:
      return "unsigned long long";
  }
}

// Moves the dim along which `from` is contiguous next to the innermost one, along which `to` is.
// False where there is no such pair, or it is too small to fill tiles.
bool make_transposed(Extent& extent, Strided& to, Strided& from) {
  const int inner = extent.rank - 1;
  if (extent.rank < 2 || to.stride[inner] != 1 || from.stride[inner] <= 1 ||
      extent.size[inner] < kLeast)
    return false;
  const long long* one = std::find(from.stride, from.stride + inner, 1);
  const auto d = one - from.stride;
  if (d == inner || extent.size[d] < kLeast) return false;
  for (long long* values : {extent.size, to.stride, from.stride})
    std::rotate(values + d, values + d + 1, values + inner);
  return true;
}

// Whether both sides of a transposed copy can be read and written in vectors of n elements.
bool allows_across(int n, const Extent& extent, const Strided& to, const Strided& from,
                   std::size_t size) {
  const int inner = extent.rank - 1;
  for (const auto* side : {&to, &from}) {
    if (reinterpret_cast<std::uintptr_t>(side->data) % (size * static_cast<unsigned>(n)) != 0)
      return false;
    const int contiguous = side == &to ? inner : inner - 1;
    for (int d = 0; d <= inner; ++d)
      if (d != contiguous && side->stride[d] % n != 0) return false;
  }
  return extent.size[inner] % n == 0 && extent.size[inner - 1] % n == 0;
}

// Elements of a vector of copy_transposed: the most that there is a kernel for.
int vectors_across(const Extent& extent, const Strided& to, const Strided& from, std::size_t size) {
  const int most = size == 8 ? 2 : size == 2 ? 8 : 4;
  for (const int n : {most, size == 2 ? 4 : most})
    if (allows_across(n, extent, to, from, size)) return n;
  return 1;
}

void launch_copy(const Tensor& to, const Tensor& from, const Loop& loop) {
  const Device& device = to.device();
  if (to.dtype() != from.dtype()) {
    launch(device, {"copy.cu", expression("copy_convert", from.dtype(), to.dtype(), loop.vector)},
           loop.grid(kConvertUnroll), loop.block(), 0, loop.extent, loop[0], loop[1]);
    return;
  }
  const std::string_view bits = bits_type(size_of(to.dtype()));
  Extent extent = loop.extent;
  Strided target = loop[0], source = loop[1];
  if (loop.vector == 1 && make_transposed(extent, target, source)) {
    const std::int64_t rows = extent.size[extent.rank - 2], columns = extent.size[extent.rank - 1];
    const std::int64_t batch = extent.numel / (rows * columns);
    const int vector = vectors_across(extent, target, source, size_of(to.dtype()));
    const std::int64_t tile = vector == 1 ? 2 * kSide : kSide * vector;
    const auto blocks =
        static_cast<unsigned>(batch * ceil_div(rows, tile) * ceil_div(columns, tile));
    launch(device,
           {"copy.cu", vector == 1 ? expression("copy_transposed_any", bits)
                                   : expression("copy_transposed", bits, vector)},
           {blocks}, {static_cast<unsigned>(kSide * kSide)}, 0, extent, target, source);
    return;
  }
  const int times = loop.repeats(1) ? Loop::kRepeats : 1;
  launch(device, {"copy.cu", expression("copy_bits", bits, loop.vector, times)},
         loop.grid(static_cast<unsigned>(times)), loop.block(), 0, loop.extent, loop[0], loop[1]);
}

Tensors backward(BackwardContext& context, std::span<const Tensor> grads, const Attrs&) {
  const DType dtype = context.input(0).dtype;
  const bool as_it_is = context.may_alias(0) && grads[0].dtype() == dtype;
  return {as_it_is ? grads[0] : as_contiguous(grads[0], dtype)};
}

Cost copy_cost(const TensorDesc& from, DType to) {
  const auto n = static_cast<double>(numel(from.shape));
  return {0, n * static_cast<double>(size_of(from.dtype) + size_of(to))};
}

}  // namespace

void copy_into(const Tensor& to, const Tensor& from) {
  check<DeviceError>(to.device() == from.device(), "copy: tensors are on ", to.device(), " and ",
                     from.device());
  check<ShapeError>(broadcasts_to(from.shape(), to.shape()), "copy: shape ", from.shape(),
                    " does not broadcast to ", to.shape());
  for (std::size_t d = 0; d < to.shape().size(); ++d)
    check<ValueError>(to.shape()[d] < 2 || to.strides()[d] != 0, "copy: the target of shape ",
                      to.shape(), " is expanded along dim ", d);
  const Loop loop = make_loop(to.shape(), {to, from});
  if (!loop.empty()) launch_copy(to, from, loop);
}

Tensor as_contiguous(const Tensor& from, DType dtype) {
  if (from.dtype() == dtype && from.is_contiguous()) return from;
  Tensor to = make_tensor(from.device(), from.shape(), dtype, "copy");
  copy_into(to, from);
  return to;
}

const OpDef& contiguous_def() {
  static const OpDef def{
      .name = "contiguous",
      .inputs = {{.name = "input", .dtypes = kAnyDType}},
      .infer = [](std::span<const TensorDesc> in, const Attrs&) { return TensorDescs(in[0]); },
      .forward = [](OpContext&, std::span<const Tensor> in,
                    const Attrs&) { return Tensors(as_contiguous(in[0])); },
      .backward = backward,
      .cost = [](std::span<const TensorDesc> in,
                 const Attrs&) { return copy_cost(in[0], in[0].dtype); },
      .kernels = {"copy_*"},
      .backward_kernels = {},
  };
  return def;
}

const OpDef& to_def() {
  static const OpDef def{
      .name = "to",
      .inputs = {{.name = "input", .dtypes = kAnyDType}},
      .attrs = {{"dtype"}},
      .infer =
          [](std::span<const TensorDesc> in, const Attrs& attrs) {
            return TensorDescs(TensorDesc{dtype_argument("to", attrs), in[0].shape});
          },
      .forward =
          [](OpContext& context, std::span<const Tensor> in, const Attrs&) {
            const DType dtype = context.output().dtype;
            return Tensors(in[0].dtype() == dtype ? in[0] : as_contiguous(in[0], dtype));
          },
      .backward = backward,
      .cost = [](std::span<const TensorDesc> in,
                 const Attrs& attrs) { return copy_cost(in[0], dtype_argument("to", attrs)); },
      .kernels = {"copy_convert<*>"},
      .backward_kernels = {"copy_convert<*>"},
  };
  return def;
}

Tensor contiguous(const Tensor& input) { return apply_one(contiguous_def(), {input}, {}); }

Tensor to(const Tensor& input, DType dtype) {
  return apply_one(to_def(), {input}, {{"dtype", dtype_attr(dtype)}});
}

}  // namespace flame
