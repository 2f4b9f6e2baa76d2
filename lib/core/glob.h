// Patterns for names: of ops, cases, kernels, peers.
#pragma once
#include <string_view>

namespace flame {

// Shell-style match with '*', '?' and choices, one within another excepted: "@(sum|mean)*".
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace flame
