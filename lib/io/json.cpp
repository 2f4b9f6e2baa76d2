#include "lib/io/json.h"

#include <charconv>
#include <cmath>
#include <unordered_set>

#include "lib/core/error.h"

namespace flame::io {
namespace {

// Bytes of the UTF-8 sequence at the front of `text`; 0 when there is none (RFC 3629, table of
// well-formed sequences).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xC0 | code >> 6);
    out += char(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += char(0xE0 | code >> 12);
    out += char(0x80 | (code >> 6 & 0x3F));
    out += char(0x80 | (code & 0x3F));
  } else {
    out += char(0xF0 | code >> 18);
    out += char(0x80 | (code >> 12 & 0x3F));
    out += char(0x80 | (code >> 6 & 0x3F));
    out += char(0x80 | (code & 0x3F));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json whole() {
    Json value = any(0);
    skip_blanks();
    if (at_ != text_.size()) fail("something follows the value");
    return value;
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    throw FileError(str_cat("at byte ", at_, ": ", why));
  }
  bool done() const { return at_ == text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool eat(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (!done() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
  }

  Json any(int depth) {
    if (depth > kMaxJsonDepth) fail("nested too deeply");
    skip_blanks();
    if (done()) fail("a value is missing");
    switch (peek()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return {string()};
      case 't':
        return word("true", {true});
      case 'f':
        return word("false", {false});
      case 'n':
        return word("null", {});
      default:
        return number();
    }
  }

  Json word(std::string_view spelling, Json value) {
    if (text_.substr(at_, spelling.size()) != spelling) fail("not a value");
    at_ += spelling.size();
    return value;
  }

  Json object(int depth) {
    ++at_;
    JsonObject members;
    std::unordered_set<std::string> names;
    skip_blanks();
    if (eat('}')) return {std::move(members)};
    do {
      skip_blanks();
      if (peek() != '"') fail("a name in quotes is missing");
      std::string name = string();
      if (!names.insert(name).second) fail(str_cat("the name \"", name, "\" is given twice"));
      skip_blanks();
      if (!eat(':')) fail("':' is missing");
      members.push_back({std::move(name), any(depth + 1)});
      skip_blanks();
    } while (eat(','));
    if (!eat('}')) fail("',' or '}' is missing");
    return {std::move(members)};
  }

  Json array(int depth) {
    ++at_;
    JsonArray items;
    skip_blanks();
    if (eat(']')) return {std::move(items)};
    do {
      items.push_back(any(depth + 1));
      skip_blanks();
    } while (eat(','));
    if (!eat(']')) fail("',' or ']' is missing");
    return {std::move(items)};
  }

  std::string string() {
    ++at_;
    std::string out;
    while (!eat('"')) {
      if (done()) fail("a string does not end");
      if (static_cast<unsigned char>(peek()) < 0x20) fail("a control character in a string");
      if (eat('\\')) {
        escape(out);
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) fail("not UTF-8");
      out += text_.substr(at_, length);
      at_ += length;
    }
    return out;
  }

  void escape(std::string& out) {
    constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    if (eat('u')) {
      unsigned code = hex4();
      if (code >= 0xDC00 && code <= 0xDFFF) fail("a lone surrogate");
      if (code >= 0xD800 && code <= 0xDBFF) {
        if (!eat('\\') || !eat('u')) fail("a lone surrogate");
        const unsigned low = hex4();
        if (low < 0xDC00 || low > 0xDFFF) fail("a lone surrogate");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      append_utf8(out, code);
      return;
    }
    const std::size_t which = done() ? std::string_view::npos : kFrom.find(peek());
    if (which == std::string_view::npos) fail("an unknown escape");
    out += kTo[which];
    ++at_;
  }

  unsigned hex4() {
    unsigned code = 0;
    const std::string_view digits = text_.substr(at_, 4);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (error != std::errc() || digits.size() != 4 || end != digits.data() + 4)
      fail("four hexadecimal digits are missing");
    at_ += 4;
    return code;
  }

  bool digits() {
    const std::size_t from = at_;
    while (!done() && peek() >= '0' && peek() <= '9') ++at_;
    return at_ > from;
  }

  Json number() {
    const std::size_t from = at_;
    bool integer = true;
    eat('-');
    if (!eat('0') && !digits()) fail("not a value");
    if (eat('.')) {
      integer = false;
      if (!digits()) fail("digits are missing after '.'");
    }
    if (eat('e') || eat('E')) {
      integer = false;
      if (!eat('+')) eat('-');
      if (!digits()) fail("digits are missing in the exponent");
    }
    const std::string_view spelling = text_.substr(from, at_ - from);
    const char* end = spelling.data() + spelling.size();
    std::int64_t whole = 0;
    if (integer && std::from_chars(spelling.data(), end, whole).ec == std::errc()) return {whole};
    double value = 0;
    if (std::from_chars(spelling.data(), end, value).ec != std::errc())
      fail("a number outside double's range");
    return {value};
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Json parse_json(std::string_view text) { return Parser(text).whole(); }

std::string json_quote(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    check<ValueError>(length > 0, "json: a string is not UTF-8");
    const unsigned char c = static_cast<unsigned char>(text[0]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += char(c);
    } else if (c < 0x20) {
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out + "\"";
}

}  // namespace flame::io
