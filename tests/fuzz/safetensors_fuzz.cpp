// libFuzzer against the reader of tensor files. What it reads must survive being written and read
// again; what it refuses must be refused by FileError, and by nothing else.
#include <cstdlib>

#include "lib/core/error.h"
#include "lib/io/json.h"
#include "lib/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using flame::io::SafetensorsFile;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const SafetensorsFile file = SafetensorsFile::parse(bytes, "fuzz");
    const auto again = flame::io::to_safetensors(file.tensors(), file.metadata());
    const SafetensorsFile second = SafetensorsFile::parse(again, "again");
    if (second.metadata() != file.metadata()) std::abort();
    if (second.tensors().size() != file.tensors().size()) std::abort();
    for (std::size_t i = 0; i < file.tensors().size(); ++i) {
      const auto &a = file.tensors()[i], &b = second.tensors()[i];
      if (a.name != b.name || a.shape != b.shape || a.dtype != b.dtype) std::abort();
      if (!std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end())) std::abort();
    }
  } catch (const flame::FileError&) {
  }
  return 0;
}
