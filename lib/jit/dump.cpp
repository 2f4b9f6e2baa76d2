#include "lib/jit/dump.h"

#include <cctype>
#include <cstdlib>
#include <fstream>

#include "lib/core/error.h"

namespace flame::jit {
namespace {

namespace fs = std::filesystem;

// "unary.cu-unary_forward_Exp_float-sm_90a-1a2b3c4d": readable, and unique by its last part.
std::string folder_name(const Request& request, const std::vector<EmbeddedFile>& files) {
  const std::string& first = request.expressions.front();
  std::string readable;
  for (unsigned char c : first.substr(0, 80)) {
    const bool keep = std::isalnum(c) || c == '_';
    if (keep || (!readable.empty() && readable.back() != '_')) readable += keep ? char(c) : '_';
  }
  std::vector<std::string_view> parts(request.expressions.begin(), request.expressions.end());
  for (const EmbeddedFile& file : files) parts.push_back(file.text);
  return str_cat(request.file, "-", readable, "-", request.arch, "-",
                 content_key(parts).substr(0, 8));
}

bool write(const fs::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary);
  return bool(out.write(text.data(), std::streamsize(text.size())).flush());
}

// The path of the main source, or empty when something could not be written.
fs::path dump(const fs::path& parent, const Request& request,
              const std::vector<EmbeddedFile>& files, const Compiled& compiled) {
  const fs::path folder = parent / folder_name(request, files);
  std::error_code error;
  fs::create_directories(folder, error);
  bool ok = !error;
  for (const EmbeddedFile& file : files) ok = ok && write(folder / file.name, file.text);
  std::string log = str_cat("file: ", compiled.file, "\noptions: ", compiled.options, "\n");
  for (const std::string& expression : request.expressions)
    log += str_cat("kernel: ", expression, "\n");
  ok = ok && write(folder / "log.txt", log + "\n" + compiled.log + "\n");
  if (!compiled.image.empty())
    ok = ok && write(folder / "kernel.cubin",
                     {reinterpret_cast<const char*>(compiled.image.data()), compiled.image.size()});
  return ok ? folder / files[0].name : fs::path();
}

}  // namespace

void dump_if_asked(const Request& request, const std::vector<EmbeddedFile>& files,
                   const Compiled& compiled) {
  const char* folder = std::getenv("FLAME_DUMP_KERNELS");
  if (!folder || !*folder) return;
  check<JitError>(!dump(folder, request, files, compiled).empty(),
                  "jit: FLAME_DUMP_KERNELS: the folder ", folder, " cannot be written");
}

std::string dump_failure(const Request& request, const std::vector<EmbeddedFile>& files,
                         const Compiled& compiled, const fs::path& cache) {
  const char* asked = std::getenv("FLAME_DUMP_KERNELS");
  std::error_code error;
  std::vector<fs::path> parents;
  if (asked && *asked) parents.emplace_back(asked);
  parents.push_back(cache / "failed");
  if (const fs::path temporary = fs::temp_directory_path(error); !error)
    parents.push_back(temporary / "flame-failed");
  for (const fs::path& parent : parents)
    if (const fs::path path = dump(parent, request, files, compiled); !path.empty())
      return path.string();
  return "nowhere (no folder could be written)";
}

}  // namespace flame::jit
