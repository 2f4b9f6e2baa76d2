// The text of kernels/ and its exported entries, carried inside the library (generated source).
#pragma once
#include <iterator>
#include <span>
#include <string_view>

namespace flame::jit {

struct EmbeddedFile {
  std::string_view name;  // "unary.cu"
  std::string_view text;
};
struct EmbeddedExport {
  std::string_view file;
  std::string_view expression;  // "unary_forward<Exp, float>"
};

std::span<const EmbeddedFile> embedded_files();
std::span<const EmbeddedExport> embedded_exports();

}  // namespace flame::jit
