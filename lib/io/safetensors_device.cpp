// Between files and a device.
#include "lib/core/error.h"
#include "lib/io/safetensors.h"
#include "lib/tensor/tensor.h"

namespace flame::io {

NamedTensors load_tensors(const std::filesystem::path& path, const Device& device) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  NamedTensors out;
  for (const TensorEntry& entry : file.tensors()) {
    out.emplace_back(entry.name, from_host(entry.bytes.data(), entry.bytes.size(), entry.shape,
                                           {device, entry.dtype}));
  }
  return out;
}

void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const Metadata& metadata) {
  std::vector<std::vector<std::byte>> bytes;
  std::vector<TensorEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    check<ValueError>(tensor.defined(), "save_tensors: \"", name, "\" is undefined");
    auto& buffer = bytes.emplace_back(std::size_t(tensor.numel()) * size_of(tensor.dtype()));
    tensor.copy_to_host(buffer.data(), buffer.size());
    entries.push_back({name, tensor.dtype(), tensor.shape(), buffer});
  }
  write_safetensors(path, entries, metadata);
}

}  // namespace flame::io
