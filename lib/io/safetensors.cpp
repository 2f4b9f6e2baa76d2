#include "lib/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <system_error>
#include <unordered_set>

#include "lib/core/error.h"
#include "lib/io/json.h"

namespace flame::io {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

struct Spelling {
  std::string_view text;
  DType dtype;
};
constexpr std::array kSpellings{
    Spelling{"F32", DType::kFloat32}, Spelling{"F64", DType::kFloat64},
    Spelling{"F16", DType::kFloat16}, Spelling{"BF16", DType::kBFloat16},
    Spelling{"I64", DType::kInt64},   Spelling{"I32", DType::kInt32},
    Spelling{"U8", DType::kUInt8},    Spelling{"BOOL", DType::kBool},
};

std::string_view spelling(DType dtype) {
  return std::find_if(kSpellings.begin(), kSpellings.end(),
                      [&](const Spelling& s) { return s.dtype == dtype; })
      ->text;
}

constexpr std::string_view kMetadataName = "__metadata__";

// An entry of the header before its bytes are known.
struct Range {
  std::uint64_t from = 0, to = 0;
};

const Json& member(const JsonObject& object, std::string_view name) {
  for (const auto& [key, value] : object)
    if (key == name) return value;
  throw FileError(str_cat("\"", name, "\" is missing"));
}

std::int64_t count(const Json& json, std::string_view what) {
  const auto* value = json.get<std::int64_t>();
  check<FileError>(value != nullptr && *value >= 0, what, " is not a count");
  return *value;
}

DType read_dtype(const JsonObject& object) {
  const auto* text = member(object, "dtype").get<std::string>();
  check<FileError>(text != nullptr, "dtype is not a string");
  for (const Spelling& s : kSpellings)
    if (s.text == *text) return s.dtype;
  throw FileError(str_cat("dtype \"", *text, "\" is not one that FLAME stores"));
}

Shape read_shape(const JsonObject& object) {
  const auto* items = member(object, "shape").get<JsonArray>();
  check<FileError>(items != nullptr, "shape is not a list");
  check<FileError>(items->size() <= std::size_t(kMaxDims), "shape has ", items->size(),
                   " dims, more than ", kMaxDims);
  Shape shape;
  for (const Json& item : *items) shape.push_back(count(item, "a size of shape"));
  return shape;
}

Range read_range(const JsonObject& object) {
  const auto* items = member(object, "data_offsets").get<JsonArray>();
  check<FileError>(items != nullptr && items->size() == 2, "data_offsets is not a pair");
  Range range{std::uint64_t(count((*items)[0], "data_offsets[0]")),
              std::uint64_t(count((*items)[1], "data_offsets[1]"))};
  check<FileError>(range.from <= range.to, "data_offsets [", range.from, ", ", range.to,
                   "] run backwards");
  return range;
}

Range read_entry(const Json& json, TensorEntry& entry) {
  const auto* object = json.get<JsonObject>();
  check<FileError>(object != nullptr, "not an object");
  entry.dtype = read_dtype(*object);
  entry.shape = read_shape(*object);
  const Range range = read_range(*object);
  check<FileError>(object->size() == 3, "has fields beside dtype, shape and data_offsets");
  std::int64_t elements = 0;
  try {
    elements = numel(entry.shape, size_of(entry.dtype));
  } catch (const ShapeError& e) {
    throw FileError(e.what());
  }
  const std::uint64_t bytes = std::uint64_t(elements) * size_of(entry.dtype);
  check<FileError>(bytes == range.to - range.from, spelling(entry.dtype), " ",
                   to_string(entry.shape), " takes ", bytes, " bytes, data_offsets hold ",
                   range.to - range.from);
  return range;
}

Metadata read_metadata(const Json& json) {
  const auto* object = json.get<JsonObject>();
  check<FileError>(object != nullptr, "not an object");
  Metadata out;
  for (const auto& [key, value] : *object) {
    const auto* text = value.get<std::string>();
    check<FileError>(text != nullptr, "\"", key, "\" is not a string");
    out.emplace_back(key, *text);
  }
  return out;
}

std::uint64_t header_length(std::span<const std::byte> file, std::uint64_t file_bytes) {
  check<FileError>(file.size() >= 8, "truncated: ", file_bytes,
                   " bytes, the header's length alone takes 8");
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  check<FileError>(length <= kMaxHeaderBytes, "header of ", length, " bytes, more than ",
                   kMaxHeaderBytes);
  check<FileError>(length <= file_bytes - 8, "truncated: header of ", length,
                   " bytes in a file of ", file_bytes);
  return length;
}

// Puts the file's name before whatever `work` finds wrong.
template <class Work>
void naming(const std::string& path, Work work) {
  try {
    work();
  } catch (const FileError& e) {
    throw FileError(str_cat(path, ": ", e.what()));
  }
}

void read_exactly(std::ifstream& in, std::byte* to, std::uint64_t bytes) {
  in.read(reinterpret_cast<char*>(to), std::streamsize(bytes));
  check<FileError>(std::uint64_t(in.gcount()) == bytes,
                   "truncated while it was read: ", in.gcount(), " bytes of ", bytes);
}

}  // namespace

