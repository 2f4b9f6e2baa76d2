#include "lib/jit/compiler.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "lib/core/error.h"
#include "lib/driver/cuda_library.h"
#include "lib/jit/dump.h"
#include "lib/jit/nvrtc.h"

namespace flame::jit {
namespace {

const EmbeddedFile* find_file(std::string_view name, std::span<const EmbeddedFile> sources) {
  auto at = std::find_if(sources.begin(), sources.end(),
                         [&](const EmbeddedFile& f) { return f.name == name; });
  return at == sources.end() ? nullptr : &*at;
}

// The name in `#include "name"`, or empty.
std::string_view quoted_include(std::string_view line) {
  auto skip_blanks = [&] {
    while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
  };
  skip_blanks();
  if (!line.starts_with('#')) return {};
  line.remove_prefix(1);
  skip_blanks();
  if (!line.starts_with("include")) return {};
  line.remove_prefix(7);
  skip_blanks();
  if (!line.starts_with('"')) return {};
  line.remove_prefix(1);
  return line.substr(0, line.find('"'));
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

std::string describe(const Request& request) {
  if (request.expressions.size() == 1) return str_cat(request.file, ": ", request.expressions[0]);
  return str_cat(request.file, " (", request.expressions.size(), " kernels)");
}

}  // namespace

std::vector<std::string> default_options(std::string_view arch) {
  return {"-std=c++20",  "-default-device",   str_cat("--gpu-architecture=", arch), "-lineinfo",
          "--fmad=true", "--ptxas-options=-v"};  // the log is where spills are told
}

int nvrtc_version() {
  try {
    return Nvrtc::open()->version();
  } catch (const JitError&) {
    return 0;
  }
}

std::vector<EmbeddedFile> include_closure(std::string_view file,
                                          std::span<const EmbeddedFile> sources) {
  const EmbeddedFile* main = find_file(file, sources);
  check<JitError>(main != nullptr, "jit: there is no kernel file ", file);
  std::vector<EmbeddedFile> out{*main};
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::string_view text = out[i].text;
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::string_view name = quoted_include(text.substr(0, end));
      text.remove_prefix(end == text.npos ? text.size() : end + 1);
      const EmbeddedFile* found = name.empty() ? nullptr : find_file(name, sources);
      if (found && !find_file(name, out)) out.push_back(*found);
    }
  }
  return out;
}

Compiler::Compiler(std::shared_ptr<DiskCache> cache, std::span<const EmbeddedFile> sources)
    : cache_(std::move(cache)), sources_(sources) {}
Compiler::~Compiler() = default;

const Nvrtc& Compiler::nvrtc() {
  const std::lock_guard lock(mutex_);
  if (!nvrtc_) nvrtc_ = Nvrtc::open();
  return *nvrtc_;
}

Compiled Compiler::compile(const Request& request) {
  check<JitError>(!request.expressions.empty(), "jit: ", request.file, ": no kernel was asked for");
  const std::vector<EmbeddedFile> files = include_closure(request.file, sources_);
  std::vector<std::string> options = default_options(request.arch);
  options.insert(options.end(), request.options.begin(), request.options.end());
  const std::filesystem::path include = driver::toolkit_include();
  if (!include.empty()) options.push_back("-I" + include.string());

  const std::string version = std::to_string(nvrtc().version());
  std::vector<std::string_view> parts{version, request.arch};
  for (const EmbeddedFile& file : files) parts.insert(parts.end(), {file.name, file.text});
  parts.push_back("options");  // so that no list can run into the next
  parts.insert(parts.end(), options.begin(), options.end());
  parts.push_back("expressions");
  parts.insert(parts.end(), request.expressions.begin(), request.expressions.end());
  const std::string key = content_key(parts);

  std::optional<Compiled> compiled = cache_->load(key);
  if (!compiled) {
    compiled = build(request, files, options);
    cache_->store(key, *compiled);
    say_if_slow(*compiled);
  }
  dump_if_asked(request, files, *compiled);
  return std::move(*compiled);
}

Compiled Compiler::build(const Request& request, const std::vector<EmbeddedFile>& files,
                         const std::vector<std::string>& options) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (std::size_t i = 1; i < files.size(); ++i) headers.emplace_back(files[i].name, files[i].text);
  const auto start = std::chrono::steady_clock::now();
  Nvrtc::Result result = nvrtc().compile(request.file, std::string(files[0].text), headers,
                                         request.expressions, options);
  Compiled out;
  out.file = request.file;
  out.arch = request.arch;
  out.options = joined(options, " ");
  out.log = std::move(result.log);
  out.image = std::move(result.image);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!result.ok) {
    const std::string dump = dump_failure(request, files, out, cache_->folder());
    throw JitError(str_cat("jit: ", describe(request), ": did not compile for ", request.arch, ": ",
                           result.problem, "; options ", out.options, "; source dumped to ", dump,
                           "; log:\n", out.log));
  }
  for (std::size_t i = 0; i < request.expressions.size(); ++i) {
    verify_image(out.image, request.arch, result.lowered[i], request.expressions[i]);
    out.entries.push_back({request.expressions[i], result.lowered[i],
                           read_resources(out.image, result.lowered[i], out.log)});
  }
  return out;
}

driver::Image Compiler::compile(const driver::KernelId& kernel, std::string_view arch) {
  Compiled compiled = compile({kernel.file, {kernel.expression}, std::string(arch)});
  return {std::move(compiled.image), std::move(compiled.entries[0].lowered)};
}

void Compiler::say_if_slow(const Compiled& compiled) {
  if (compiled.seconds < 1 || said_slow_.exchange(true)) return;
  std::fprintf(stderr, "flame: compiling %s took %.1f s; it is kept in %s for the next time\n",
               compiled.file.c_str(), compiled.seconds, cache_->folder().c_str());
}

}  // namespace flame::jit
