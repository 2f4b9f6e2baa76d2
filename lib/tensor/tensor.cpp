#include "lib/tensor/tensor.h"

#include <cmath>
#include <cstring>

#include "lib/core/error.h"
#include "lib/ops/copy.h"
#include "lib/ops/ops.h"
#include "lib/tensor/runtime.h"
#include "lib/tensor/tensor_impl.h"

namespace flame {
namespace {

const TensorImpl& require(const std::shared_ptr<TensorImpl>& impl) {
  check<DeviceError>(impl != nullptr, "tensor: it is undefined (an optional argument left out?)");
  return *impl;
}

// The value of a half type from its bits: sign, exponent of `exponent_bits`, the rest significand.
double decode_half(std::uint16_t bits, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits;
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const int bias = (1 << (exponent_bits - 1)) - 1;
  double v;
  if (exponent == (1 << exponent_bits) - 1)
    v = fraction ? NAN : INFINITY;
  else if (exponent == 0)
    v = std::ldexp(fraction, 1 - bias - fraction_bits);
  else
    v = std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
  return bits & 0x8000 ? -v : v;
}

template <class T>
double read_as(const unsigned char* bytes) {
  T v;
  std::memcpy(&v, bytes, sizeof v);
  return static_cast<double>(v);
}

template <class T>
bool holds(DType t) {
  if constexpr (std::is_same_v<T, float>) return t == DType::kFloat32;
  if constexpr (std::is_same_v<T, double>) return t == DType::kFloat64;
  if constexpr (std::is_same_v<T, std::int64_t>) return t == DType::kInt64;
  if constexpr (std::is_same_v<T, std::int32_t>) return t == DType::kInt32;
  if constexpr (std::is_same_v<T, std::uint8_t>) return t == DType::kUInt8 || t == DType::kBool;
  if constexpr (std::is_same_v<T, std::uint16_t>) return is_half(t);
}

}  // namespace

Storage::Storage(const Device& dev, std::size_t n, std::string_view label)
    : device(dev), bytes(n), data(dev.runtime().allocator().allocate(n, dev.stream(), label)) {}

Storage::~Storage() { device.runtime().allocator().deallocate(data, bytes, device.stream()); }

Tensor make_tensor(const Device& device, const Shape& shape, DType dtype, std::string_view label) {
  auto impl = std::make_shared<TensorImpl>();
  impl->numel = numel(shape, size_of(dtype));
  impl->storage = std::make_shared<Storage>(
      device, static_cast<std::size_t>(impl->numel) * size_of(dtype), label);
  impl->shape = shape;
  impl->strides = contiguous_strides(shape);
  impl->dtype = dtype;
  return Tensor(std::move(impl));
}

Tensor make_view(const Tensor& of, const Shape& shape, const Strides& strides,
                 std::int64_t offset) {
  const TensorImpl& from = require(of.impl());
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = from.storage;
  impl->shape = shape;
  impl->strides = strides;
  impl->offset = offset;
  impl->numel = numel(shape);
  impl->dtype = from.dtype;
  impl->contiguous = is_contiguous(shape, strides);
  return Tensor(std::move(impl));
}

const Shape& Tensor::shape() const { return require(impl_).shape; }
const Strides& Tensor::strides() const { return require(impl_).strides; }
std::int64_t Tensor::dim() const { return static_cast<std::int64_t>(shape().size()); }
std::int64_t Tensor::numel() const { return require(impl_).numel; }
std::int64_t Tensor::storage_offset() const { return require(impl_).offset; }
DType Tensor::dtype() const { return require(impl_).dtype; }
const Device& Tensor::device() const { return require(impl_).storage->device; }
bool Tensor::is_contiguous() const { return require(impl_).contiguous; }
std::int64_t Tensor::version() const { return require(impl_).storage->version; }

std::int64_t Tensor::size(std::int64_t dim) const {
  check<IndexError>(!shape().empty(), "size: a scalar has no dims");
  return shape()[static_cast<std::size_t>(normalize_dim("size", dim, shape().size()))];
}

TensorDesc Tensor::desc() const {
  if (!impl_) return {DType::kFloat32, {}, false};
  return {impl_->dtype, impl_->shape};
}

void* Tensor::data() const {
  const TensorImpl& t = require(impl_);
  if (t.numel == 0) return nullptr;
  return static_cast<char*>(t.storage->data) +
         static_cast<std::size_t>(t.offset) * size_of(t.dtype);
}

void Tensor::copy_to_host(void* to, std::size_t bytes) const {
  const std::size_t have = static_cast<std::size_t>(numel()) * size_of(dtype());
  check<ValueError>(bytes == have, "copy_to_host: ", bytes, " bytes given for a tensor of ", have,
                    " (shape ", shape(), ", ", name(dtype()), ")");
  const Tensor source = detach().contiguous();
  Runtime& runtime = device().runtime();
  if (bytes > 0) runtime.driver().copy_to_host(to, source.data(), bytes, device().stream());
  runtime.check_faults();
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  check<DTypeError>(holds<T>(dtype()), "to_vector: the tensor is ", name(dtype()),
                    ", which the element type asked for does not hold");
  std::vector<T> out(static_cast<std::size_t>(numel()));
  copy_to_host(out.data(), out.size() * sizeof(T));
  return out;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<std::int64_t> Tensor::to_vector() const;
template std::vector<std::int32_t> Tensor::to_vector() const;
template std::vector<std::uint8_t> Tensor::to_vector() const;
template std::vector<std::uint16_t> Tensor::to_vector() const;

double Tensor::item() const {
  check<ShapeError>(numel() == 1, "item: the tensor has ", numel(), " elements, shape ", shape(),
                    "; one is needed");
  unsigned char bytes[8];
  copy_to_host(bytes, size_of(dtype()));
  switch (dtype()) {
    case DType::kFloat32:
      return read_as<float>(bytes);
    case DType::kFloat64:
      return read_as<double>(bytes);
    case DType::kInt64:
      return read_as<std::int64_t>(bytes);
    case DType::kInt32:
      return read_as<std::int32_t>(bytes);
    case DType::kFloat16:
    case DType::kBFloat16: {
      std::uint16_t bits;
      std::memcpy(&bits, bytes, sizeof bits);
      return decode_half(bits, dtype() == DType::kFloat16 ? 5 : 8);
    }
    default:
      return bytes[0];
  }
}

Tensor empty(const Shape& size, const TensorOptions& options) {
  Tensor t = make_tensor(options.device, size, options.dtype);
  if (options.requires_grad) t.set_requires_grad();
  return t;
}

Tensor zeros(const Shape& size, const TensorOptions& options) { return full(size, 0, options); }
Tensor ones(const Shape& size, const TensorOptions& options) { return full(size, 1, options); }

Tensor from_host(const void* data, std::size_t bytes, const Shape& size,
                 const TensorOptions& options) {
  const auto want =
      static_cast<std::size_t>(numel(size, size_of(options.dtype))) * size_of(options.dtype);
  check<ValueError>(bytes == want, "from_host: ", bytes, " bytes given, shape ", size, " of ",
                    name(options.dtype), " takes ", want);
  check<ValueError>(data != nullptr || bytes == 0, "from_host: the data pointer is null");
  Tensor t = empty(size, options);
  if (bytes > 0)
    options.device.runtime().driver().copy_to_device(t.data(), data, bytes,
                                                     options.device.stream());
  return t;
}

template <class T>
Tensor tensor(std::span<const T> values, const Shape& size, const TensorOptions& options) {
  check<DTypeError>(holds<T>(options.dtype), "tensor: the values given are not of dtype ",
                    name(options.dtype));
  return from_host(values.data(), values.size_bytes(), size, options);
}
template Tensor tensor(std::span<const float>, const Shape&, const TensorOptions&);
template Tensor tensor(std::span<const double>, const Shape&, const TensorOptions&);
template Tensor tensor(std::span<const std::int64_t>, const Shape&, const TensorOptions&);
template Tensor tensor(std::span<const std::int32_t>, const Shape&, const TensorOptions&);
template Tensor tensor(std::span<const std::uint8_t>, const Shape&, const TensorOptions&);

Tensor tensor(std::initializer_list<float> values, const Shape& size, const Device& device) {
  return tensor(std::span<const float>(values.begin(), values.size()), size, device);
}

Tensor Tensor::reshape(const IntList& s) const { return flame::reshape(*this, s); }
Tensor Tensor::transpose(std::int64_t a, std::int64_t b) const {
  return flame::transpose(*this, a, b);
}
Tensor Tensor::permute(const IntList& dims) const { return flame::permute(*this, dims); }
Tensor Tensor::expand(const IntList& size) const { return flame::expand(*this, size); }
Tensor Tensor::narrow(std::int64_t dim, std::int64_t start, std::int64_t length) const {
  return flame::narrow(*this, dim, start, length);
}
Tensor Tensor::select(std::int64_t dim, std::int64_t index) const {
  return flame::select(*this, dim, index);
}
Tensor Tensor::squeeze(const IntList& dim) const { return flame::squeeze(*this, dim); }
Tensor Tensor::unsqueeze(std::int64_t dim) const { return flame::unsqueeze(*this, dim); }
Tensor Tensor::contiguous() const { return flame::contiguous(*this); }
Tensor Tensor::to(DType dtype) const { return flame::to(*this, dtype); }

}  // namespace flame
