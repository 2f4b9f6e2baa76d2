#include "conformance/witness/kernel_names.h"

#include "lib/core/op_def.h"
#include "lib/jit/embedded.h"
#include "lib/jit/names.h"

namespace flame::conformance {

const char* to_string(EventKind kind) {
  switch (kind) {
    case EventKind::kLaunch:
      return "launch";
    case EventKind::kCopyH2D:
      return "copy_h2d";
    case EventKind::kCopyD2H:
      return "copy_d2h";
    case EventKind::kCopyD2D:
      return "copy_d2d";
    case EventKind::kMemset:
      return "memset";
    case EventKind::kSync:
      return "sync";
  }
  return "unknown";
}

KernelNames::KernelNames() {
  for (const jit::EmbeddedExport& e : jit::embedded_exports())
    exported_.insert(normalize_expression(e.expression));
}

void KernelNames::resolve(Event& event) {
  auto [at, is_new] = seen_.try_emplace(event.kernel);
  if (is_new) {
    const std::string expression = jit::expression_of(event.kernel);
    const bool ours = exported_.contains(expression);
    at->second = {ours ? expression : jit::demangle(event.kernel), ours};
  }
  event.kernel = at->second.kernel;
  event.ours = at->second.ours;
}

}  // namespace flame::conformance
