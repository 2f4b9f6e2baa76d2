#include "conformance/sim/source_line.h"

#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

#include "conformance/sim/text.h"

namespace flame::sim {
namespace {

int look_for_self(dl_phdr_info* info, std::size_t, void* out) {
  const auto self = reinterpret_cast<std::uintptr_t>(&look_for_self);
  bool here = false;
  std::uintptr_t end = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& h = info->dlpi_phdr[i];
    if (h.p_type != PT_LOAD) continue;
    const auto begin = info->dlpi_addr + h.p_vaddr;
    here |= self >= begin && self < begin + h.p_memsz;
    end = std::max(end, begin + h.p_memsz);
  }
  if (!here) return 0;
  const std::string name = *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
  *static_cast<Module*>(out) = {name, info->dlpi_addr, end};
  return 1;
}

// addr2line is another process, to which /proc/self means itself.
std::string resolved(const std::string& path) {
  std::array<char, 4096> target;
  const ssize_t n = readlink(path.c_str(), target.data(), target.size());
  return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : path;
}

}  // namespace

const Module& this_module() {
  static const Module module = [] {
    Module m;
    dl_iterate_phdr(look_for_self, &m);
    m.path = resolved(m.path);
    return m;
  }();
  return module;
}

std::string source_line(const void* pc) {
  const Module& m = this_module();
  const auto address = reinterpret_cast<std::uintptr_t>(pc);
  if (address < m.load_address || address >= m.end) return "";
  const std::string command =
      "addr2line -s -e '" + m.path + "' " + hex(address - m.load_address) + " 2>/dev/null";
  std::array<char, 512> line{};
  {
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    if (!pipe || !std::fgets(line.data(), line.size(), pipe.get())) return "";
  }
  line[std::strcspn(line.data(), " \n")] = '\0';
  return line[0] == '?' ? "" : " at " + std::string(line.data());
}

}  // namespace flame::sim
