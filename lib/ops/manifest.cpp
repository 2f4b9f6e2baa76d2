// The ops of ops.inc as a list.
#include <algorithm>
#include <array>
#include <numeric>
#include <string>

#include "lib/core/error.h"
#include "lib/core/op_def.h"

namespace flame {
namespace {

// Levenshtein's edit distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// "; did you mean 'softmax'?", or nothing when no name is near.
std::string suggestion(std::string_view name) {
  const std::size_t limit = std::max<std::size_t>(1, name.size() / 2);
  std::string out;
  std::size_t best = limit + 1;
  for (const OpDef* op : all_ops()) {
    const std::size_t d = distance(name, op->name);
    if (d > limit || d > best) continue;
    if (d < best) out.clear();
    best = d;
    out += str_cat(out.empty() ? "'" : " or '", op->name, "'");
  }
  return out.empty() ? out : "; did you mean " + out + "?";
}

}  // namespace

std::span<const OpDef* const> all_ops() {
  static const std::array ops = {
#define FLAME_OP(id, signature) &id##_def(),
#include "lib/core/ops.inc"
#undef FLAME_OP
  };
  return ops;
}

const OpDef& find_op(std::string_view name) {
  for (const OpDef* op : all_ops())
    if (op->name == name) return *op;
  throw UnknownOpError(str_cat("op '", name, "' does not exist", suggestion(name)));
}

}  // namespace flame
