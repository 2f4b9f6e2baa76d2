#include "conformance/runner/device_io.h"

#include <cstring>

#include "lib/core/error.h"
#include "lib/tensor/runtime.h"
#include "lib/tensor/tensor_impl.h"

namespace flame::conformance {

using reference::HostTensor;

namespace {

struct Geometry {
  Strides strides;
  std::int64_t offset = 0;
  std::int64_t extent = 0;  // elements of storage
};

int first_long_dim(const Shape& shape) {
  for (std::size_t d = 0; d < shape.size(); ++d)
    if (shape[d] > 1) return int(d);
  return -1;
}

Geometry geometry(Layout layout, const Shape& shape) {
  Geometry g{contiguous_strides(shape), 0, 0};
  const std::size_t rank = shape.size();
  if (layout == Layout::kTransposed) {
    std::int64_t step = 1;
    for (std::size_t d = 0; d < rank; ++d) {
      g.strides[d] = step;
      step *= std::max<std::int64_t>(shape[d], 1);
    }
  } else if (layout == Layout::kOffset) {
    g.offset = 1;
  } else if (layout == Layout::kSliced) {
    g.offset = 3;
    std::int64_t step = 2;
    for (std::size_t d = rank; d-- > 0;) {
      g.strides[d] = step;
      step = step * std::max<std::int64_t>(shape[d], 1) + 1;
    }
  } else if (layout == Layout::kExpanded) {
    const int repeated = first_long_dim(shape);
    Shape stored = shape;
    if (repeated >= 0) stored[std::size_t(repeated)] = 1;
    g.strides = contiguous_strides(stored);
    if (repeated >= 0) g.strides[std::size_t(repeated)] = 0;
  }
  std::int64_t last = g.offset;
  for (std::size_t d = 0; d < rank; ++d)
    last += std::max<std::int64_t>(shape[d] - 1, 0) * g.strides[d];
  // One element behind the last as well, so that an overrun of one reads a NaN.
  g.extent = flame::numel(shape) == 0 ? 0 : last + (layout == Layout::kContiguous ? 1 : 2);
  return g;
}

// Calls f(flat row-major index, element offset in storage) for every element.
template <class F>
void for_each_element(const Shape& shape, const Strides& strides, std::int64_t offset, F&& f) {
  const std::int64_t n = flame::numel(shape);
  std::vector<std::int64_t> at(shape.size(), 0);
  std::int64_t where = offset;
  for (std::int64_t i = 0; i < n; ++i) {
    f(i, where);
    for (std::size_t d = shape.size(); d-- > 0;) {
      where += strides[d];
      if (++at[d] < shape[d]) break;
      where -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
}

}  // namespace

const char* to_string(Layout layout) {
  switch (layout) {
    case Layout::kContiguous:
      return "contiguous";
    case Layout::kTransposed:
      return "transposed";
    case Layout::kOffset:
      return "offset";
    case Layout::kSliced:
      return "sliced";
    case Layout::kExpanded:
      return "expanded";
  }
  return "?";
}

std::optional<Layout> parse_layout(std::string_view text) {
  for (Layout layout : kLayouts)
    if (text == to_string(layout)) return layout;
  return std::nullopt;
}

bool layout_differs(Layout layout, const Shape& shape) {
  if (flame::numel(shape) == 0 || layout == Layout::kContiguous) return false;
  if (layout == Layout::kOffset) return true;
  if (layout == Layout::kSliced || layout == Layout::kExpanded) return first_long_dim(shape) >= 0;
  int long_dims = 0;
  for (std::int64_t size : shape) long_dims += size > 1;
  return long_dims >= 2;
}

HostTensor values_in(Layout layout, HostTensor host) {
  if (layout != Layout::kExpanded || !host.defined || !layout_differs(layout, host.shape))
    return host;
  const std::vector<double> all = host.values;
  const auto repeated = std::size_t(first_long_dim(host.shape));
  const Strides strides = contiguous_strides(host.shape);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::int64_t along = std::int64_t(i) / strides[repeated] % host.shape[repeated];
    host.values[i] = all[i - std::size_t(along * strides[repeated])];
  }
  return host;
}

Tensor upload(const Device& device, const HostTensor& host, Layout layout) {
  if (!host.defined) return {};
  const std::vector<std::byte> packed = encode(host);
  if (!layout_differs(layout, host.shape))
    return from_host(packed.data(), packed.size(), host.shape, {device, host.dtype});
  const Geometry g = geometry(layout, host.shape);
  const std::size_t size = size_of(host.dtype);
  std::vector<std::byte> bytes(std::size_t(g.extent) * size, std::byte{0xFF});
  for_each_element(host.shape, g.strides, g.offset, [&](std::int64_t i, std::int64_t at) {
    std::memcpy(bytes.data() + std::size_t(at) * size, packed.data() + std::size_t(i) * size, size);
  });
  const Tensor storage = from_host(bytes.data(), bytes.size(), {g.extent}, {device, host.dtype});
  return make_view(storage, host.shape, g.strides, g.offset);
}

std::vector<std::byte> packed_bytes(const Tensor& tensor) {
  tensor.device().synchronize();
  const std::size_t size = size_of(tensor.dtype());
  std::vector<std::byte> packed(std::size_t(tensor.numel()) * size);
  if (packed.empty()) return packed;
  // Only the span that the view covers: what lies beside it need never have been written.
  std::int64_t last = 0;
  for (std::size_t d = 0; d < tensor.shape().size(); ++d)
    last += (tensor.shape()[d] - 1) * tensor.strides()[d];
  const auto& storage = *tensor.impl()->storage;
  const std::size_t first_byte = std::size_t(tensor.storage_offset()) * size;
  std::vector<std::byte> bytes(std::size_t(last + 1) * size);
  check<Error>(first_byte + bytes.size() <= storage.bytes,
               "download: a tensor reaches beyond its storage");
  tensor.device().runtime().driver().copy_to_host(bytes.data(),
                                                  static_cast<char*>(storage.data) + first_byte,
                                                  bytes.size(), tensor.device().stream());
  for_each_element(tensor.shape(), tensor.strides(), 0, [&](std::int64_t i, std::int64_t at) {
    std::memcpy(packed.data() + std::size_t(i) * size, bytes.data() + std::size_t(at) * size, size);
  });
  return packed;
}

HostTensor download(const Tensor& tensor) {
  if (!tensor.defined()) return {.shape = {}, .values = {}, .defined = false};
  return reference::decode(tensor.dtype(), tensor.shape(), packed_bytes(tensor));
}

std::vector<HostTensor> download(const std::vector<Tensor>& tensors) {
  std::vector<HostTensor> out;
  out.reserve(tensors.size());
  for (const Tensor& t : tensors) out.push_back(download(t));
  return out;
}

std::vector<std::byte> storage_bytes(const Tensor& tensor) {
  const auto& storage = *tensor.impl()->storage;
  std::vector<std::byte> bytes(storage.bytes);
  if (!bytes.empty())
    tensor.device().runtime().driver().copy_to_host(bytes.data(), storage.data, bytes.size(),
                                                    tensor.device().stream());
  return bytes;
}

void write_storage(const Tensor& tensor, const std::vector<std::byte>& bytes) {
  const auto& storage = *tensor.impl()->storage;
  check<ValueError>(bytes.size() == storage.bytes, "write_storage: ", bytes.size(),
                    " bytes for a storage of ", storage.bytes);
  if (bytes.empty()) return;
  auto& driver = tensor.device().runtime().driver();
  driver.copy_to_device(storage.data, bytes.data(), bytes.size(), tensor.device().stream());
  driver.synchronize(tensor.device().stream());  // `bytes` is pageable and about to go
}

}  // namespace flame::conformance
