// lib/tensor: making, viewing, reading back, changing in place.
#include "lib/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "lib/core/error.h"
#include "lib/ops/ops.h"
#include "lib/tensor/tensor_impl.h"
#include "tests/support/expect_error.h"
#include "tests/support/test_device.h"

namespace flame {
namespace {

using test::device;
using test::expect_error;
using Floats = std::vector<float>;

Tensor counting(const Shape& shape) {
  Floats v(static_cast<std::size_t>(numel(shape)));
  std::iota(v.begin(), v.end(), 0.f);
  return tensor(std::span<const float>(v), shape, device());
}

TEST(TensorTest, HoldsWhatItIsGiven) {
  const Tensor t = tensor({1, 2, 3, 4, 5, 6}, {2, 3}, device());
  EXPECT_EQ(t.shape(), (Shape{2, 3}));
  EXPECT_EQ(t.strides(), (Strides{3, 1}));
  EXPECT_EQ(t.numel(), 6);
  EXPECT_EQ(t.dim(), 2);
  EXPECT_EQ(t.size(-1), 3);
  EXPECT_EQ(t.dtype(), DType::kFloat32);
  EXPECT_TRUE(t.is_contiguous());
  EXPECT_TRUE(t.device() == device());
  EXPECT_EQ(t.to_vector<float>(), (Floats{1, 2, 3, 4, 5, 6}));
}

template <class T>
void expect_round_trip(std::vector<T> values, DType dtype) {
  const Tensor t = tensor(std::span<const T>(values), {std::ssize(values)}, {device(), dtype});
  EXPECT_EQ(t.to_vector<T>(), values) << name(dtype);
  EXPECT_EQ(t.select(0, 1).item(), static_cast<double>(values[1])) << name(dtype);
}

TEST(TensorTest, EveryDTypeComesBack) {
  expect_round_trip<float>({0, -1.5f, 3e38f, 1e-45f}, DType::kFloat32);
  expect_round_trip<double>({0, -1.5, 1e308, 5e-324}, DType::kFloat64);
  expect_round_trip<std::int64_t>({0, -(std::int64_t{1} << 52), INT64_MAX, INT64_MIN},
                                  DType::kInt64);
  expect_round_trip<std::int32_t>({0, -7, INT32_MAX, INT32_MIN}, DType::kInt32);
  expect_round_trip<std::uint8_t>({0, 200, 255}, DType::kUInt8);
  expect_round_trip<std::uint8_t>({0, 1, 1}, DType::kBool);
}

TEST(TensorTest, HalfTypesAreReadAsBitsAndAsValues) {
  const std::vector<std::uint16_t> f16 = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000};
  const Tensor t = from_host(f16.data(), 12, {6}, {device(), DType::kFloat16});
  EXPECT_EQ(t.to_vector<std::uint16_t>(), f16);
  const double want[] = {1, -2, std::ldexp(1, -24), 65504, INFINITY, 0};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(t.select(0, i).item(), want[i]);
  EXPECT_TRUE(std::signbit(t.select(0, 5).item()));
  const std::vector<std::uint16_t> bf16 = {0x3f80, 0xc000, 0x0001, 0x7f7f, 0xff80};
  const Tensor b = from_host(bf16.data(), 10, {5}, {device(), DType::kBFloat16});
  const double wanted[] = {1, -2, std::ldexp(1, -133), 0x1.fep127, -INFINITY};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(b.select(0, i).item(), wanted[i]);
  const std::uint16_t nan = 0x7e00;
  EXPECT_TRUE(std::isnan(from_host(&nan, 2, {}, {device(), DType::kFloat16}).item()));
}

TEST(TensorTest, ReadbackNeedsTheRightType) {
  const Tensor t = counting({2});
  expect_error<DTypeError>([&] { t.to_vector<double>(); }, {"to_vector", "float32"});
  expect_error<DTypeError>([&] { t.to_vector<std::uint16_t>(); }, {"float32"});
  float out[3];
  expect_error<ValueError>([&] { t.copy_to_host(out, 12); }, {"12 bytes", "8", "(2)"});
  expect_error<ShapeError>([&] { t.item(); }, {"item", "2 elements", "(2)"});
  expect_error<ShapeError>([&] { zeros({0}, device()).item(); }, {"item", "0 elements"});
}

TEST(TensorTest, HostDataMustFit) {
  const float v[2] = {1, 2};
  expect_error<ValueError>([&] { from_host(v, 8, {3}, device()); }, {"8 bytes", "(3)", "12"});
  expect_error<ValueError>([&] { from_host(nullptr, 8, {2}, device()); }, {"null"});
  expect_error<DTypeError>(
      [&] {
        tensor(std::span<const float>(v), {2}, {device(), DType::kFloat64});
      },
      {"float64"});
  EXPECT_EQ(from_host(nullptr, 0, {0}, device()).numel(), 0);
}

TEST(TensorTest, UndefinedSaysSo) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_FALSE(none.requires_grad());
  EXPECT_FALSE(none.desc().defined);
  expect_error<DeviceError>([&] { none.shape(); }, {"undefined"});
  expect_error<DeviceError>([&] { none.device(); }, {"undefined"});
  expect_error<DeviceError>([&] { add(none, 1); }, {"add", "input", "undefined"});
  expect_error<DeviceError>([&] { add(counting({2}), none); }, {"add", "other", "undefined"});
  expect_error<AutogradError>([&] { none.backward(); }, {"backward", "undefined"});
}