void SafetensorsFile::read_header(std::string_view header, std::uint64_t data_bytes) {
  // Blanks may pad the end of the header, never its start.
  check<FileError>(header.starts_with('{'), "header does not start with '{'");
  const Json json = parse_json(header);
  std::vector<Range> ranges;
  for (const auto& [name, value] : *json.get<JsonObject>()) {
    try {
      if (name == kMetadataName) {
        metadata_ = read_metadata(value);
      } else {
        TensorEntry entry;
        entry.name = name;
        ranges.push_back(read_entry(value, entry));
        tensors_.push_back(std::move(entry));
      }
    } catch (const FileError& e) {
      throw FileError(str_cat("\"", name, "\": ", e.what()));
    }
  }
  // Empty tensors first where a range starts: they neither fill a gap nor overlap.
  std::vector<std::size_t> order(ranges.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(ranges[a].from, ranges[a].to) < std::pair(ranges[b].from, ranges[b].to);
  });
  std::uint64_t at = 0;
  std::vector<TensorEntry> sorted;
  for (std::size_t i : order) {
    check<FileError>(ranges[i].from == at, "\"", tensors_[i].name, "\": starts at byte ",
                     ranges[i].from, " of the data, ",
                     ranges[i].from > at ? "which leaves a gap after " : "inside what ends at ",
                     at);
    at = ranges[i].to;
    sorted.push_back(std::move(tensors_[i]));
  }
  tensors_ = std::move(sorted);
  check<FileError>(at == data_bytes,
                   at > data_bytes ? "truncated: " : "trailing bytes: ", "the tensors take ", at,
                   " bytes, the file holds ", data_bytes);
}

