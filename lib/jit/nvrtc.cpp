#include "lib/jit/nvrtc.h"

#include <array>

#include "lib/core/error.h"

namespace flame::jit {

std::shared_ptr<const Nvrtc> Nvrtc::open() {
  static constexpr std::array<std::string_view, 3> kNames{"libnvrtc.so.13", "libnvrtc.so.12",
                                                          "libnvrtc.so"};
  std::shared_ptr<Nvrtc> out(new Nvrtc);
  out->library_ = driver::SharedLibrary::open(kNames);
  check<JitError>(bool(out->library_),
                  "jit: NVRTC, which compiles FLAME's kernels, was not found; install the CUDA "
                  "toolkit or set CUDA_HOME (",
                  out->library_.problem(), ")");
  out->resolve();
  return out;
}

void Nvrtc::resolve() {
#define FLAME_RESOLVE(f)                                        \
  f##_ = reinterpret_cast<decltype(f##_)>(library_.symbol(#f)); \
  check<JitError>(f##_ != nullptr, "jit: this NVRTC has no " #f ": it is too old for FLAME");
  FLAME_NVRTC_CALLS(FLAME_RESOLVE)
#undef FLAME_RESOLVE
  int major = 0, minor = 0;
  nvrtcVersion_(&major, &minor);
  version_ = major * 1000 + minor * 10;
}

Nvrtc::Result Nvrtc::compile(const std::string& name, const std::string& source,
                             const std::vector<std::pair<std::string, std::string>>& headers,
                             const std::vector<std::string>& expressions,
                             const std::vector<std::string>& options) const {
  std::vector<const char*> texts, names, flags;
  for (const auto& [header, text] : headers) {
    names.push_back(header.c_str());
    texts.push_back(text.c_str());
  }
  for (const std::string& option : options) flags.push_back(option.c_str());

  Result out;
  auto works = [&](nvrtcResult code, const char* call) {
    if (code == NVRTC_SUCCESS) return true;
    if (out.problem.empty()) out.problem = str_cat(call, ": ", nvrtcGetErrorString_(code));
    return false;
  };
  nvrtcProgram raw = nullptr;
  if (!works(nvrtcCreateProgram_(&raw, source.c_str(), name.c_str(), int(headers.size()),
                                 texts.data(), names.data()),
             "nvrtcCreateProgram"))
    return out;
  auto destroy = [this](nvrtcProgram program) { nvrtcDestroyProgram_(&program); };
  const std::unique_ptr<std::remove_pointer_t<nvrtcProgram>, decltype(destroy)> owner(raw, destroy);

  for (const std::string& expression : expressions)
    if (!works(nvrtcAddNameExpression_(raw, expression.c_str()), "nvrtcAddNameExpression"))
      return out;
  const bool compiled =
      works(nvrtcCompileProgram_(raw, int(flags.size()), flags.data()), "nvrtcCompileProgram");
  std::size_t size = 0;
  if (nvrtcGetProgramLogSize_(raw, &size) == NVRTC_SUCCESS && size > 1) {
    out.log.resize(size);
    nvrtcGetProgramLog_(raw, out.log.data());
    out.log.resize(size - 1);  // the terminating zero
  }
  if (!compiled) return out;

  if (!works(nvrtcGetCUBINSize_(raw, &size), "nvrtcGetCUBINSize")) return out;
  out.image.resize(size);
  if (!works(nvrtcGetCUBIN_(raw, reinterpret_cast<char*>(out.image.data())), "nvrtcGetCUBIN"))
    return out;
  for (const std::string& expression : expressions) {
    const char* lowered = nullptr;
    if (!works(nvrtcGetLoweredName_(raw, expression.c_str(), &lowered), "nvrtcGetLoweredName"))
      return out;
    out.lowered.emplace_back(lowered);
  }
  out.ok = true;
  return out;
}

}  // namespace flame::jit
