// Reading and writing safetensors files. A file is what a stranger sends: nothing in it is believed
// before it was checked, and every lie is a FileError that names the path and the reason.
//
// Format (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON
// header {"name": {"dtype", "shape", "data_offsets": [from, to]}, "__metadata__": {...}}, the data.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/core/dtype.h"
#include "lib/core/shape.h"

namespace flame {
class Device;
class Tensor;
}  // namespace flame

namespace flame::io {

inline constexpr std::uint64_t kMaxHeaderBytes = 100u << 20;

using Metadata = std::vector<std::pair<std::string, std::string>>;

// One tensor of a file, row-major, little-endian. `bytes` lives as long as the file object.
struct TensorEntry {
  std::string name;
  DType dtype = DType::kFloat32;
  Shape shape;
  std::span<const std::byte> bytes;
};

class SafetensorsFile {
 public:
  // Throws FileError: not a regular file, unreadable, truncated, header above kMaxHeaderBytes or
  // not strict JSON, a name given twice, a dtype we do not store, sizes that overflow or disagree
  // with the byte range, ranges that overlap, leave a gap or end before the file does, and bools
  // other than 0 and 1.
  static SafetensorsFile open(const std::filesystem::path& path);
  // The same from memory; `path` is for messages.
  static SafetensorsFile parse(std::span<const std::byte> file, std::string path);
  // Moves only: entries point into the data.
  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  const std::string& path() const { return path_; }
  // In the order of their bytes.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  const Metadata& metadata() const { return metadata_; }
  // nullptr when absent.
  const TensorEntry* find(std::string_view name) const;
  const std::string* find_metadata(std::string_view key) const;
  // Throws FileError when absent.
  const TensorEntry& tensor(std::string_view name) const;

 private:
  SafetensorsFile() = default;
  void read_header(std::string_view header, std::uint64_t data_bytes);
  void take_data(std::vector<std::byte> data);

  std::string path_;
  Metadata metadata_;
  std::vector<TensorEntry> tensors_;
  std::vector<std::byte> data_;
};

// Serialises entries (in this order) with a header padded to 8 bytes. Throws ValueError for a name
// given twice or "__metadata__", and for bytes that are not dtype x shape.
std::vector<std::byte> to_safetensors(std::span<const TensorEntry> tensors,
                                      const Metadata& metadata = {});
// Writes beside the path and renames, so that readers see the old file or the new one, never half.
// Throws FileError.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorEntry> tensors,
                       const Metadata& metadata = {});

// Device tensors from and to a file, by name.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
NamedTensors load_tensors(const std::filesystem::path& path, const Device& device);
void save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                  const Metadata& metadata = {});

}  // namespace flame::io
