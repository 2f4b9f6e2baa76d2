#include "lib/jit/image.h"

#include <elf.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "lib/core/error.h"

namespace flame::jit {
namespace {

constexpr unsigned kMachineCuda = 190;
// Attributes of .nv.info and .nv.compat: {format, attribute, 16-bit value or size, payload}.
constexpr unsigned char kAttrMaxThreads = 0x05, kAttrRegisterCount = 0x2f, kAttrFrameSize = 0x11,
                        kAttrParameter = 0x17, kAttrParameter2 = 0x45;  // one each
constexpr unsigned char kCompatIsaClass = 0x09;
constexpr unsigned char kFormatSized = 4;

template <class T>
std::optional<T> read_at(std::span<const std::byte> bytes, std::uint64_t at) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, bytes.data() + at, sizeof(T));
  return out;
}

struct Section {
  std::string_view name;
  Elf64_Shdr header;
  std::span<const std::byte> data;  // empty for NOBITS
};

// A reader that believes nothing: every offset is checked against the image's size.
class Elf {
 public:
  explicit Elf(std::span<const std::byte> bytes) : bytes_(bytes) {}

  // Why this is no readable CUDA ELF file, or empty.
  std::string parse() {
    if (std::string why = parse_header(); !why.empty()) return why;
    return parse_sections();
  }
  const Section* find(std::string_view name) const {
    auto at = std::find_if(sections_.begin(), sections_.end(),
                           [&](const Section& s) { return s.name == name; });
    return at == sections_.end() ? nullptr : &*at;
  }
  // The compute capability: 90. Newer images (ABI 8, CUDA 13) keep it one byte further up.
  unsigned sm() const {
    return header_.e_ident[EI_ABIVERSION] >= 8 ? header_.e_flags >> 8 & 0xffff
                                               : header_.e_flags & 0xff;
  }
  // Index in the symbol table, which .nv.info uses; -1 when absent.
  int symbol(std::string_view name) const {
    const Section* table = find(".symtab");
    const Section* names = find(".strtab");
    if (!table || !names) return -1;
    for (std::size_t i = 0;; ++i) {
      auto entry = read_at<Elf64_Sym>(table->data, i * sizeof(Elf64_Sym));
      if (!entry) return -1;
      if (text_at(names->data, entry->st_name) == name) return int(i);
    }
  }

 private:
  static std::string_view text_at(std::span<const std::byte> table, std::size_t at) {
    if (at >= table.size()) return {};
    const char* begin = reinterpret_cast<const char*>(table.data()) + at;
    return {begin, strnlen(begin, table.size() - at)};
  }

  std::string parse_header() {
    if (bytes_.empty()) return "is empty";
    auto head = read_at<Elf64_Ehdr>(bytes_, 0);
    if (bytes_.size() < SELFMAG || std::memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0) {
      const std::string_view text(reinterpret_cast<const char*>(bytes_.data()),
                                  std::min<std::size_t>(bytes_.size(), 32));
      const bool printable = std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return (c >= 32 && c < 127) || c == '\n' || c == '\t' || c == '\r';
      });
      if (!printable) return "is not an ELF file";
      return str_cat("is source text instead of machine code (it starts with \"",
                     text.substr(0, text.find('\n')), "\")");
    }
    if (!head) return str_cat("is cut off inside its ELF header (", bytes_.size(), " bytes)");
    header_ = *head;
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB)
      return "is not a 64-bit little-endian ELF file";
    if (header_.e_machine != kMachineCuda)
      return str_cat("is for ELF machine ", header_.e_machine, ", not for a CUDA device (",
                     kMachineCuda, ")");
    return {};
  }

  std::string parse_sections() {
    if (header_.e_shnum == 0 || header_.e_shentsize != sizeof(Elf64_Shdr) ||
        header_.e_shstrndx >= header_.e_shnum)
      return "has no readable section table";
    for (unsigned i = 0; i < header_.e_shnum; ++i) {
      auto header = read_at<Elf64_Shdr>(bytes_, header_.e_shoff + i * sizeof(Elf64_Shdr));
      if (!header) return "is cut off: its section table lies beyond its end";
      Section section{{}, *header, {}};
      if (header->sh_type != SHT_NOBITS && header->sh_type != SHT_NULL) {
        if (header->sh_offset > bytes_.size() ||
            bytes_.size() - header->sh_offset < header->sh_size)
          return str_cat("is cut off: section ", i, " lies beyond its end");
        section.data = bytes_.subspan(header->sh_offset, header->sh_size);
      }
      sections_.push_back(section);
    }
    if (header_.e_phoff > bytes_.size() ||
        (bytes_.size() - header_.e_phoff) / sizeof(Elf64_Phdr) < header_.e_phnum)
      return "is cut off: its program headers lie beyond its end";
    const std::span<const std::byte> names = sections_[header_.e_shstrndx].data;
    for (Section& section : sections_) section.name = text_at(names, section.header.sh_name);
    return {};
  }

  std::span<const std::byte> bytes_;
  Elf64_Ehdr header_{};
  std::vector<Section> sections_;
};