TEST(TensorTest, ViewsAliasTheirSource) {
  Tensor t = counting({3, 4});
  const Tensor views[] = {
      t.reshape({4, 3}),   t.transpose(0, 1), t.narrow(1, 1, 2),        t.select(0, 2),
      t.expand({2, 3, 4}), t.unsqueeze(0),    t.unsqueeze(1).squeeze(), t.detach(),
      t.permute({1, 0}),   t.contiguous()};
  for (const Tensor& v : views) EXPECT_EQ(v.impl()->storage, t.impl()->storage);
  t.fill_(7);
  for (const Tensor& v : views)
    for (float x : v.to_vector<float>()) EXPECT_EQ(x, 7);
}

TEST(TensorTest, ViewsSelectTheRightElements) {
  const Tensor t = counting({2, 3});
  EXPECT_EQ(t.transpose(0, 1).to_vector<float>(), (Floats{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(t.narrow(1, 1, 2).to_vector<float>(), (Floats{1, 2, 4, 5}));
  EXPECT_EQ(t.select(-1, -1).to_vector<float>(), (Floats{2, 5}));
  EXPECT_EQ(t.select(0, 1).expand({2, 3}).to_vector<float>(), (Floats{3, 4, 5, 3, 4, 5}));
  EXPECT_EQ(t.transpose(0, 1).reshape({6}).to_vector<float>(), (Floats{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(t.narrow(0, 1, 1).storage_offset(), 3);
  EXPECT_EQ(t.expand({4, 2, 3}).strides(), (Strides{0, 3, 1}));
  EXPECT_FALSE(t.transpose(0, 1).is_contiguous());
}

TEST(TensorTest, ReshapeCopiesOnlyWhenItMust) {
  const Tensor t = counting({2, 3});
  EXPECT_EQ(t.reshape({-1, 2}).data(), t.data());
  EXPECT_NE(t.transpose(0, 1).reshape({6}).data(), t.data());
  EXPECT_EQ(t.transpose(0, 1).reshape({3, 1, 2}).data(), t.data());
}

TEST(TensorTest, WritingThroughAViewWritesTheSource) {
  Tensor t = counting({2, 3});
  t.select(1, 1).fill_(9);
  EXPECT_EQ(t.to_vector<float>(), (Floats{0, 9, 2, 3, 9, 5}));
  t.transpose(0, 1).copy_(tensor({1, 2}, {2}, device()));
  EXPECT_EQ(t.to_vector<float>(), (Floats{1, 1, 1, 2, 2, 2}));
  t.narrow(0, 1, 1).add_(tensor({10, 20, 30}, {1, 3}, device()), -1);
  EXPECT_EQ(t.to_vector<float>(), (Floats{1, 1, 1, -8, -18, -28}));
}

TEST(TensorTest, EveryWriteCountsAsAVersion) {
  Tensor t = counting({2, 2});
  const std::int64_t before = t.version();
  t.fill_(1);
  t.select(0, 0).zero_();
  t.detach().add_(t);
  EXPECT_EQ(t.version(), before + 3);
  EXPECT_EQ(t.transpose(0, 1).version(), before + 3);
}

TEST(TensorTest, InPlaceErrorsNameTheCallAndLeaveTheTensor) {
  Tensor t = counting({2, 2});
  const std::int64_t before = t.version();
  expect_error<ShapeError>([&] { t.copy_(counting({3})); }, {"copy_", "(3)", "(2, 2)"});
  expect_error<ShapeError>([&] { t.select(0, 0).copy_(t); }, {"copy_", "(2, 2)", "(2)"});
  expect_error<DeviceError>([&] { t.add_(Tensor()); }, {"add_", "undefined"});
  expect_error<DTypeError>([&] { t.add_(t.to(DType::kInt32)); }, {"add_", "int32"});
  expect_error<ValueError>([&] { t.select(0, 0).expand({2, 2}).fill_(1); }, {"fill_", "stride 0"});
  EXPECT_EQ(t.version(), before);
  EXPECT_EQ(t.to_vector<float>(), (Floats{0, 1, 2, 3}));
}

TEST(TensorTest, OverlappingCopiesReadBeforeTheyWrite) {
  Tensor t = counting({4});
  t.narrow(0, 1, 3).copy_(t.narrow(0, 0, 3).contiguous().add_(zeros({3}, device())));
  EXPECT_EQ(t.to_vector<float>()[0], 0);
  Tensor square = counting({2, 2});
  square.copy_(square.transpose(0, 1));
  EXPECT_EQ(square.to_vector<float>(), (Floats{0, 2, 1, 3}));
}

TEST(TensorTest, ConversionRoundsAndTruncates) {
  const Tensor t = tensor({-1.9f, 0.f, 0.3f, 2.5f}, {4}, device());
  EXPECT_EQ(t.to(DType::kInt32).to_vector<std::int32_t>(),
            (std::vector<std::int32_t>{-1, 0, 0, 2}));
  EXPECT_EQ(t.to(DType::kBool).to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{1, 0, 1, 1}));
  EXPECT_EQ(tensor({65520.f}, {1}, device()).to(DType::kFloat16).item(), INFINITY);
  EXPECT_EQ(tensor({1.00390625f}, {1}, device()).to(DType::kBFloat16).item(), 1.0)
      << "ties to even";
  EXPECT_EQ(t.to(DType::kFloat32).impl(), t.impl()) << "nothing to convert";
}

TEST(TensorTest, CreationOnTheDevice) {
  EXPECT_EQ(zeros({2}, device()).to_vector<float>(), (Floats{0, 0}));
  EXPECT_EQ(ones({2}, {device(), DType::kInt64}).to_vector<std::int64_t>(),
            (std::vector<std::int64_t>{1, 1}));
  EXPECT_EQ(
      full({1}, std::int64_t{INT64_MAX}, {device(), DType::kInt64}).to_vector<std::int64_t>()[0],
      INT64_MAX);
  EXPECT_EQ(arange(0, 5, 2, device()).to_vector<float>(), (Floats{0, 2, 4}));
  EXPECT_EQ(arange(3, 0, -1, {device(), DType::kInt32}).to_vector<std::int32_t>(),
            (std::vector<std::int32_t>{3, 2, 1}));
  EXPECT_TRUE(rand({2}, {device(), DType::kFloat32, true}).requires_grad());
  EXPECT_EQ(empty({0, 3}, device()).data(), nullptr);
}

}  // namespace
}  // namespace flame
