#include "tools/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sstream>

namespace flame::cli {
namespace {

constexpr std::string_view kCodes[] = {"",         "\x1b[32m", "\x1b[33m",
                                       "\x1b[31m", "\x1b[2m",  "\x1b[1m"};
constexpr std::string_view kReset = "\x1b[0m";

// Characters on the screen: UTF-8 tails and colour codes take none.
std::size_t width(std::string_view text) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b') {
      while (i < text.size() && text[i] != 'm') ++i;
    } else if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) {
      ++n;
    }
  }
  return n;
}

bool is_number(std::string_view text) {
  bool digit = false;
  for (const char c : text) {
    if (c >= '0' && c <= '9') digit = true;
    if (std::string_view("0123456789.,+-e%").find(c) == std::string_view::npos) return false;
  }
  return digit || text == "-";
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

bool colours(int fd) {
  const char* no = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) && !(no && *no) && !(term && std::string_view(term) == "dumb");
}

std::string paint(std::string_view text, Colour colour) {
  static const bool on = colours(STDOUT_FILENO);
  if (!on || colour == Colour::kNone) return std::string(text);
  return std::string(kCodes[std::size_t(colour)]) + std::string(text) + std::string(kReset);
}

void Table::print(std::ostream& out) const {
  std::vector<std::size_t> widths(rows_[0].size());
  std::vector<bool> numbers(widths.size(), rows_.size() > 1);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < widths.size() && c < rows_[r].size(); ++c) {
      widths[c] = std::max(widths[c], width(rows_[r][c]));
      if (r > 0 && width(rows_[r][c]) == rows_[r][c].size() && !rows_[r][c].empty() &&
          !is_number(rows_[r][c]))
        numbers[c] = false;
    }
  }
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t c = 0; c < widths.size() && c < rows_[r].size(); ++c) {
      const std::string gap(widths[c] - width(rows_[r][c]), ' ');
      const std::string cell = r == 0 ? paint(rows_[r][c], Colour::kBold) : rows_[r][c];
      line += numbers[c] ? gap + cell : cell + gap;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO)), last_(Clock::now()) {}

void Progress::show(std::int64_t done, std::int64_t total, std::int64_t failed,
                    std::string_view what) {
  const auto now = Clock::now();
  const auto wait = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000);
  if (now - last_ < wait && done < total) return;
  if (!terminal_ && done == total) return;  // the table that follows says it
  last_ = now;
  std::ostringstream line;
  line << done << "/" << total << " checks";
  if (failed > 0) line << ", " << failed << " failed";
  line << ": " << what;
  if (!terminal_) {
    std::cerr << line.str() << std::endl;
    return;
  }
  const std::string text = line.str().substr(0, terminal_width() - 1);
  std::cerr << '\r' << text << "\x1b[K" << std::flush;
  shown_ = true;
}

void Progress::finish() {
  if (shown_) std::cerr << "\r\x1b[K" << std::flush;
  shown_ = false;
}

}  // namespace flame::cli
