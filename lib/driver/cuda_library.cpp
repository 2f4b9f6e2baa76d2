#include "lib/driver/cuda_library.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>

namespace flame::driver {
namespace {

namespace fs = std::filesystem;

void add_folder(std::vector<fs::path>& out, const char* folder) {
  std::error_code error;
  if (!folder || !*folder || !fs::is_directory(folder, error)) return;
  if (std::find(out.begin(), out.end(), folder) == out.end()) out.emplace_back(folder);
}

std::vector<fs::path> named_folders() {
  std::vector<fs::path> out;
  add_folder(out, std::getenv("CUDA_HOME"));
  add_folder(out, std::getenv("CUDA_PATH"));
  return out;
}

std::vector<fs::path> usual_folders() {
  std::vector<fs::path> out;
#ifdef FLAME_CUDA_HOME
  add_folder(out, FLAME_CUDA_HOME);
#endif
  add_folder(out, "/usr/local/cuda");
  return out;
}

void* try_folder(const fs::path& folder, std::string_view name) {
  for (const char* sub : {"lib64", "extras/CUPTI/lib64", "lib"}) {
    const fs::path file = folder / sub / name;
    std::error_code error;
    if (!fs::exists(file, error)) continue;
    if (void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  }
  return nullptr;
}

}  // namespace

std::vector<fs::path> toolkit_folders() {
  std::vector<fs::path> out = named_folders();
  for (const fs::path& folder : usual_folders()) add_folder(out, folder.c_str());
  return out;
}

fs::path toolkit_include() {
  std::vector<fs::path> folders = toolkit_folders();
  folders.emplace_back("/usr");
  std::error_code error;
  for (const fs::path& folder : folders)
    if (fs::exists(folder / "include" / "cuda_fp16.h", error)) return folder / "include";
  return {};
}

SharedLibrary SharedLibrary::open(std::span<const std::string_view> names) {
  SharedLibrary out;
  for (const fs::path& folder : named_folders())
    for (std::string_view name : names)
      if ((out.handle_ = try_folder(folder, name))) return out;
  for (std::string_view name : names) {
    if ((out.handle_ = dlopen(std::string(name).c_str(), RTLD_NOW | RTLD_LOCAL))) return out;
    const char* why = dlerror();
    out.problem_ += (out.problem_.empty() ? "" : "; ") + std::string(why ? why : "unknown error");
  }
  for (const fs::path& folder : usual_folders())
    for (std::string_view name : names)
      if ((out.handle_ = try_folder(folder, name))) return out;
  for (const fs::path& folder : toolkit_folders())
    out.problem_ += "; not in " + (folder / "lib64").string();
  return out;
}

void* SharedLibrary::symbol(const char* name) const {
  return handle_ ? dlsym(handle_, name) : nullptr;
}

}  // namespace flame::driver
