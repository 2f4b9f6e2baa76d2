#include "conformance/sim/kernels.h"

#include <map>
#include <utility>

#include "lib/core/op_def.h"

namespace flame::sim {
namespace {

using Key = std::pair<std::string, std::string>;
// Filled by static initialisers, so it must not be one itself.
std::map<Key, Kernel, std::less<>>& table() {
  static std::map<Key, Kernel, std::less<>> kernels;
  return kernels;
}

}  // namespace

const Kernel* find_kernel(std::string_view file, std::string_view expression) {
  const auto it = table().find(Key(file, expression));
  return it == table().end() ? nullptr : &it->second;
}

std::vector<const Kernel*> all_kernels() {
  std::vector<const Kernel*> out;
  for (const auto& [key, kernel] : table()) out.push_back(&kernel);
  return out;
}

}  // namespace flame::sim

namespace simcu {

void register_kernel(const char* file, const char* expression, Call call,
                     const std::size_t* arg_sizes, std::size_t arg_count) {
  flame::sim::Kernel k;
  k.file = file;
  k.expression = flame::normalize_expression(expression);
  k.call = call;
  k.arg_sizes.assign(arg_sizes, arg_sizes + arg_count);
  flame::sim::table()[{k.file, k.expression}] = std::move(k);
}

}  // namespace simcu
