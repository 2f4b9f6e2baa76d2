// The record of one compiled kernel: one JSON line of kernels.jsonl, which `flame kernels warm
// --out` writes. docs/records.md is its schema.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace flame::records {

inline constexpr const char* kKernelSchema = "flame-kernel/1";

struct KernelRecord {
  std::string file;              // of kernels/: "unary.cu"
  std::string kernel;            // "unary_forward<Exp, float>"
  std::string arch;              // "sm_90a"
  std::string compiler;          // "NVRTC 13.0"
  double seconds = -1;           // of compiling; -1: it came from the cache
  std::int64_t registers = 0;    // per thread
  std::int64_t max_threads = 0;  // per block, by its launch bounds; 0: none stated
  std::int64_t static_shared = 0, stack_bytes = 0, spill_bytes = 0, code_bytes = 0;
};

std::string to_line(const KernelRecord& record);
// Throws FileError on anything malformed, of another schema, or that cannot be.
KernelRecord parse_kernel(const std::string& line);

bool has_kernels(const std::string& folder);
// kernels.jsonl of a folder. Throws FileError naming file and line, also where a kernel is there
// twice for one architecture.
std::vector<KernelRecord> read_kernels(const std::string& folder);
// Throws FileError where it cannot be written whole.
void write_kernels(const std::string& folder, const std::vector<KernelRecord>& kernels);

}  // namespace flame::records
