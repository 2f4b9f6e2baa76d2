// Source, log and image of a kernel as files, for looking at them: a folder that nvcc can compile.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "lib/jit/compiler.h"

namespace flame::jit {

// Where FLAME_DUMP_KERNELS says, if it says so.
void dump_if_asked(const Request& request, const std::vector<EmbeddedFile>& files,
                   const Compiled& compiled);

// Into `cache`/failed, or the temporary folder where that cannot be written. Gives the path of the
// dumped source, or "nowhere (<why>)".
std::string dump_failure(const Request& request, const std::vector<EmbeddedFile>& files,
                         const Compiled& compiled, const std::filesystem::path& cache);

}  // namespace flame::jit
