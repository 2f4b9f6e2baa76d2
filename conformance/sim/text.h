// Spelling of numbers and places in reports.
#pragma once
#include <vector_types.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

#include "lib/core/error.h"

namespace flame::sim {

inline std::string hex(std::uintptr_t v) {
  std::array<char, 24> text;
  std::snprintf(text.data(), text.size(), "0x%zx", v);
  return text.data();
}

inline std::string triple(uint3 d) { return str_cat("(", d.x, ", ", d.y, ", ", d.z, ")"); }

// "softmax.cu:12"
inline std::string place(const char* file, int line) {
  const std::string path = file;
  return str_cat(path.substr(path.rfind('/') + 1), ":", line);
}

}  // namespace flame::sim
