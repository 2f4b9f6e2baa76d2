// Spelling of numbers and places in reports.
#pragma once
#include <vector_types.h>

#include <cstdint>
#include <cstdio>
#include <string>

namespace flame::sim {

inline std::string hex(std::uintptr_t v) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%zx", v);
  return text;
}

inline std::string triple(uint3 d) {
  return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
}

// "softmax.cu:12"
inline std::string place(const char* file, int line) {
  std::string text = file;
  return text.substr(text.rfind('/') + 1) + ":" + std::to_string(line);
}

}  // namespace flame::sim
