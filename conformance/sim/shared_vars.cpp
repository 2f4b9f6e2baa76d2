// Finds the __shared__ variables of kernels in the program's own symbol table, so that every block
// can start with them poisoned.
#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "conformance/sim/kernels.h"
#include "conformance/sim/source_line.h"
#include "lib/core/op_def.h"

namespace flame::sim {
namespace {

// One symbol "flame_kernel_norm::block_sum<256>(float)::part": the function it is in, cut up.
struct Symbol {
  std::string space;      // "flame_kernel_norm"
  std::string function;   // "block_sum"
  std::string arguments;  // "<256>", normalized, without the namespace
  SharedVariable variable;
};

std::string demangled(const char* name) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                              std::free);
  return status == 0 && text ? text.get() : "";
}

// The balanced "<...>" that starts at `at`; empty when there is none.
std::string bracketed(const std::string& text, std::size_t at) {
  if (at >= text.size() || text[at] != '<') return "";
  int depth = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    depth += text[i] == '<';
    depth -= text[i] == '>';
    if (depth == 0) return text.substr(at, i + 1 - at);
  }
  return "";
}

std::string without(std::string text, const std::string& part) {
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part))
    text.erase(at, part.size());
  return text;
}

constexpr char kSpacePrefix[] = "flame_kernel_";

void add_symbol(std::vector<Symbol>& out, const char* name, std::size_t offset, std::size_t bytes) {
  if (std::strncmp(name, "_ZZ", 3) != 0 || !std::strstr(name, kSpacePrefix)) return;
  const std::string text = demangled(name);
  const auto start = text.find(kSpacePrefix);
  if (start == std::string::npos) return;
  const auto space_end = text.find("::", start);
  if (space_end == std::string::npos) return;
  Symbol s;
  s.space = text.substr(start, space_end - start);
  // Walk "dev::block_sum<256>": the last component before its arguments is the function.
  std::size_t at = space_end + 2, word = at;
  while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) ||
                              text[at] == '_' || text.compare(at, 2, "::") == 0)) {
    if (text[at] == ':')
      word = at += 2;
    else
      ++at;
  }
  s.function = text.substr(word, at - word);
  s.arguments = without(normalize_expression(bracketed(text, at)), s.space + "::");
  s.variable = {text.substr(text.rfind(':') + 1), offset, bytes};
  out.push_back(std::move(s));
}

std::vector<Symbol> read_symbols() {
  std::vector<Symbol> out;
  const int fd = open(this_module().path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat st {};
  if (fd < 0 || fstat(fd, &st) != 0) return out;
  const auto size = static_cast<std::size_t>(st.st_size);
  void* file = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (file == MAP_FAILED) return out;
  const char* bytes = static_cast<const char*>(file);
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(bytes);
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(bytes + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(bytes + sections[i].sh_offset);
    const char* names = bytes + sections[sections[i].sh_link].sh_offset;
    for (std::size_t j = 0; j < sections[i].sh_size / sizeof(Elf64_Sym); ++j)
      if (ELF64_ST_TYPE(symbols[j].st_info) == STT_TLS)
        add_symbol(out, names + symbols[j].st_name, symbols[j].st_value, symbols[j].st_size);
  }
  munmap(file, size);
  return out;
}

// "norm.cu" -> "flame_kernel_norm": the namespace that the build wraps each kernel file in.
std::string space_of(const std::string& file) {
  std::string name = kSpacePrefix;
  for (char c : file.substr(0, file.rfind('.')))
    name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

std::string base_of(const std::string& expression) {
  return expression.substr(0, expression.find('<'));
}

// What each kernel may use: variables of its own function, and of every function of its file that
// is no kernel. A kernel's variable whose arguments are spelled like no export goes to all its kin.
std::vector<SharedVariable> select(const Kernel& kernel, const std::vector<Symbol>& symbols) {
  std::set<std::string> bases, expressions;
  for (const Kernel* k : all_kernels())
    if (k->file == kernel.file) {
      bases.insert(base_of(k->expression));
      expressions.insert(k->expression);
    }
  std::vector<SharedVariable> out;
  const std::string space = space_of(kernel.file);
  for (const Symbol& s : symbols) {
    if (s.space != space) continue;
    if (bases.contains(s.function)) {
      if (s.function != base_of(kernel.expression)) continue;
      const std::string expression = s.function + s.arguments;
      if (expression != kernel.expression && expressions.contains(expression)) continue;
    }
    out.push_back(s.variable);
  }
  return out;
}

}  // namespace

const std::vector<SharedVariable>& shared_variables(const Kernel& kernel) {
  static std::mutex mutex;
  static const std::vector<Symbol> symbols = read_symbols();
  static std::map<const Kernel*, std::vector<SharedVariable>> known;
  std::lock_guard lock(mutex);
  auto [it, fresh] = known.try_emplace(&kernel);
  if (fresh) it->second = select(kernel, symbols);
  return it->second;
}

ThreadLocals thread_locals() {
  ThreadLocals out;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* o) {
        const auto self = reinterpret_cast<std::uintptr_t>(&thread_locals);
        bool here = false;
        std::size_t bytes = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& h = info->dlpi_phdr[i];
          const auto begin = info->dlpi_addr + h.p_vaddr;
          here |= h.p_type == PT_LOAD && self >= begin && self < begin + h.p_memsz;
          if (h.p_type == PT_TLS) bytes = h.p_memsz;
        }
        if (!here) return 0;
        *static_cast<ThreadLocals*>(o) = {static_cast<std::byte*>(info->dlpi_tls_data), bytes};
        return 1;
      },
      &out);
  return out;
}

}  // namespace flame::sim
