#include "conformance/sim/image.h"

#include <algorithm>
#include <cctype>
#include <cstring>

#include "conformance/sim/kernels.h"
#include "lib/core/error.h"
#include "lib/core/op_def.h"

namespace flame::sim {
namespace {

constexpr char kMagic[] = "FLAMESIM";
constexpr std::uint32_t kFormat = 1;

std::string name_of(const driver::KernelId& k) { return k.file + ": " + k.expression; }

// FNV-1a.
std::uint64_t checksum(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

void put(std::string& out, std::uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(v >> 8 * i);
}

// Reads in order from a blob that may end at any point.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool number(std::uint64_t& v, std::size_t bytes) {
    std::string_view part;
    if (!take(part, bytes)) return false;
    v = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      v |= std::uint64_t(static_cast<unsigned char>(part[i])) << 8 * i;
    return true;
  }
  bool string(std::string_view& out) {
    std::uint64_t size = 0;
    return number(size, 4) && take(out, size);
  }
  bool take(std::string_view& out, std::size_t bytes) {
    if (bytes > text_.size() - at_) return false;
    out = text_.substr(at_, bytes);
    at_ += bytes;
    return true;
  }
  std::size_t at() const { return at_; }
  bool done() const { return at_ == text_.size(); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::string first_words(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 24))
    out += std::isprint(static_cast<unsigned char>(c)) ? c : '.';
  return out;
}

// The nearest thing to what was asked for, for the message.
std::string hint(const driver::KernelId& id) {
  std::size_t of_file = 0;
  std::string elsewhere;
  const std::string wanted = normalize_expression(id.expression);
  for (const Kernel* k : all_kernels()) {
    of_file += k->file == id.file;
    if (k->expression == wanted) elsewhere = k->file;
  }
  if (!elsewhere.empty()) return "; " + elsewhere + " exports it";
  if (of_file == 0) return "; no kernel file of that name is compiled into this program";
  return str_cat("; none of its ", of_file, " exports is spelled so");
}

}  // namespace

driver::Image make_image(const driver::KernelId& id) {
  const Kernel* k = find_kernel(id.file, normalize_expression(id.expression));
  if (!k) throw JitError(name_of(id) + " is not exported" + hint(id));
  std::string blob(kMagic, 8);
  put(blob, kFormat, 4);
  for (const std::string& text : {k->file, k->expression}) {
    put(blob, text.size(), 4);
    blob += text;
  }
  put(blob, checksum(blob), 8);
  driver::Image image;
  image.entry = k->expression;
  image.bytes.resize(blob.size());
  std::memcpy(image.bytes.data(), blob.data(), blob.size());
  return image;
}

const Kernel& verify_image(const driver::Image& image, const driver::KernelId& id) {
  const std::string_view blob(reinterpret_cast<const char*>(image.bytes.data()),
                              image.bytes.size());
  const std::string who = name_of(id) + ": its image ";
  if (blob.empty()) throw JitError(who + "is empty");
  Reader in(blob);
  std::string_view magic, file, expression;
  if (!in.take(magic, 8) || magic != std::string_view(kMagic, 8))
    throw JitError(str_cat(who, "is no code of the simulated device: ", blob.size(),
                           " bytes that start with '", first_words(blob), "'"));
  std::uint64_t format = 0, sum = 0;
  const bool header = in.number(format, 4);
  if (header && format != kFormat)
    throw JitError(str_cat(who, "has format ", format, ", not ", kFormat));
  const bool body = header && in.string(file) && in.string(expression);
  const std::size_t covered = in.at();
  if (!body || !in.number(sum, 8) || !in.done())
    throw JitError(str_cat(who, "has ", blob.size(), " bytes, which is not what it holds"));
  if (sum != checksum(blob.substr(0, covered))) throw JitError(who + "has a wrong checksum");
  const std::string wanted = normalize_expression(id.expression);
  if (file != id.file || expression != wanted)
    throw JitError(str_cat(who, "is of another kernel, ", file, ": ", expression));
  if (image.entry != wanted)
    throw JitError(str_cat(who, "has no entry '", image.entry, "', only '", wanted, "'"));
  const Kernel* k = find_kernel(file, expression);
  if (!k) throw JitError(who + "names a kernel that this program does not hold" + hint(id));
  return *k;
}

}  // namespace flame::sim
