// What this machine offers FLAME, found without needing any of it.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace flame::cli {

struct Library {
  bool found = false;
  int version = 0;      // as the library counts: 13000 for 13.0; 0 when it does not say
  std::string problem;  // what was tried
};

Library find_driver();  // libcuda
Library find_nvrtc();
Library find_cublaslt();
Library find_cupti();

// "13.0" of 13000, "unknown" of 0.
std::string cuda_version(int version);
// "13.1.0" of cuBLASLt's and "12.9" style numbers as the library counts them.
std::string cublaslt_version(int version);

// "" when files can be made in `folder` (which is created), else why not.
std::string why_not_writable(const std::filesystem::path& folder);

}  // namespace flame::cli
