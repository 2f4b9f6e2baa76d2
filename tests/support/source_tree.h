// The repository's sources as text, for tests that hold the house to its own rules.
#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace flame::test {

struct Include {
  std::string path;
  bool quoted = false;
  int line = 0;
};

struct SourceFile {
  std::string path;  // from the repository's root, with '/'
  std::string text;  // as it is
  std::vector<Include> includes;
  int lines = 0;

  // The folder at the root: "lib".
  std::string part() const { return path.substr(0, path.find('/')); }
  bool in(const std::string& folder) const { return path.starts_with(folder + "/"); }
  bool is_test() const {
    return path.find("_test.") != std::string::npos || path.find("/tests/") != std::string::npos ||
           in("tests");
  }
};

// The text without comments; literals keep their place and their text. Lines stay lines.
inline std::string without_comments(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      // A digit separator is not a character literal.
      const bool separator =
          c == '\'' && i > 0 && std::isalnum(static_cast<unsigned char>(text[i - 1]));
      out += c;
      if (separator) continue;
      for (++i; i < text.size() && text[i] != c && text[i] != '\n'; ++i) {
        out += text[i];
        if (text[i] == '\\' && i + 1 < text.size()) out += text[++i];
      }
      if (i < text.size()) out += text[i];
    } else if (c == '/' && i + 1 < text.size() && text[i + 1] == '/') {
      while (i < text.size() && text[i] != '\n') ++i;
      out += '\n';
    } else if (c == '/' && i + 1 < text.size() && text[i + 1] == '*') {
      for (i += 2; i + 1 < text.size() && !(text[i] == '*' && text[i + 1] == '/'); ++i)
        if (text[i] == '\n') out += '\n';
      ++i;
    } else {
      out += c;
    }
  }
  return out;
}

inline std::vector<Include> read_includes(const std::string& text) {
  std::vector<Include> out;
  int line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::size_t i = text.find_first_not_of(" \t", at);
    if (i < end && text[i] == '#') {
      i = text.find_first_not_of(" \t", i + 1);
      if (i < end && text.compare(i, 7, "include") == 0) {
        const std::size_t open = text.find_first_of("\"<", i + 7);
        if (open < end) {
          const bool quoted = text[open] == '"';
          const std::size_t close = text.find(quoted ? '"' : '>', open + 1);
          if (close < end) out.push_back({text.substr(open + 1, close - open - 1), quoted, line});
        }
      }
    }
    at = end + 1;
  }
  return out;
}

// Every C++ and CUDA source under the parts of the house, sorted by path.
inline std::vector<SourceFile> read_sources(const std::string& root) {
  namespace fs = std::filesystem;
  std::vector<SourceFile> out;
  for (const char* part : {"kernels", "lib", "reference", "conformance", "property_tests", "bench",
                           "reports", "tools", "tests"}) {
    if (!fs::exists(fs::path(root) / part)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(root) / part)) {
      const std::string extension = entry.path().extension().string();
      const bool source = extension == ".h" || extension == ".cpp" || extension == ".cu" ||
                          extension == ".cuh" || extension == ".inc" || extension == ".hpp";
      if (!entry.is_regular_file() || !source) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      SourceFile file;
      file.path = fs::relative(entry.path(), root).generic_string();
      file.text.assign(std::istreambuf_iterator<char>(in), {});
      file.lines = static_cast<int>(std::count(file.text.begin(), file.text.end(), '\n'));
      file.includes = read_includes(file.text);
      out.push_back(std::move(file));
    }
  }
  std::sort(out.begin(), out.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return out;
}

}  // namespace flame::test
