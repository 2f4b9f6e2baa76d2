// Whose kernel is it?
#pragma once
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "conformance/witness/witness.h"

namespace flame::conformance {

// The kernels that FLAME exports, to recognise a launch by its name in machine code.
class KernelNames {
 public:
  KernelNames();
  // event.kernel is a name as the device knows it, mangled or not: puts the expression or the
  // demangled name there, and says whose it is.
  void resolve(Event& event);

 private:
  struct Known {
    std::string kernel;
    bool ours;
  };
  std::unordered_set<std::string> exported_;     // normalized expressions
  std::unordered_map<std::string, Known> seen_;  // by raw name; demangling is slow
};

}  // namespace flame::conformance