void SafetensorsFile::take_data(std::vector<std::byte> data) {
  data_ = std::move(data);
  std::size_t at = 0;
  for (TensorEntry& entry : tensors_) {
    const std::size_t bytes = std::size_t(numel(entry.shape)) * size_of(entry.dtype);
    entry.bytes = std::span<const std::byte>(data_).subspan(at, bytes);
    at += bytes;
    if (entry.dtype != DType::kBool) continue;
    const auto bad = std::find_if(entry.bytes.begin(), entry.bytes.end(),
                                  [](std::byte b) { return std::to_integer<int>(b) > 1; });
    check<FileError>(bad == entry.bytes.end(), "\"", entry.name, "\": a bool is neither 0 nor 1");
  }
}

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> file, std::string path) {
  SafetensorsFile out;
  out.path_ = std::move(path);
  naming(out.path_, [&] {
    const std::uint64_t length = header_length(file, file.size());
    const auto rest = file.subspan(8);
    out.read_header({reinterpret_cast<const char*>(rest.data()), std::size_t(length)},
                    rest.size() - length);
    out.take_data({rest.begin() + std::ptrdiff_t(length), rest.end()});
  });
  return out;
}

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile out;
  out.path_ = path.string();
  naming(out.path_, [&] {
    std::error_code error;
    check<FileError>(std::filesystem::exists(path, error), "no such file");
    check<FileError>(std::filesystem::is_regular_file(path, error), "not a regular file");
    const std::uint64_t bytes = std::filesystem::file_size(path, error);
    std::ifstream in(path, std::ios::binary);
    check<FileError>(!error && bool(in), "cannot be opened");
    // The header is checked before anything of the size it claims is allocated.
    std::array<std::byte, 8> first{};
    const std::size_t head = std::size_t(std::min<std::uint64_t>(bytes, 8));
    read_exactly(in, first.data(), head);
    const std::uint64_t length = header_length({first.data(), head}, bytes);
    std::string header(length, '\0');
    read_exactly(in, reinterpret_cast<std::byte*>(header.data()), length);
    out.read_header(header, bytes - 8 - length);
    std::vector<std::byte> data(bytes - 8 - length);
    read_exactly(in, data.data(), data.size());
    out.take_data(std::move(data));
  });
  return out;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  for (const TensorEntry& entry : tensors_)
    if (entry.name == name) return &entry;
  return nullptr;
}

const std::string* SafetensorsFile::find_metadata(std::string_view key) const {
  for (const auto& [name, value] : metadata_)
    if (name == key) return &value;
  return nullptr;
}

const TensorEntry& SafetensorsFile::tensor(std::string_view name) const {
  const TensorEntry* entry = find(name);
  check<FileError>(entry != nullptr, path_, ": no tensor \"", name, "\"");
  return *entry;
}

std::vector<std::byte> to_safetensors(std::span<const TensorEntry> tensors,
                                      const Metadata& metadata) {
  std::string header = "{";
  const auto separate = [&] { header += header.size() > 1 ? "," : ""; };
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (std::size_t i = 0; i < metadata.size(); ++i)
      header +=
          str_cat(i ? "," : "", json_quote(metadata[i].first), ":", json_quote(metadata[i].second));
    header += "}";
  }
  std::unordered_set<std::string_view> names{kMetadataName};
  std::uint64_t at = 0;
  for (const TensorEntry& t : tensors) {
    check<ValueError>(names.insert(t.name).second, "safetensors: the name \"", t.name,
                      "\" is taken");
    const std::uint64_t bytes = std::uint64_t(numel(t.shape, size_of(t.dtype))) * size_of(t.dtype);
    check<ValueError>(bytes == t.bytes.size(), "safetensors: \"", t.name, "\" takes ", bytes,
                      " bytes, ", t.bytes.size(), " given");
    separate();
    header += str_cat(json_quote(t.name), ":{\"dtype\":\"", spelling(t.dtype), "\",\"shape\":[");
    for (std::size_t i = 0; i < t.shape.size(); ++i) header += str_cat(i ? "," : "", t.shape[i]);
    header += str_cat("],\"data_offsets\":[", at, ",", at + bytes, "]}");
    at += bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');  // so that the data is aligned when mapped
  std::vector<std::byte> out(8 + header.size());
  const std::uint64_t length = header.size();
  std::memcpy(out.data(), &length, 8);
  std::memcpy(out.data() + 8, header.data(), header.size());
  out.reserve(out.size() + at);
  for (const TensorEntry& t : tensors) out.insert(out.end(), t.bytes.begin(), t.bytes.end());
  return out;
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorEntry> tensors,
                       const Metadata& metadata) {
  const std::vector<std::byte> bytes = to_safetensors(tensors, metadata);
  std::filesystem::path half = path;
  half += ".part";
  {
    std::ofstream out(half, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    out.flush();
    check<FileError>(bool(out), half.string(), ": cannot be written");
  }
  std::error_code error;
  std::filesystem::rename(half, path, error);
  check<FileError>(!error, path.string(), ": cannot be written: ", error.message());
}

}  // namespace flame::io
