// The one table of FLAME's environment variables. `flame info` prints it; a test holds it against
// every name that the sources read.
#pragma once
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flame::cli {

struct Variable {
  std::string_view name, default_value, meaning;
};

std::span<const Variable> variables();

// FLAME_* names that are set, with their values, by name.
std::vector<std::pair<std::string, std::string>> set_variables();

// One warning that names every FLAME_* variable that is set and unknown, and one about NVIDIA's own
// switch that changes float32. Nothing when there is nothing to say.
void warn_about_environment(std::ostream& out);

}  // namespace flame::cli
