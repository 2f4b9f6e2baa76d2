// Between the oracle's host tensors and device memory. Strided layouts are built byte by byte here,
// and readbacks gathered here, so that no kernel of the library helps to judge the library.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "lib/tensor/tensor.h"
#include "reference/host_tensor.h"

namespace flame::conformance {

// How the same logical values lie in memory. Gaps hold 0xFF bytes: NaN, or index -1.
enum class Layout : std::uint8_t {
  kContiguous,
  kTransposed,  // column-major: the strides of a transposed matrix
  kOffset,      // row-major, starting one element into its storage: no 16-byte alignment
  kSliced,      // every second element along the last dim, rows apart, not at the start
  kExpanded,    // stride 0 along the first dim of size > 1: its values repeat
};
inline constexpr Layout kLayouts[] = {Layout::kContiguous, Layout::kTransposed, Layout::kOffset,
                                      Layout::kSliced, Layout::kExpanded};
const char* to_string(Layout layout);  // "contiguous", ...
std::optional<Layout> parse_layout(std::string_view text);

// Whether a tensor of this shape lies differently than row-major in this layout.
bool layout_differs(Layout layout, const Shape& shape);

// The values that `layout` can hold: for kExpanded those at index 0 of its dim, repeated; else the
// same. The oracle must be asked about these.
reference::HostTensor values_in(Layout layout, reference::HostTensor host);

// An undefined host tensor gives an undefined tensor. Copies; the tensor is outside the graph.
Tensor upload(const Device& device, const reference::HostTensor& host,
              Layout layout = Layout::kContiguous);
// Waits for the tensor's stream first, so that what device code reported is thrown here.
reference::HostTensor download(const Tensor& tensor);
std::vector<reference::HostTensor> download(const std::vector<Tensor>& tensors);

// The same without decoding: one byte sequence, row-major.
std::vector<std::byte> packed_bytes(const Tensor& tensor);

// All bytes of the storage that a tensor lies in, gaps included.
std::vector<std::byte> storage_bytes(const Tensor& tensor);
// Overwrites that storage, behind the version counter's back.
void write_storage(const Tensor& tensor, const std::vector<std::byte>& bytes);

}  // namespace flame::conformance