// Calls visit(attribute, value, payload) for each attribute of an .nv.info-like section.
template <class Visit>
void each_attribute(std::span<const std::byte> data, Visit visit) {
  for (std::size_t at = 0; at + 4 <= data.size();) {
    const auto format = static_cast<unsigned char>(data[at]);
    const auto attribute = static_cast<unsigned char>(data[at + 1]);
    const auto value = *read_at<std::uint16_t>(data, at + 2);
    at += 4;
    std::span<const std::byte> payload;
    if (format == kFormatSized) {
      if (data.size() - at < value) return;
      payload = data.subspan(at, value);
      at += value;
    }
    visit(attribute, value, payload);
  }
}

// 1 where the image uses instructions of one architecture only ("sm_90a"), 0 where not, nothing
// where the image does not say.
std::optional<unsigned> isa_class(const Elf& elf) {
  const Section* compat = elf.find(".nv.compat");
  std::optional<unsigned> out;
  if (compat)
    each_attribute(compat->data, [&](unsigned char attribute, std::uint16_t value, auto) {
      if (attribute == kCompatIsaClass) out = value & 0xff;
    });
  return out;
}

// The number before `unit` in the line of ptxas's log that holds it: "Used 32 registers".
std::size_t number_before(std::string_view text, std::string_view unit) {
  const std::size_t at = text.find(unit);
  if (at == std::string_view::npos) return 0;
  std::size_t begin = at;
  while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9') --begin;
  std::size_t out = 0;
  std::from_chars(text.data() + begin, text.data() + at, out);
  return out;
}

}  // namespace

void verify_image(std::span<const std::byte> image, std::string_view arch, std::string_view entry,
                  std::string_view what) {
  Elf elf(image);
  const std::string why = elf.parse();
  check<JitError>(why.empty(), "jit: ", what, ": the compiled image ", why);
  const bool specific = !arch.empty() && arch.back() == 'a';
  unsigned wanted = 0;
  const std::string_view digits = arch.substr(std::min<std::size_t>(3, arch.size()));
  std::from_chars(digits.data(), digits.data() + digits.size(), wanted);
  const std::optional<unsigned> isa = isa_class(elf);
  const bool is_specific = isa ? *isa == 1 : specific;
  check<JitError>(elf.sm() == wanted && is_specific == specific, "jit: ", what,
                  ": the compiled image is for sm_", elf.sm(), is_specific ? "a" : "", ", not for ",
                  arch);
  const Section* text = elf.find(str_cat(".text.", entry));
  check<JitError>(text != nullptr, "jit: ", what, ": the compiled image has no kernel ", entry);
  const bool code = std::any_of(text->data.begin(), text->data.end(),
                                [](std::byte b) { return b != std::byte{0}; });
  check<JitError>(code, "jit: ", what, ": the kernel ", entry, " has no code in it");
}

Resources read_resources(std::span<const std::byte> image, std::string_view entry,
                         std::string_view log) {
  Resources out;
  Elf elf(image);
  if (!elf.parse().empty()) return out;
  if (const Section* text = elf.find(str_cat(".text.", entry))) out.code_bytes = text->data.size();
  const int symbol = elf.symbol(entry);
  if (const Section* info = elf.find(".nv.info"))
    each_attribute(info->data, [&](unsigned char attribute, auto, auto payload) {
      auto of = read_at<std::uint32_t>(payload, 0), value = read_at<std::uint32_t>(payload, 4);
      if (!of || !value || int(*of) != symbol) return;
      if (attribute == kAttrRegisterCount) out.registers = int(*value);
      if (attribute == kAttrFrameSize) out.stack_bytes = *value;
    });
  if (const Section* info = elf.find(str_cat(".nv.info.", entry)))
    each_attribute(info->data, [&](unsigned char attribute, auto, auto payload) {
      if (attribute == kAttrMaxThreads)
        out.max_threads = int(read_at<std::uint32_t>(payload, 0).value_or(0));
      out.parameters += attribute == kAttrParameter || attribute == kAttrParameter2;
    });
  if (const Section* shared = elf.find(str_cat(".nv.shared.", entry))) {
    // From sm_90 on the first KiB of every block's shared memory is the system's own.
    const std::size_t system = elf.sm() >= 90 ? 1024 : 0;
    out.static_shared = shared->header.sh_size > system ? shared->header.sh_size - system : 0;
  }
  const std::size_t begin = log.find(str_cat("Compiling entry function '", entry, "'"));
  if (begin != std::string_view::npos) {
    const std::string_view rest = log.substr(begin);
    const std::string_view part = rest.substr(0, rest.find("Compile time"));
    out.spill_bytes =
        number_before(part, " bytes spill stores") + number_before(part, " bytes spill loads");
  }
  return out;
}

}  // namespace flame::jit
