#include <vector>

#include "lib/core/error.h"
#include "reference/contract.h"

namespace flame::reference {

std::span<const Contract* const> all_contracts() {
  static const std::vector<const Contract*> contracts = {
#define FLAME_OP(id, signature) &id##_contract(),
#include "lib/core/ops.inc"
#undef FLAME_OP
  };
  return contracts;
}

const Contract& find_contract(std::string_view op) {
  for (const Contract* c : all_contracts())
    if (c->op == op) return *c;
  throw UnknownOpError(str_cat("find_contract: no op is named \"", op, "\""));
}

}  // namespace flame::reference
