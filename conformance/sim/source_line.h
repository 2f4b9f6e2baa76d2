// From an address in this program's code to the line it was compiled from.
#pragma once
#include <string>

namespace flame::sim {

// " at softmax.cu:12", or an empty string where there is no debug information or no addr2line.
std::string source_line(const void* pc);

// Where this program (or shared object) is mapped, and the file it comes from.
struct Module {
  std::string path;
  std::size_t load_address = 0, end = 0;
};
const Module& this_module();

}  // namespace flame::sim
